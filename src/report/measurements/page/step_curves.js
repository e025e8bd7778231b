// From the steps of training runs to curves over the steps. Pure.

const trainRuns = (data) => filesOf(data, "train");

// Runs are told apart by their ids, where these differ.
function runNames(runs) {
  const ids = runs.map(({ content }) => content.manifest.id);
  return unique(ids).length === ids.length ? ids : ids.map((id, i) => `${id} (${i + 1})`);
}

const LARGEST = 1e39;  // beyond it there is nothing to draw
const drawable = (value) => value === null || !(Math.abs(value) < LARGEST) ? null : value;
const lossOf = (step) => drawable(step.loss);
const speedOf = (step) => step.tokens === null || !(step.seconds > 0) ? null : drawable(step.tokens / step.seconds);

const speedOfRun = ({ metrics }) =>
  metrics.tokens > 0 && metrics.seconds > 0 ? drawable(metrics.tokens / metrics.seconds) : null;
const restartsOf = ({ manifest, attempts_left_out: more }) => Math.max(0, manifest.attempts.length + more - 1);

const runColour = (index) => `--rail-${index % 8}`;

// One curve for each run that tells of it; of two, the second lets the first be seen below it.
function curvesOverSteps(runs, xs, what, pick) {
  const names = runNames(runs);
  return runs.map(({ content }, i) => {
    const own = new Map(content.steps.map((step) => [step.step, pick(step)]));
    return { name: runs.length === 1 ? what : names[i], colour: runColour(i), dashed: runs.length === 2 && i === 1,
      values: xs.map((x) => own.get(x) ?? null) };
  }).filter((curve) => curve.values.some((value) => value !== null));
}

// Where a run wrote checkpoints and where it was started again, each from the step it went on from.
function marksOfRuns(runs, xs) {
  const names = runNames(runs);
  const one = runs.length === 1;
  return runs.flatMap(({ content: { manifest } }, i) => {
    const prefix = one ? "" : `${names[i]} `;
    const again = manifest.attempts.filter((attempt) => attempt.number > 1);
    return [
      { name: `${prefix}started again`, line: true, colour: one ? "--bad" : runColour(i),
        xs: again.map((attempt) => Math.max(xs[0], attempt.from_step ?? 0)) },
      { name: `${prefix}checkpoint`, colour: one ? "--good" : runColour(i),
        xs: manifest.checkpoints.map((checkpoint) => checkpoint.step) }];
  }).filter((mark) => mark.xs.length > 0);
}

const MOST_BINS = 96;
const tellsSplit = ({ seconds: whole, split }) => whole > 0 && Object.values(split).some((part) => part !== null);

// Parts of the steps' time in percent, over a few steps each: single ones jump. What overlaps with
// computing is no part of the whole.
function sharesOfTime(steps) {
  const told = steps.filter(tellsSplit);
  const each = Math.max(1, Math.ceil(told.length / MOST_BINS));
  const bins = Array.from({ length: Math.ceil(told.length / each) }, (_, i) => told.slice(i * each, (i + 1) * each));
  const column = (part) => !told.some((step) => step.split[part] !== null) ? null : bins.map((bin) => {
    const sum = (pick) => bin.reduce((total, step) => total + (pick(step) ?? 0), 0);
    return drawable(sum((step) => step.split[part]) / sum((step) => step.seconds) * 100);
  });
  const parts = { compute: column("compute"), exposed: column("exposed"), data: column("data"), hidden: column("hidden") };
  parts.rest = bins.map((_, i) =>
    Math.max(0, 100 - ["compute", "exposed", "data"].reduce((total, part) => total + (parts[part]?.[i] ?? 0), 0)));
  return { each, xs: bins.map((bin) => bin[bin.length - 1].step), parts };
}

const TIME_PARTS = [["compute", "computing", "--rail-2"], ["exposed", "waiting for the network", "--rail-1"],
  ["data", "waiting for data", "--rail-3"], ["rest", "the rest", "--reference"]];
const HIDDEN_PART = ["hidden", "communication behind computing", "--rail-0"];

// Areas one on the other, and as a line what lies behind computing.
function stackedCurves({ xs, parts }) {
  let floor = xs.map(() => 0);
  const areas = TIME_PARTS.filter(([part]) => parts[part] !== null).map(([part, name, colour]) => {
    const top = floor.map((below, i) => below + (parts[part][i] ?? 0));
    const area = { name, colour, floor, values: top, said: parts[part] };
    floor = top;
    return area;
  });
  const [part, name, colour] = HIDDEN_PART;
  return parts[part] === null ? areas : [...areas, { name, colour, dashed: true, reference: true, values: parts[part] }];
}
