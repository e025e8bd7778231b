// From the sizes of RDMA transfers to curves and rows over the size. Pure. What files from before a
// field was added lack is empty here.

const operationOf = (content) => `RDMA ${content.plan.operation ?? "write"}`;

const perSecondParts = (messages) => scaled(messages, ["/s", "k/s", "M/s", "G/s"], 1000);
const perSecond = (messages) => messages === null || messages === undefined ? null : inWords(perSecondParts(messages));

// {name, colour, sizes} of each rail alone, then of all at once where there are several.
function sizeSeries(content) {
  const rails = content.rails.map((rail) => ({ name: `Rail ${rail.rail}`, colour: `--rail-${rail.rail % 8}`, sizes: rail.sizes ?? [] }));
  if (rails.length < 2) return rails;
  return [...rails, { name: `${rails.length} rails at once`, colour: `--rail-${rails.length % 8}`, sizes: content.all_rails.sizes ?? [], atOnce: true }];
}

const sizesTimed = (series) => rising(series.flatMap((one) => one.sizes)
  .filter((one) => one.gbps !== null && one.message_bytes > 0).map((one) => one.message_bytes));

// A column over the sizes: null where there is no such figure.
function overSizes(sizes, xs, pick) {
  const own = new Map(sizes.map((one) => [one.message_bytes, pick(one)]));
  return xs.map((x) => own.get(x) ?? null);
}

// Each rail's with the interval of its mean, all at once, and the ceilings: one that several rails
// share is drawn once.
function rateCurves(content) {
  const series = sizeSeries(content);
  const xs = sizesTimed(series);
  const curves = series.map(({ name, colour, sizes }) => ({ name, colour, values: overSizes(sizes, xs, (one) => one.gbps),
    lows: overSizes(sizes, xs, (one) => one.intervals?.low95_gbps ?? one.gbps),
    highs: overSizes(sizes, xs, (one) => one.intervals?.high95_gbps ?? one.gbps) }));
  const drawn = new Set();
  for (const [index, { name, sizes }] of series.entries()) {
    const values = overSizes(sizes, xs, (one) => one.ceiling?.gbps ?? null);
    if (values.every((value) => value === null) || drawn.has(values.join())) continue;
    drawn.add(values.join());
    curves.push({ name: series.length === 1 ? "ceiling" : index + 1 === series.length ? "ceiling of all" : `ceiling of ${name.toLowerCase()}`,
      colour: index + 1 === series.length ? "--ink-2" : "--reference", dashed: true, reference: true, values });
  }
  return { xs, curves };
}

function sizeRows(content) {
  const series = sizeSeries(content);
  return sizesTimed(series).flatMap((size) => series.flatMap(({ name, sizes, atOnce }) => sizes
    .filter((one) => one.message_bytes === size && one.gbps !== null)
    .map((one) => [bytes(size), name, atOnce ? null : rate(one.gbps), rate(atOnce ? one.gbps : one.gbps_together ?? null), rate(one.ceiling?.gbps ?? null),
      share(one.gbps, one.ceiling?.gbps ?? null)])));
}
