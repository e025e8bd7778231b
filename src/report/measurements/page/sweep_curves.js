// From the lines of sweeps to curves over the size. Pure.

const filesOf = (data, kind) => data.files.filter((one) => one.kind === kind);

const baseName = (path) => path.split("/").pop();

// Two sweeps are before and after; more are told apart by their files.
function sweepNames(sweeps) {
  return sweeps.length === 2 ? ["before", "after"] : sweeps.map((one) => baseName(one.file));
}

const byteRateParts = (gigabytes) =>
  scaled(gigabytes * 1e9, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"], 1000);
const byteRate = (gigabytes) => inWords(byteRateParts(gigabytes));

const variantOf = (line) => `${line.type}${line.in_place ? ", in place" : ""}`;

// Every line with the sweep it is from: a size of 0 has no place on a logarithmic axis.
function allLines(sweeps) {
  return sweeps.flatMap((sweep, index) => sweep.content.lines
    .filter((line) => line.bytes > 0).map((line) => ({ ...line, sweep: index })));
}

const unique = (values) => [...new Set(values)];
const rising = (values) => unique(values).sort((a, b) => a - b);

// The ceiling of the path in GB/s. Ranks on one node use no path that somebody gave a ceiling of.
function ceilingFor(data, sweeps) {
  if (!data.ceiling) return null;
  const crosses = sweeps.some((sweep) => unique(sweep.content.nodes).length > 1);
  return crosses || data.ceiling.file === "" ? data.ceiling.gbps / 8 : null;
}

// One curve for each variant and sweep. `pick` gives {value, low, high} of a line.
function curvesOf(lines, xs, names, pick) {
  const variants = unique(lines.map(variantOf));
  const curves = [];
  for (const [v, variant] of variants.entries()) {
    for (const [index, sweep] of names.entries()) {
      const own = new Map(lines.filter((line) => line.sweep === index && variantOf(line) === variant)
        .map((line) => [line.bytes, pick(line)]));
      if (own.size === 0) continue;
      const column = (name) => xs.map((x) => own.get(x)?.[name] ?? null);
      const before = names.length === 2 && index === 0;
      const colour = names.length === 2
        ? v : curves.length;  // of two sweeps, a variant keeps its colour
      curves.push({
        name: [names.length > 1 && sweep, (variants.length > 1 || names.length === 1) && variant]
          .filter(Boolean).join(", "),
        colour: before && variants.length === 1 ? "--reference" : `--rail-${colour % 8}`,
        dashed: before, values: column("value"), lows: column("low"), highs: column("high"),
      });
    }
  }
  return curves;
}

const busbwOf = (line) => {
  const { mean_us: mean, low95_us: low, high95_us: high } = line.time;
  const value = line.busbw_gbytes_per_s;
  return { value, low: high > 0 ? value * mean / high : value, high: low > 0 ? value * mean / low : value };
};

const meanTimeOf = ({ time: one }) =>
  ({ value: one.mean_us, low: one.low95_us, high: one.high95_us });

// How much longer a call takes afterwards, in percent, with the 95 % interval of the ratio of means.
function changeCurve(lines, xs, variant, colour) {
  const find = (sweep, x) => lines.find((line) =>
    line.sweep === sweep && line.bytes === x && variantOf(line) === variant)?.time;
  const points = xs.map((x) => {
    const [was, is] = [find(0, x), find(1, x)];
    if (!was || !is || !(was.mean_us > 0) || !(is.mean_us > 0)) return null;
    const half = (one) => (one.high95_us - one.low95_us) / 2 / one.mean_us;
    const ratio = is.mean_us / was.mean_us;
    const spread = ratio * Math.hypot(half(was), half(is));
    return [ratio, ratio - spread, ratio + spread].map((one) => (one - 1) * 100);
  });
  return { name: variant, colour, values: points.map((one) => one?.[0] ?? null),
    lows: points.map((one) => one?.[1] ?? null), highs: points.map((one) => one?.[2] ?? null) };
}
