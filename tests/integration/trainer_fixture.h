// Runs of `railhead train` over the reference trainer itself, with its engine of plain loops.
#pragma once

#include "src/base/random.h"
#include "tests/integration/train_fixture.h"

namespace railhead {

class TrainerFixture : public TrainFixture {
 protected:
  TrainerFixture() {
    SplitMix random(3);
    const std::vector<std::string> words = {"rail", "gradient", "bucket", "step",
                                            "of",   "the",      "and",    "runs"};
    std::ofstream text(at("text"));
    for (int i = 0; i < 4000; ++i) text << words[random.next() % words.size()] << ' ';
  }

  // A small model; `more` may say otherwise, for the last one of an option counts.
  std::vector<std::string> trainer(const std::vector<std::string>& more) const {
    std::vector<std::string> out = {RAILHEAD_TRAINER,
                                    "--engine",
                                    "loops",
                                    "--device",
                                    "cpu",
                                    "--data",
                                    at("text"),
                                    "--layers",
                                    "1",
                                    "--heads",
                                    "2",
                                    "--context",
                                    "16",
                                    "--batch",
                                    "4",
                                    "--checkpoint-every",
                                    "3",
                                    "--keep",
                                    "0",
                                    "--warmup",
                                    "2",
                                    "--learning-rate",
                                    "3e-3",
                                    "--transport",
                                    "tcp",
                                    "--threads",
                                    "1"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::string trainerFile(const std::string& name, const std::vector<std::string>& more,
                          const std::string& yaml = "") const {
    std::string command;
    for (const auto& word : trainer(more))
      command += (command.empty() ? "[\"" : ", \"") + word + "\"";
    return runFileOf(name, command + "]", yaml);
  }
};

}  // namespace railhead
