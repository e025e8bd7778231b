// Sweeps of collectives: bandwidth and time over the size, and one sweep against another.

const SMALL = 256 * 1024;  // up to here it is latency that counts

function busbwCharts(data) {
  const sweeps = filesOf(data, "collectives");
  const lines = allLines(sweeps);
  if (lines.length === 0) return null;
  const names = sweepNames(sweeps);
  const ceiling = ceilingFor(data, sweeps);
  const charts = unique(lines.map((line) => line.operation)).map((operation) => {
    const own = lines.filter((line) => line.operation === operation);
    const xs = rising(own.map((line) => line.bytes));
    const series = curvesOf(own, xs, names, busbwOf);
    if (ceiling !== null) {
      series.push({ name: "ceiling", colour: "--ink-2", dashed: true, reference: true,
        values: xs.map(() => ceiling) });
    }
    return chart({ title: `${operation}: bus bandwidth`, xs, series, inWords: byteRate });
  });
  const source = data.ceiling?.file ? `${baseName(data.ceiling.file)}: ` : "";
  return section("busbw", "Bandwidth by size", "busbw, as nccl-tests count it",
    h("div", { class: "charts" }, charts),
    h("p", { class: "quiet small" }, "Shaded: 95 % interval of the mean. ",
      ceiling === null ? "No ceiling is drawn: no file tells that of this path; give --ceiling RATE. "
        : `Ceiling: ${rate(data.ceiling.gbps)} of payload (${source}${data.ceiling.explanation}).`));
}

function latencyCharts(data) {
  const sweeps = filesOf(data, "collectives");
  const small = allLines(sweeps).filter((line) => line.bytes <= SMALL);
  const charts = unique(small.map((line) => line.operation)).map((operation) => {
    const own = small.filter((line) => line.operation === operation);
    const xs = rising(own.map((line) => line.bytes));
    if (xs.length < 2) return null;
    return chart({ title: `${operation}: time of a call`, xs,
      series: curvesOf(own, xs, sweepNames(sweeps), meanTimeOf), inWords: time });
  }).filter(Boolean);
  if (charts.length === 0) return null;
  return section("latency", "Latency by size", `mean, up to ${bytes(SMALL)}`,
    h("div", { class: "charts" }, charts));
}

// "all_reduce float32 1048576 in place" with a size that a person can read.
const lineInWords = (key) => key.replace(/ (\d+)\b/, (_, size) => ` ${bytes(Number(size))}`);

const CHANGES = { slower: "bad-word", faster: "good-word", same: "quiet", undecided: "quiet" };

function comparedRow(line) {
  const percent = (line.ratio - 1) * 100;
  return [lineInWords(line.line), time(line.before_us), time(line.after_us),
    `${percent >= 0 ? "+" : "−"}${threeDigits(Math.abs(percent))} %`,
    line.p < 0.0001 ? "< 0.0001" : line.p.toFixed(4),
    h("span", { class: CHANGES[line.change] ?? "quiet" }, line.change)];
}

function changeCharts(data) {
  const lines = allLines(filesOf(data, "collectives"));
  const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${threeDigits(Math.abs(value))} %`;
  return unique(lines.map((line) => line.operation)).map((operation) => {
    const own = lines.filter((line) => line.operation === operation);
    const xs = rising(own.map((line) => line.bytes));
    const series = unique(own.map(variantOf))
      .map((variant, i) => changeCurve(own, xs, variant, `--rail-${i % 8}`))
      .filter((curve) => curve.values.some((value) => value !== null));
    if (series.length === 0) return null;
    series.push({ name: "as before", colour: "--ink-2", dashed: true, reference: true, values: xs.map(() => 0) });
    return chart({ title: `${operation}: time after against before`, xs, series, inWords: signed,
      range: (_, low, high) => [Math.min(low * 1.15, -2), Math.max(high * 1.15, 2)] });
  }).filter(Boolean);
}

function comparisonSection(data) {
  const { comparison } = data;
  if (!comparison) return null;
  const [before, after] = filesOf(data, "collectives").map((one) => one.file);
  return section("comparison", "Before and after", `${before} → ${after}`,
    h("div", { class: "charts" }, changeCharts(data)),
    comparison.lines.length === 0 ? null
      : h("details", { open: comparison.lines.length <= 40 },
        h("summary", null, `All ${plural(comparison.lines.length, "line")}`),
        table("Lines compared", [{ title: "Line", key: true }, { title: "Before", number: true },
          { title: "After", number: true }, { title: "Change", number: true },
          { title: "p", number: true }, { title: "Verdict" }], comparison.lines.map(comparedRow))),
    h("p", { class: "quiet small" }, "Medians; p by Mann-Whitney, corrected for the number of lines (Holm). ",
      "Lower is faster. Shaded: 95 % interval of the ratio of means. ",
      comparison.missing.length === 0 ? null : `Only in one of them: ${comparison.missing.join("; ")}.`));
}
