// A line chart by uPlot, with what a canvas lacks: a legend, a keyboard, a table of the same figures.

const allCharts = [];
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const wash = (name) => `${ink(name)}2e`;  // the palette is #rrggbb

// At most `most` of the sizes as labels, evenly spread, the last one among them.
function spreadOut(values, most) {
  const step = Math.max(1, Math.ceil(values.length / most));
  return values.filter((_, i) => (values.length - 1 - i) % step === 0);
}

const axisStyle = () => ({
  stroke: () => ink("--ink-2"), font: `12px ${ink("--sans")}`,
  grid: { stroke: () => ink("--line"), width: 1 },
  ticks: { stroke: () => ink("--line"), width: 1, size: 4 },
});

// The columns uPlot draws. A series with an interval has two more, whose area between is filled.
function columnsOf(spec) {
  const data = [spec.xs];
  const series = [{}];
  const bands = [];
  for (const one of spec.series) {
    data.push(one.values);
    series.push({
      stroke: () => ink(one.colour), width: one.reference ? 1.5 : 2,
      dash: one.dashed ? [6, 5] : undefined,
      points: one.reference ? { show: false } : { show: true, size: 6, fill: () => ink(one.colour) },
      spanGaps: true, scale: "y",
    });
    if (!one.highs) continue;
    const quiet = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true, scale: "y" };
    data.push(one.highs, one.lows);
    series.push({ ...quiet }, { ...quiet });
    bands.push({ series: [data.length - 2, data.length - 1], fill: () => wash(one.colour) });
  }
  return { data, series, bands };
}

// In words what stands at one size, for the line below the chart and for a screen reader.
function reading(spec, at) {
  const values = spec.series.filter((one) => one.values[at] !== null && one.values[at] !== undefined)
    .map((one) => `${one.name} ${spec.inWords(one.values[at])}`);
  return `${bytes(spec.xs[at])}: ${values.join(", ")}`;
}

function optionsOf(spec, columns, onPoint) {
  const [first, last] = [spec.xs[0], spec.xs[spec.xs.length - 1]];
  const shown = columns.series.map((one) => one.stroke !== "transparent");
  return {
    width: 640, height: 260,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false },
      points: { size: (_, i) => shown[i] ? 8 : 0 } },
    scales: {
      x: { time: false, distr: 3, log: 2, range: () => [first / 1.25, last * 1.25] },
      y: { range: spec.range ?? ((_, low, high) => [0, high > 0 ? high * 1.08 : 1]) },
    },
    axes: [
      { ...axisStyle(), size: 34, splits: (u) => spreadOut(spec.xs, Math.max(2, u.width / 90)),
        filter: (_, splits) => splits, values: (_, splits) => splits.map(bytes) },
      { ...axisStyle(), size: 74, values: (_, splits) => splits.map(spec.inWords) },
    ],
    series: columns.series, bands: columns.bands,
    hooks: { setCursor: [(u) => onPoint(u.cursor.idx)] },
  };
}

// Left and right go from size to size; the slider's role lets a screen reader say each.
function chartArea(spec, readout) {
  const most = spec.xs.length - 1;
  const area = h("div", { class: "chart-area", tabindex: "0", role: "slider",
    "aria-label": `${spec.title}, by size`, "aria-valuemin": "0", "aria-valuemax": String(most),
    "aria-valuenow": String(most), "aria-valuetext": reading(spec, most) });
  let at = most;
  const columns = columnsOf(spec);
  const plot = new uPlot(optionsOf(spec, columns, (index) => {
    if (index === null || index === undefined) return;
    at = index;
    readout.textContent = clean(reading(spec, at));
    area.setAttribute("aria-valuenow", String(at));
    area.setAttribute("aria-valuetext", clean(reading(spec, at)));
  }), columns.data, area);
  const goTo = (index) => {
    at = Math.min(most, Math.max(0, index));
    plot.setCursor({ left: plot.valToPos(spec.xs[at], "x"), top: 10 });
  };
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -most, End: most };
  area.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    goTo(at + steps[event.key]);
  });
  area.addEventListener("focus", () => goTo(at));
  allCharts.push({ area, plot });
  return area;
}

function chartLegend(spec) {
  return h("ul", { class: "legend chart-legend" }, spec.series.map((one) =>
    h("li", null, h("span", { class: one.dashed ? "key-line dashed" : "key-line", "aria-hidden": "true",
      style: `--key:var(${one.colour})` }), one.name)));
}

function chartTable(spec) {
  const cell = (one, i) => {
    const value = one.values[i];
    if (value === null || value === undefined) return "";
    if (!one.highs || one.highs[i] === null) return spec.inWords(value);
    return `${spec.inWords(value)} (${spec.inWords(one.lows[i])} to ${spec.inWords(one.highs[i])})`;
  };
  return h("details", { class: "as-table" }, h("summary", null, "As a table"),
    table(spec.title, [{ title: "Size", key: true },
      ...spec.series.map((one) => ({ title: one.name, number: true }))],
    spec.xs.map((x, i) => [bytes(x), ...spec.series.map((one) => cell(one, i))])));
}

// spec: title, xs (sizes, rising), series [{name, colour, values, lows, highs, dashed, reference}],
// inWords (a value with its unit), range (of the y axis; from 0 when left out).
function chart(spec) {
  const readout = h("p", { class: "readout", "aria-hidden": "true" }, reading(spec, spec.xs.length - 1));
  return h("figure", { class: "chart" }, h("figcaption", null, spec.title),
    chartArea(spec, readout), readout, chartLegend(spec), chartTable(spec));
}

function fitCharts() {
  for (const { area, plot } of allCharts) {
    const width = area.clientWidth;
    if (width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
  }
}

function keepChartsFitting() {
  fitCharts();
  const observer = new ResizeObserver(fitCharts);
  for (const { area } of allCharts) observer.observe(area);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { plot } of allCharts) plot.redraw();
  });
}
