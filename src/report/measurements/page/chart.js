// A line chart by uPlot, with what a canvas lacks: a legend, a keyboard, a table of the same figures.

const allCharts = [];
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const wash = (name) => `${ink(name)}2e`;  // the palette is #rrggbb
const tint = (name) => `${ink(name)}8c`;

// What stands along the x axis: sizes, which double, or steps of training.
const BY_SIZE = { title: "Size", about: "by size", inWords: (value) => bytes(value) };
const wholeInWords = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });
const BY_STEP = { title: "Step", about: "by step", linear: true, inWords: (value) => `step ${wholeInWords(value)}` };
const WHOLE_STEPS = Array.from({ length: 21 }, (_, e) => [1, 2, 5].map((digit) => digit * 10 ** e)).flat();
const MOST_POINTS = 64;  // of which each gets a dot
const MOST_ROWS = 200;

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

// The columns uPlot draws. A series with an interval has two more, whose area between is filled; one
// that stands on a floor is filled down to it.
function columnsOf(spec) {
  const data = [spec.xs];
  const series = [{}];
  const bands = [];
  for (const one of spec.series) {
    data.push(one.values);
    series.push({
      stroke: () => ink(one.colour), width: one.reference ? 1.5 : 2,
      dash: one.dashed ? [6, 5] : undefined,
      points: one.reference || one.floor || spec.xs.length > MOST_POINTS ? { show: false } : { show: true, size: 6, fill: () => ink(one.colour) },
      spanGaps: true, scale: "y",
    });
    const highs = one.floor ? one.values : one.highs;
    if (!highs) continue;
    const quiet = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true, scale: "y" };
    data.push(highs, one.floor ?? one.lows);
    series.push({ ...quiet }, { ...quiet });
    bands.push({ series: [data.length - 2, data.length - 1], fill: () => one.floor ? tint(one.colour) : wash(one.colour) });
  }
  return { data, series, bands };
}

const along = (spec) => spec.x ?? BY_SIZE;
const toldBy = (one) => one.said ?? one.values;

// The marks behind the x before, up to this one.
function marksAt(spec, at, before = at - 1) {
  const [from, to] = [before < 0 ? -Infinity : spec.xs[before], spec.xs[at]];
  return (spec.marks ?? []).flatMap((mark) => {
    const here = mark.xs.filter((x) => x > from && x <= to);
    return here.length === 0 ? [] : [here.length === 1 ? mark.name : `${here.length} × ${mark.name}`];
  });
}

// In words what stands at one x, for the line below the chart and for a screen reader.
function reading(spec, at) {
  const values = spec.series.filter((one) => toldBy(one)[at] !== null && toldBy(one)[at] !== undefined)
    .map((one) => `${one.name} ${spec.inWords(toldBy(one)[at])}`);
  return `${along(spec).inWords(spec.xs[at])}: ${[...values, ...marksAt(spec, at)].join(", ")}`;
}

// Events over the curves: a line for one that parts the chart, else a wedge on the axis.
function drawMarks(u, marks) {
  const { ctx, bbox } = u;
  const dot = window.devicePixelRatio || 1;
  const foot = bbox.top + bbox.height;
  for (const mark of marks) {
    ctx.save();
    ctx.strokeStyle = ink(mark.colour);
    ctx.fillStyle = ink(mark.colour);
    ctx.lineWidth = 1.5 * dot;
    ctx.setLineDash(mark.solid ? [] : [4 * dot, 4 * dot]);
    for (const x of mark.xs) {
      const left = u.valToPos(x, "x", true);
      if (!(left >= bbox.left && left <= bbox.left + bbox.width)) continue;
      ctx.beginPath();
      if (mark.line) {
        ctx.moveTo(left, bbox.top);
        ctx.lineTo(left, foot);
        ctx.stroke();
      } else {
        ctx.moveTo(left, foot - 9 * dot);
        ctx.lineTo(left - 4.5 * dot, foot);
        ctx.lineTo(left + 4.5 * dot, foot);
        ctx.fill();
      }
    }
    ctx.restore();
  }
}

function xScale(spec) {
  const [first, last] = [spec.xs[0], spec.xs[spec.xs.length - 1]];
  if (!along(spec).linear) return { time: false, distr: 3, log: 2, range: () => [first / 1.25, last * 1.25] };
  const room = Math.max((last - first) * 0.02, 0.5);
  return { time: false, range: () => [first - room, last + room] };
}

function xAxis(spec) {
  if (along(spec).linear) {
    return { ...axisStyle(), size: 34, space: 90, incrs: WHOLE_STEPS, values: (_, splits) => splits.map(wholeInWords) };
  }
  return { ...axisStyle(), size: 34, splits: (u) => spreadOut(spec.xs, Math.max(2, u.width / 90)),
    filter: (_, splits) => splits, values: (_, splits) => splits.map(bytes) };
}

function optionsOf(spec, columns, onPoint) {
  const shown = columns.series.map((one) => one.stroke !== "transparent");
  return {
    width: 640, height: 260,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false },
      points: { size: (_, i) => shown[i] ? 8 : 0 } },
    scales: {
      x: xScale(spec),
      y: { range: spec.range ?? ((_, low, high) => [0, high > 0 ? high * 1.08 : 1]) },
    },
    axes: [
      xAxis(spec),
      { ...axisStyle(), size: 74, values: (_, splits) => splits.map(spec.onAxis ?? spec.inWords) },
    ],
    series: columns.series, bands: columns.bands,
    hooks: { setCursor: [(u) => onPoint(u.cursor.idx)], draw: [(u) => drawMarks(u, spec.marks ?? [])] },
  };
}

// Left and right go from point to point; the slider's role lets a screen reader say each.
function chartArea(spec, readout) {
  const most = spec.xs.length - 1;
  const area = h("div", { class: "chart-area", tabindex: "0", role: "slider",
    "aria-label": `${spec.title}, ${along(spec).about}`, "aria-valuemin": "0", "aria-valuemax": String(most),
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
  const entry = (kind, colour, name) => h("li", null,
    h("span", { class: kind, "aria-hidden": "true", style: `--key:var(${colour})` }), name);
  const kind = (one) => one.floor ? "key-area" : one.dashed ? "key-line dashed" : "key-line";
  return h("ul", { class: "legend chart-legend" }, spec.series.map((one) => entry(kind(one), one.colour, one.name)),
    (spec.marks ?? []).map((mark) => entry(mark.line ? `key-upright ${mark.solid ? "solid" : ""}` : "key-wedge", mark.colour, mark.name)));
}

function chartTable(spec) {
  const cell = (one, i) => {
    const value = toldBy(one)[i];
    if (value === null || value === undefined) return "";
    if (!one.highs || one.highs[i] === null) return spec.inWords(value);
    return `${spec.inWords(value)} (${spec.inWords(one.lows[i])} to ${spec.inWords(one.highs[i])})`;
  };
  const rows = unique([0, ...spreadOut(spec.xs.map((_, i) => i), MOST_ROWS)]);
  const marked = (spec.marks ?? []).length > 0;
  return h("details", { class: "as-table" },
    h("summary", null, rows.length < spec.xs.length ? `As a table, ${rows.length} of ${spec.xs.length}` : "As a table"),
    table(spec.title, [{ title: along(spec).title, key: true },
      ...spec.series.map((one) => ({ title: one.name, number: true })), ...(marked ? [{ title: "Marks" }] : [])],
    rows.map((i, row) => [along(spec).linear ? wholeInWords(spec.xs[i]) : bytes(spec.xs[i]),
      ...spec.series.map((one) => cell(one, i)), ...(marked ? [marksAt(spec, i, rows[row - 1] ?? -1).join(", ")] : [])])));
}

// spec: title, xs (rising), x (what they are; sizes when left out), series [{name, colour, values, lows,
// highs, dashed, reference, floor, said}], inWords (a value with its unit), onAxis (shorter), range (of the y axis; from 0
// when left out), marks [{name, colour, xs, line, solid}]. A series with a floor is an area from there up
// to its values; `said` are then its own.
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
