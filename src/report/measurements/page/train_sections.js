// Training runs: loss and speed over the steps, where the time went, what they stood on, and two of
// them against each other.

const MOST_SHOWN = 64;
const lossInWords = (loss) => String(Number(loss.toPrecision(6)));
const speedParts = (speed) => scaled(speed, ["tokens/s", "k tokens/s", "M tokens/s", "G tokens/s"], 1000);
const speedInWords = (speed) => inWords(speedParts(speed));
const percentInWords = (percent) => `${threeDigits(percent)} %`;
const wholeNumber = (value) => Number.isSafeInteger(value) ? String(value) : `about ${value}`;

const rangeOfLoss = (_, low, high) => {
  if (low === null || low === undefined) return [0, 1];
  const room = Math.max((high - low) * 0.08, Math.abs(high) * 0.001, 1e-9);
  return [low - room, high + room];
};

function figuresOfRun({ manifest, ...content }) {
  const { metrics } = manifest;
  const { split } = content;
  const restarts = restartsOf({ manifest, ...content });
  return [
    metrics.last_loss !== null && figure("Last loss", { number: lossInWords(metrics.last_loss), unit: "" },
      `${metrics.first_loss === null ? "" : `from ${lossInWords(metrics.first_loss)} `}in ${plural(metrics.steps, "step")}`),
    speedOfRun(manifest) !== null && figure("Speed", speedParts(speedOfRun(manifest)), `over ${plural(manifest.place.ranks, "rank")}, mean of all steps`),
    split.exposed !== null && split.seconds > 0 && figure("Waited for the network",
      { number: threeDigits(split.exposed / split.seconds * 100), unit: "%" }, "of a step's time"),
    figure("Started again", { number: String(restarts), unit: restarts === 1 ? "time" : "times" },
      metrics.lost_steps > 0 ? `${plural(metrics.lost_steps, "step")} done twice` : null),
  ];
}

function figuresOfPair({ difference, scaling, steps }) {
  return [
    steps > 0 && (difference
      ? figure("Losses part at step", { number: wholeNumber(difference.step), unit: "" }, "the first whose losses are not the same")
      : figure("Losses", { number: "the same", unit: "" }, `to the last bit, at ${plural(steps, "step")}`)),
    scaling && figure("Scaling efficiency", { number: threeDigits(scaling.efficiency * 100), unit: "%" },
      `${scaling.more_ranks} ranks against ${scaling.fewer_ranks}`),
  ];
}

function trainFigures(data) {
  const runs = trainRuns(data);
  if (data.runs) return figuresOfPair(data.runs);
  return runs.length === 1 ? figuresOfRun(runs[0].content) : [];
}

function trainCharts(data) {
  const runs = trainRuns(data);
  const xs = rising(runs.flatMap(({ content }) => content.steps.map((step) => step.step)));
  if (xs.length < 2) return null;
  const marks = marksOfRuns(runs, xs);
  const parted = data.runs?.difference
    ? [{ name: "losses part", colour: "--bad", line: true, solid: true, xs: [data.runs.difference.step] }] : [];
  const losses = curvesOverSteps(runs, xs, "loss", lossOf);
  const speeds = curvesOverSteps(runs, xs, "speed", speedOf);
  if (losses.length + speeds.length === 0) return null;
  const thinned = runs.filter(({ content }) => content.steps_told > content.steps.length);
  return section("training", "Loss and speed", "over the steps, as rank 0 told them",
    h("div", { class: "charts" },
      losses.length === 0 ? null : chart({ title: "Loss", xs, x: BY_STEP, series: losses, inWords: lossInWords, range: rangeOfLoss, marks: [...marks, ...parted] }),
      speeds.length === 0 ? null : chart({ title: "Tokens per second, of all ranks", xs, x: BY_STEP, series: speeds, inWords: speedInWords,
        onAxis: (speed) => speedInWords(speed).replace(/ ?tokens\/s/, ""), marks })),
    h("p", { class: "quiet small" }, "A step that was done twice counts as it was done last. ",
      thinned.map(({ content }) => `Drawn are ${content.steps.length} of the ${content.steps_told} steps of ${content.manifest.id}. `)));
}

function runsSection(data) {
  const { runs } = data;
  if (!runs) return null;
  const { difference, scaling } = runs;
  const loss = (value) => value === null ? "none" : String(value);
  const facts = [
    ["Compared", `the losses of ${plural(runs.steps, "step")}`],
    ["First difference in loss", runs.steps === 0 ? "" : !difference ? "none: the same to the last bit"
      : `at step ${difference.step}: ${loss(difference.first)} and ${loss(difference.second)}`],
    ["The same until", difference ? difference.equal_until === null ? "from the first step on they differ" : `step ${difference.equal_until}` : ""],
    ["Speed", scaling ? `${speedInWords(scaling.more_tokens_per_second)} with ${plural(scaling.more_ranks, "rank")}, `
      + `${speedInWords(scaling.fewer_tokens_per_second)} with ${scaling.fewer_ranks}` : ""],
    ["Scaling efficiency", scaling ? percentInWords(scaling.efficiency * 100) : ""],
  ].filter(([, value]) => value !== "");
  return section("runs", "Two runs", `${runs.first} and ${runs.second}`, factList(facts),
    h("p", { class: "quiet small" }, scaling ? "Scaling: tokens/s of the larger run over those of the smaller one times the ratio of the ranks. "
        + "It says something of the same model only. " : null,
      "Checkpoints are compared by ", h("code", null, "railhead train compare"), "."));
}

function timeRow({ content: { split } }, name) {
  const told = ["compute", "exposed", "data"].map((part) => split[part] ?? 0);
  const rest = Math.max(0, split.seconds - told.reduce((total, part) => total + part, 0));
  const cell = (part) => part === null ? null : `${time(part / split.steps * 1e6)} (${percentInWords(part / split.seconds * 100)})`;
  return [name, time(split.seconds / split.steps * 1e6), cell(split.compute), cell(split.exposed), cell(split.data), cell(rest), cell(split.hidden)];
}

function stepTimeSection(data) {
  const runs = trainRuns(data);
  const names = runNames(runs);
  const told = runs.map((run, i) => ({ ...run, name: names[i] })).filter(({ content }) => content.split.steps > 0 && content.split.seconds > 0);
  if (told.length === 0) return null;
  const charts = told.map((run) => {
    const shares = sharesOfTime(run.content.steps);
    if (shares.xs.length < 2) return null;
    return chart({ title: runs.length === 1 ? "Share of a step's time" : `${run.name}: share of a step's time`, xs: shares.xs, x: BY_STEP,
      series: stackedCurves(shares), inWords: percentInWords, range: (_, low, high) => [0, Math.max(100, high ?? 0)],
      marks: marksOfRuns([run], shares.xs) });
  });
  return section("step-time", "Where a step's time went", "means of rank 0",
    h("div", { class: "charts" }, charts),
    table("A step's time", [{ title: "Run", key: true }, { title: "A step", number: true }, { title: "Computing", number: true },
      { title: "Waiting for the network", number: true }, { title: "Waiting for data", number: true }, { title: "Rest", number: true },
      { title: "Hidden behind computing", number: true }], told.map((run) => timeRow(run, run.name))),
    h("p", { class: "quiet small" }, "Communication behind computing takes no time of its own: it is in none of the areas."));
}

function lastLines(attempt) {
  if (attempt.last_lines.length === 0) return null;
  return h("details", null,
    h("summary", null, `Start ${attempt.number}: last lines${attempt.rank === null ? "" : ` of rank ${attempt.rank}`}${attempt.node === "" ? "" : ` on ${attempt.node}`}`),
    h("pre", { class: "last-lines", tabindex: "0" }, attempt.last_lines.join("\n")));
}

function attemptsSection(data) {
  const runs = trainRuns(data).filter(({ content }) => content.manifest.attempts.length > 0);
  const names = runNames(runs);
  if (runs.length === 0) return null;
  return section("attempts", "Starts", "the newest last", runs.map(({ content }, i) => {
    const shown = content.manifest.attempts.slice(-MOST_SHOWN);
    const left = content.manifest.attempts.length - shown.length + content.attempts_left_out;
    return h("div", { class: "training" }, runs.length > 1 ? h("h3", null, names[i]) : null,
      left > 0 ? h("p", { class: "quiet small" }, `${left} earlier ones are not shown.`) : null,
      table("Starts", [{ title: "Start", key: true }, { title: "From step", number: true }, { title: "Started" }, { title: "Took", number: true },
        { title: "End" }, { title: "Reason" }],
      shown.map((one) => [String(one.number), one.from_step === null ? "the beginning" : String(one.from_step), dateInWords(one.started),
        time(one.seconds * 1e6), h("span", { class: one.end === "finished" ? "good-word" : one.end === "failed" || one.end === "hung" ? "bad-word" : "quiet" }, one.end),
        one.reason])),
      shown.map(lastLines));
  }));
}

const namesAndValues = (object) => Object.entries(object).map(([name, value]) => `${name} ${value}`).join(", ");

function factsOfRun({ manifest, model, state, checkpoints_left_out: more }) {
  const { code, place, verdict, checkpoints } = manifest;
  const last = checkpoints[checkpoints.length - 1];
  return [["Run", manifest.id], ["State", state], ["Started", dateInWords(manifest.started)], ["Ended", dateInWords(manifest.ended)],
    ["Replay of", manifest.replay_of], ["Command", manifest.command.join(" ")], ["Code", code.revision === "" ? code.folder
      : `${code.revision}${code.modified ? ", with changes" : ""}, ${code.folder}`],
    ["Seed", wholeNumber(manifest.seed)], ["Place", `${place.on}, ${plural(place.ranks, "rank")}`],
    ["Nodes", unique(place.order).slice(0, 16).join(", ")], ["Image", manifest.image], ["Image digest", manifest.image_digest], ["Profile", manifest.profile],
    ["Verdict before it", verdict === null ? "" : [verdict.verdict, !verdict.expected && "not as expected",
      verdict.share !== null && `${percentInWords(verdict.share * 100)} of the ceiling`].filter(Boolean).join(", ")],
    ["Checkpoints", last ? `${checkpoints.length + more}, the last of step ${last.step}` : "none"], ["Model", namesAndValues(model)],
    ["The trainer's own", namesAndValues(manifest.facts)], ["Run by", `Railhead ${manifest.railhead}`]];
}

function inputsOfRun({ manifest }) {
  const files = [...manifest.data.map((one) => ["data", one]), ...manifest.code.scripts.map((one) => ["code", one])].slice(0, MOST_SHOWN);
  const nodes = manifest.place.nodes.slice(0, MOST_SHOWN);
  const environment = Object.entries(manifest.environment);
  return [
    files.length === 0 ? null : table("Files", [{ title: "File", key: true }, { title: "Kind" }, { title: "Size", number: true }, { title: "SHA-256" }],
      files.map(([kind, one]) => [one.path, kind, bytes(one.bytes), one.sha256])),
    nodes.length === 0 ? null : table("Nodes", [{ title: "Node", key: true }, { title: "Kernel" }, { title: "CPUs" }, { title: "GPUs" }, { title: "Driver" },
      { title: "NICs" }],
    nodes.map((one) => [one.node, `${one.kernel} ${one.architecture}`, `${one.cpus} × ${one.cpu}`, one.gpus.join(", "),
      [one.driver, one.cuda && `CUDA ${one.cuda}`, one.nccl && `NCCL ${one.nccl}`].filter(Boolean).join(", "), one.nics.join(", ")])),
    environment.length === 0 ? null : h("details", null, h("summary", null, `Environment, ${plural(environment.length, "variable")}`),
      h("pre", { class: "last-lines", tabindex: "0" }, environment.map(([name, value]) => `${name}=${value}`).join("\n"))),
  ];
}

function inputsSection(data) {
  const runs = trainRuns(data);
  if (runs.length === 0) return null;
  const names = runNames(runs);
  return section("inputs", "What the runs stood on", "as their manifests say", runs.map(({ content }, i) =>
    h("div", { class: "training" }, runs.length > 1 ? h("h3", null, names[i]) : null, inputsOfRun(content))));
}
