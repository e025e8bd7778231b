// A search for settings: default against tuned, what single knobs did, what came of it.

const signedPercent = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${threeDigits(Math.abs(value))} %`;
const percentOf = (factor) => (factor - 1) * 100;

const gainInWords = (gain) => gain.pairs === 0 ? null
  : `${signedPercent(percentOf(gain.factor))} (${signedPercent(percentOf(gain.low95))} to ${signedPercent(percentOf(gain.high95))})`;

const gainWord = (gain) => h("span", { class: gain.better ? "good-word" : "quiet" }, gainInWords(gain) ?? "the default stays");

// The sizes that the fresh run timed, one chart of times and one of gains for each operation.
function chartsOfTuning(content) {
  const timed = content.sizes.filter((one) => one.default_seconds > 0);
  return unique(timed.map((one) => one.operation)).flatMap((operation) => {
    const own = new Map(timed.filter((one) => one.operation === operation).map((one) => [one.bytes, one]));
    const xs = rising([...own.keys()]);
    if (xs.length < 2) return [];
    const column = (pick) => xs.map((x) => pick(own.get(x)));
    return [
      chart({ title: `${operation}: time of a call`, xs, inWords: time, series: [
        { name: "default", colour: "--reference", dashed: true, values: column((one) => one.default_seconds * 1e6) },
        { name: "tuned", colour: "--rail-0", values: column((one) => one.tuned_seconds * 1e6) }] }),
      chart({ title: `${operation}: faster than the default`, xs, inWords: signedPercent,
        range: (_, low, high) => [Math.min(low * 1.15, -2), Math.max(high * 1.15, 2)],
        series: [{ name: "tuned", colour: "--rail-0", values: column((one) => percentOf(one.gain.factor)),
          lows: column((one) => percentOf(one.gain.low95)), highs: column((one) => percentOf(one.gain.high95)) },
        { name: "default", colour: "--ink-2", dashed: true, reference: true, values: xs.map(() => 0) }] }),
    ];
  });
}

// What stood beside the calls of overlapped sizes, and how much of the shorter of the two it hid.
function besideCompute(content) {
  const rows = (content.overlap ?? []).map((one) => [one.operation, bytes(one.bytes), time(one.call_seconds * 1e6), time(one.compute_seconds * 1e6),
    ...[one.default_hidden, one.tuned_hidden].map((hidden) => hidden === null ? null : `${threeDigits(Math.round(hidden * 100))} %`)]);
  if (rows.length === 0) return null;
  return [h("h3", null, "Beside compute"),
    table("Beside compute", [{ title: "Operation", key: true }, { title: "Size", number: true }, { title: "Call alone", number: true },
      { title: "Compute alone", number: true }, { title: "Default hides", number: true }, { title: "Tuned hides", number: true }], rows),
    h("p", { class: "quiet small" }, "Times above are of a call and the compute beside it, until both are done. ",
      "100 %: the shorter of the two cost nothing; 0 %: one came behind the other.")];
}

function tuneCharts(data) {
  const files = filesOf(data, "tune");
  if (files.length === 0) return null;
  return section("tuning", "Default and tuned", "medians of a fresh run", files.map(({ file, content }) =>
    h("div", { class: "tuning" }, files.length > 1 ? h("h3", null, baseName(file)) : null,
      content.validated || content.end !== "interrupted" ? null : h("p", { class: "alarm" }, "Not validated: all of it is an estimate."),
      h("div", { class: "charts" }, chartsOfTuning(content)),
      table("Every size", [{ title: "Operation", key: true }, { title: "Size", number: true }, { title: "Default", number: true },
        { title: "Tuned", number: true }, { title: "Gain" }, { title: "Setting", code: true }],
      content.sizes.map((one) => [one.operation, bytes(one.bytes),
        one.default_seconds > 0 ? time(one.default_seconds * 1e6) : null,
        one.tuned_seconds > 0 ? time(one.tuned_seconds * 1e6) : null, gainWord(one.gain), one.setting])),
      besideCompute(content),
      h("p", { class: "quiet small" }, "Shaded, and in brackets: the 95 % interval. A size keeps the default unless its interval excludes no change."))));
}

const MOST_EFFECTS = 40;

// Of each knob's steps, those that did most in either direction first.
function effectRows(content) {
  const weight = (one) => Math.abs(Math.log(one.gain.factor));
  return [...content.effects].sort((a, b) => weight(b) - weight(a)).slice(0, MOST_EFFECTS)
    .map((one) => [one.step, gainInWords(one.gain), one.gain.better ? "faster" : one.gain.high95 < 1 ? "slower" : "no proof"]);
}

function knobsSection(data) {
  const files = filesOf(data, "tune").filter(({ content }) => content.effects.length + content.condemned.length > 0);
  if (files.length === 0) return null;
  return section("knobs", "What single knobs did", "against the default, by the objective", files.map(({ file, content }) =>
    h("div", { class: "tuning" }, files.length > 1 ? h("h3", null, baseName(file)) : null,
      content.effects.length === 0 ? null
        : table("Knobs", [{ title: "Step", key: true, code: true }, { title: "Gain", number: true }, { title: "Says" }], effectRows(content)),
      content.effects.length > MOST_EFFECTS ? h("p", { class: "quiet small" }, `${content.effects.length - MOST_EFFECTS} more are in the file.`) : null,
      content.condemned.length === 0 ? null
        : [h("h3", null, "Never again"), table("What failed", [{ title: "Setting", key: true, code: true }, { title: "Outcome" }, { title: "What was seen" }],
          content.condemned.map((one) => [one.setting, one.outcome, one.detail]))])));
}

function profileSection(data) {
  const files = filesOf(data, "tune").filter(({ content }) => content.environment.length + content.table.length > 0);
  if (files.length === 0) return null;
  return section("profile", "Profile", "what a rank gets", files.map(({ file, content }) =>
    h("div", { class: "tuning" }, files.length > 1 ? h("h3", null, baseName(file)) : null,
      h("pre", { class: "profile-lines", tabindex: "0" },
        [...content.environment.map((one) => `${one.name}=${one.value}`), ...content.table].join("\n")))));
}
