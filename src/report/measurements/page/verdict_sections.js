// What the run did and what to do about it: statements, paths, directions with their evidence,
// doctor's findings.

const VERDICTS = {
  gdr: ["GPUDirect RDMA", "good"],
  "host-staged-hardware": ["host-staged (hardware limit)", "good"],
  "host-staged-misconfigured": ["host-staged (misconfigured)", "bad"],
  sockets: ["sockets", "bad"],
  mixed: ["mixed", "bad"],
  unproven: ["unproven", "open"],
  local: ["local", "open"],
};
const verdictBadge = (verdict) => {
  const [words, tone] = VERDICTS[verdict] ?? [verdict, "open"];
  return h("span", { class: `badge ${tone}` }, words);
};

const toneOf = (verdict) => VERDICTS[verdict]?.[1] ?? "open";
const WORST_FIRST = ["bad", "open", "good"];
const worstFirst = (a, b) => WORST_FIRST.indexOf(toneOf(a.verdict)) - WORST_FIRST.indexOf(toneOf(b.verdict));

// The first statement is the page's heading; here is what else the files come to.
function statementsSection(data) {
  const rest = data.statements.slice(1);
  if (rest.length === 0) return null;
  return section("statements", "Also", plural(rest.length, "statement"),
    h("ul", { class: "statements" }, rest.map((one) => h("li", { class: one.tone },
      h("span", { class: "statement-mark", "aria-hidden": "true" },
        { good: "✓", open: "–", bad: "✗" }[one.tone]),
      h("span", null, h("strong", null, one.headline), `: ${one.sentence}`,
        h("span", { class: "quiet statement-file" }, one.about, one.file ? ` · ${baseName(one.file)}` : null))))));
}

function actionsSection(data) {
  if (data.actions.length === 0) return null;
  return section("actions", "What to do", null,
    h("ol", { class: "actions" }, data.actions.map((action) => h("li", null, action))),
    data.actions_left_out === 0 ? null
      : h("p", { class: "quiet small" }, `${plural(data.actions_left_out, "more step")} below, at what they are for.`));
}

const rankName = (rank) => rank.node === "" ? `rank ${rank.rank}` : `rank ${rank.rank} (${rank.node})`;

// The directions of one run with their ranks; one that names a rank nobody knows is left out.
function directionsOf(run) {
  const ranks = new Map(run.content.ranks.map((rank) => [rank.rank, rank]));
  return run.content.directions
    .map((one) => ({ ...one, sender: ranks.get(one.from), receiver: ranks.get(one.to) }))
    .filter((one) => one.sender && one.receiver);
}

const ONE_RAIL = "one-rail-only";
// With one rail only, the finding names it first.
function carries(direction, rail) {
  const finding = direction.findings.find((one) => one.kind === ONE_RAIL);
  return !finding || finding.text.startsWith(`one rail only: ${rail} of `);
}

function endFor(direction, rank) {
  const tcp = direction.verdict === "sockets";
  const ports = rank.rails.map((name) => ({ name, used: !tcp && carries(direction, name) }));
  // The receiver's devices have other names: the same places carry.
  if (rank === direction.receiver && rank.rails.length === direction.sender.rails.length) {
    ports.forEach((port, i) => { port.used = !tcp && carries(direction, direction.sender.rails[i]); });
  }
  if (tcp || ports.length === 0) ports.unshift({ name: "kernel TCP", used: tcp, tcp: true });
  return { name: rankName(rank), note: rank.backend, gpu: rank.device, ports };
}

const directionFigures = (one) => [one.sender.gbps > 0 ? rate(one.sender.gbps) : null,
  one.share === null ? null : `${Math.floor(one.share * 100 + 1e-9)} % of ${rate(one.sender.ceiling_gbps)}`]
  .filter(Boolean).join(", ");

function pathOfDirection(one, alike) {
  const [words] = VERDICTS[one.verdict] ?? [one.verdict];
  const title = `${rankName(one.sender)} → ${rankName(one.receiver)}`;
  const sender = endFor(one, one.sender);
  const used = sender.ports.filter((port) => port.used).map((port) => port.name);
  return { title, badge: verdictBadge(one.verdict), alike, figures: directionFigures(one),
    route: ROUTES[one.verdict] ?? IN_DOUBT, sender, receiver: endFor(one, one.receiver),
    inWords: `${title}: ${words}. ${one.reason}. Carried by ${listed(used) || "nothing that is known"}.` };
}

const MOST_PATHS = 4;
const alikeKey = (one) => JSON.stringify([one.verdict, one.sender.device !== "", one.receiver.device !== "",
  one.sender.rails.map((rail) => carries(one, rail))]);

function runPaths(run, index) {
  const groups = new Map();
  for (const one of directionsOf(run).filter((each) => each.verdict !== "local").sort(worstFirst)) {
    const key = alikeKey(one);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].slice(0, MOST_PATHS).map((group, i) =>
    pathFigure(`path-${index}-${i}`, pathOfDirection(group[0], group.length - 1)));
}

// RDMA transfers between two nodes: memory, and every rail that was measured.
function writesPath(file, index) {
  const { content } = file;
  const ports = (name) => content.rails.map((rail) => ({ name: rail[name], used: rail.gbps !== null }));
  const ends = [content.environment.hostname, content.peer_environment?.hostname ?? content.peer];
  const title = `${ends[0]} → ${ends[1]}`;
  return pathFigure(`writes-${index}`, { title, badge: h("span", { class: "badge open" }, operationOf(content)),
    alike: 0, figures: rate(content.all_rails.gbps), route: ROUTES.rdma,
    sender: { name: ends[0], note: content.environment.kernel, gpu: "", ports: ports("device") },
    receiver: { name: ends[1], note: content.peer, gpu: "", ports: ports("peer_device") },
    inWords: `${title}: ${operationOf(content)} over ${plural(content.rails.length, "rail")}.` });
}

const MOST_RANKS = 64;
function ranksTable(run) {
  const { ranks } = run.content;
  const rows = table("Ranks", [{ title: "Rank", key: true }, { title: "Node" }, { title: "Backend" },
    { title: "Buffers" }, { title: "Rails", code: true }, { title: "Sent", number: true }, { title: "Ceiling", number: true }],
  ranks.slice(0, MOST_RANKS).map((rank) => [`rank ${rank.rank}`, rank.node, rank.backend,
    rank.device || "host memory", rank.rails.join(", "), rate(rank.gbps), rate(rank.ceiling_gbps)]));
  if (ranks.length <= 8) return rows;
  return h("details", null, h("summary", null, ranks.length > MOST_RANKS
    ? `The first ${MOST_RANKS} of ${ranks.length} ranks` : `All ${ranks.length} ranks`), rows);
}

function nodesTable(sweep) {
  const { content } = sweep;
  const byNode = unique(content.nodes).slice(0, 64).map((node) => {
    const ranks = content.nodes.flatMap((name, rank) => name === node ? [rank] : []);
    return [node || "?", plural(ranks.length, "rank"), ranks.slice(0, 16).join(", "),
      [content.backend.name, ...content.backend.transports].join(", "), content.backend.device || content.memory];
  });
  return table("Nodes and ranks", [{ title: "Node", key: true }, { title: "Ranks", number: true },
    { title: "Numbers" }, { title: "Backend" }, { title: "Memory" }], byNode);
}

function pathSection(data) {
  const runs = filesOf(data, "verify");
  const writes = filesOf(data, "verbs");
  const pictures = [...runs.map(ringOf).filter(Boolean), ...runs.flatMap(runPaths), ...(runs.length === 0 ? writes.map(writesPath) : [])];
  const sweeps = filesOf(data, "collectives");
  const tables = [...runs.map(ranksTable), ...(runs.length === 0 ? sweeps.slice(0, 1).map(nodesTable) : [])];  // two sweeps are of the same place
  if (pictures.length + tables.length === 0) return null;
  return section("topology", "Topology and path", null, pictures,
    pictures.length === 0
      ? h("p", { class: "quiet small" }, "Which way the bytes went is not in these files: add the result of railhead verify.")
      : h("ul", { class: "legend path-legend", "aria-label": "Lines" },
        [["taken", "carries the bytes"], ["impossible", "not possible on this hardware"],
          ["missed", "possible, not used"], ["doubt", "in doubt"]].map(([way, words]) =>
          h("li", null, h("span", { class: `way-sample ${way}`, "aria-hidden": "true" }), h("span", { class: "quiet" }, words)))),
    tables);
}

const MOST_DIRECTIONS = 64;

function directionDetails(one) {
  return h("details", { class: "direction" },
    h("summary", null, h("span", { class: "direction-name" }, `${rankName(one.sender)} → ${rankName(one.receiver)}`), " ",
      verdictBadge(one.verdict), h("span", { class: "quiet" }, ` ${directionFigures(one)}`)),
    h("p", null, `${one.reason} (rule ${one.rule}).`),
    one.findings.length === 0 ? null : h("ul", null, one.findings.map((finding) => h("li", null, finding.text))),
    one.remedies.length === 0 ? null
      : h("p", null, h("strong", null, "What to do: "), one.remedies.join("; ")),
    table(`Evidence of ${one.from} to ${one.to}`, [{ title: "Evidence", key: true }, { title: "Says" },
      { title: "Speaks for" }, { title: "Read from", code: true }],
    one.evidence.map((piece) => [piece.what, piece.value,
      piece.supports === "nothing" ? h("span", { class: "quiet" }, "nothing") : piece.supports, piece.where])));
}

function directionsSection(data) {
  const directions = filesOf(data, "verify").flatMap(directionsOf).sort(worstFirst);
  if (directions.length === 0) return null;
  const left = directions.length - MOST_DIRECTIONS;
  const failures = filesOf(data, "verify").flatMap((run) => run.content.failures);
  return section("directions", "Directions and their evidence", plural(directions.length, "direction"),
    failures.length === 0 ? null : h("ul", { class: "alarm" },
      failures.slice(0, 16).map((failure) => h("li", null, failure))),
    directions.slice(0, MOST_DIRECTIONS).map(directionDetails),
    left > 0 ? h("p", { class: "quiet small" }, `${left} more are in the file; the worst are shown.`) : null);
}

function doctorRows(node, severity) {
  return node.checks.flatMap((check) => check.findings
    .filter((finding) => finding.severity === severity)
    .map((finding) => h("li", { class: `finding ${severity}` },
      h("p", null, h("span", { class: severity === "notice" ? "badge open" : "badge bad" }, severity), " ",
        h("strong", null, `${node.node}: ${finding.subject}`), " ", h("code", null, check.check)),
      h("p", null, finding.consequence),
      finding.remedy === "" ? null : h("p", null, h("strong", null, "What to do: "), finding.remedy),
      h("p", { class: "quiet small" }, finding.evidence))));
}

function doctorSection(data) {
  const nodes = filesOf(data, "doctor").flatMap((file) => file.content.nodes);
  if (nodes.length === 0) return null;
  const found = ["broken", "degraded", "notice"].flatMap((severity) =>
    nodes.flatMap((node) => doctorRows(node, severity)));
  const blind = nodes.flatMap((node) => node.checks.filter((check) => check.cannot_run !== "")
    .map((check) => [check.check, node.node, check.cannot_run]));
  const ran = nodes.flatMap((node) => node.checks).length - blind.length;
  return section("doctor", "Doctor's findings", `${plural(ran, "check")} ran on ${plural(nodes.length, "node")}`,
    found.length === 0 ? h("p", null, "Nothing was found.") : h("ul", { class: "findings" }, found.slice(0, 100)),
    found.length > 100 ? h("p", { class: "quiet small" }, `${found.length - 100} more are in the file.`) : null,
    blind.length === 0 ? null : h("details", null,
      h("summary", null, `${plural(blind.length, "check")} could not run`),
      table("Checks that could not run", [{ title: "Check", key: true }, { title: "Node" }, { title: "Why" }], blind)));
}
