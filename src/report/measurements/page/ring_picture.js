// All ranks of a run and the directions between them, as SVG: who sends to whom, and which way.

const MOST_IN_RING = 12;
const WIDE_RING = { name: "wide", width: 1040, height: 380, rx: 420, ry: 150, boxWidth: 150, boxHeight: 44 };
const NARROW_RING = { name: "narrow", width: 358, height: 680, rx: 124, ry: 310, boxWidth: 104, boxHeight: 42 };

function ringPlaces(form, count) {
  return Array.from({ length: count }, (_, i) => {
    const angle = i / count * 2 * Math.PI - Math.PI / 2;
    return { x: form.width / 2 + form.rx * Math.cos(angle), y: form.height / 2 + form.ry * Math.sin(angle) };
  });
}

function ringArrow(from, to, verdict) {
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
  const degrees = Math.atan2(to.y - from.y, to.x - from.x) * 180 / Math.PI;
  return s("g", { class: `ring-way ${toneOf(verdict)}` },
    s("path", { class: "ring-line", d: `M${from.x} ${from.y}L${to.x} ${to.y}` }),
    s("path", { class: "ring-tip", d: "M-6 -7v14l12 -7z", transform: `translate(${x} ${y}) rotate(${degrees})` }));
}

function drawRing(form, id, ranks, directions) {
  const places = ringPlaces(form, ranks.length);
  const at = new Map(ranks.map((rank, i) => [rank.rank, places[i]]));
  const words = directions.map((one) => `rank ${one.from} to rank ${one.to}: ${(VERDICTS[one.verdict] ?? [one.verdict])[0]}`);
  return s("svg", { class: `topology ring ${form.name}`, role: "img", viewBox: `0 0 ${form.width} ${form.height}`,
    "aria-labelledby": `${id}-${form.name}` },
  s("desc", { id: `${id}-${form.name}` }, `${plural(ranks.length, "rank")}. ${words.join("; ")}.`),
  directions.map((one) => ringArrow(at.get(one.from), at.get(one.to), one.verdict)),
  ranks.map((rank, i) => {
    const [x, y] = [places[i].x - form.boxWidth / 2, places[i].y - form.boxHeight / 2];
    return s("g", null,
      s("rect", { x, y, width: form.boxWidth, height: form.boxHeight, rx: 8, class: "memory-box" }),
      label(x + 10, y + 18, `rank ${rank.rank}`, form.boxWidth - 16, 12.5, { class: "strong" }),
      label(x + 10, y + 34, rank.node, form.boxWidth - 16, 11, { class: "quiet" }));
  }));
}

// Two ranks are in the path's own picture; more than fit into a ring are counted.
function ringOf(run, index) {
  const { ranks } = run.content;
  const directions = directionsOf(run);
  if (ranks.length <= 2 || directions.length === 0) return null;
  const counts = unique(directions.map((one) => one.verdict)).map((verdict) =>
    h("li", null, verdictBadge(verdict), h("span", { class: "quiet" },
      ` ${plural(directions.filter((one) => one.verdict === verdict).length, "direction")}`)));
  return h("figure", { class: "path-figure" },
    h("figcaption", null, h("strong", null, `${plural(ranks.length, "rank")} on ${plural(unique(ranks.map((one) => one.node)).length, "node")}`)),
    ranks.length > MOST_IN_RING ? null : [WIDE_RING, NARROW_RING].map((form) =>
      drawRing(form, `ring-${index}`, ranks, directions)),
    h("ul", { class: "legend", "aria-label": "Directions by verdict" }, counts));
}
