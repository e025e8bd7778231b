// The members of a manifest by name, in the order of the document. Private to src/train.
#pragma once

#include "src/train/json_fields.h"
#include "src/train/manifest.h"

namespace railhead::train {

template <typename V, MaybeConst<checkpoint::CheckpointFile> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("bytes", x.bytes);
  visit("sha256", x.sha256);
}

template <typename V, MaybeConst<NamedFile> T>
void visitFields(V& visit, T& x) {
  visit("path", x.path);
  visit("bytes", x.bytes);
  visit("sha256", x.sha256);
}

template <typename V, MaybeConst<Code> T>
void visitFields(V& visit, T& x) {
  visit("folder", x.folder);
  visit("revision", x.revision);
  visit("modified", x.modified);
  visit("scripts", x.scripts);
}

template <typename V, MaybeConst<NodeFacts> T>
void visitFields(V& visit, T& x) {
  visit("node", x.node);
  visit("kernel", x.kernel);
  visit("architecture", x.architecture);
  visit("cpu", x.cpu);
  visit("cpus", x.cpus);
  visit("gpus", x.gpus);
  visit("driver", x.driver);
  visit("cuda", x.cuda);
  visit("nccl", x.nccl);
  visit("nics", x.nics);
  visit("topology", x.topology);
}

template <typename V, MaybeConst<Place> T>
void visitFields(V& visit, T& x) {
  visit("on", x.on);
  visit("ranks", x.ranks);
  visit("ranks_per_node", x.ranksPerNode);
  visit("order", x.order);
  visit("nodes", x.nodes);
}

template <typename V, MaybeConst<Verdict> T>
void visitFields(V& visit, T& x) {
  visit("verdict", x.verdict);
  visit("expected", x.expected);
  visit("share", x.share);
}

template <typename V, MaybeConst<Attempt> T>
void visitFields(V& visit, T& x) {
  visit("number", x.number);
  visit("from_step", x.fromStep);
  visit("started", x.started);
  visit("seconds", x.seconds);
  visit("end", x.end);
  visit("reason", x.reason);
  visit("rank", x.rank);
  visit("node", x.node);
  visit("last_lines", x.lastLines);
}

template <typename V, MaybeConst<Totals> T>
void visitFields(V& visit, T& x) {
  visit("steps", x.steps);
  visit("first_loss", x.firstLoss);
  visit("last_loss", x.lastLoss);
  visit("tokens", x.tokens);
  visit("seconds", x.seconds);
  visit("lost_steps", x.lostSteps);
}

template <typename V, MaybeConst<checkpoint::Checkpoint> T>
void visitFields(V& visit, T& x) {
  visit("step", x.step);
  visit("world", x.world);
  visit("sha256", x.sha256);
  visit("content", x.content);
  visit("model", x.model);
  visit("files", x.files);
}

template <typename V, MaybeConst<Manifest> T>
void visitFields(V& visit, T& x) {
  visit("id", x.id);
  visit("state", x.state);
  visit("reason", x.reason);
  visit("railhead", x.railhead);
  visit("started", x.started);
  visit("ended", x.ended);
  visit("replay_of", x.replayOf);
  visit("run_file", x.runFile);
  visit("command", x.command);
  visit("image", x.image);
  visit("image_digest", x.imageDigest);
  visit("seed", x.seed);
  visit("code", x.code);
  visit("data", x.data);
  visit("profile", x.profile);
  visit("environment", x.environment);
  visit("facts", x.facts);
  visit("place", x.place);
  visit("verdict", x.verdict);
  visit("attempts", x.attempts);
  visit("metrics", x.metrics);
  visit("checkpoints", x.checkpoints);
}

}  // namespace railhead::train
