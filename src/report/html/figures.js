// Figures, bars and facts as every page shows them.

function figure(name, parts, note) {
  return h("div", { class: "figure" }, h("dt", null, name),
    h("dd", null, h("span", { class: "big" }, parts.number),
      h("span", { class: "unit" }, ` ${parts.unit}`),
      note ? h("span", { class: "figure-note" }, note) : null));
}

// One bar on its track: the track ends at the ceiling, one strip for each rail in use.
function bar(row, whole) {
  const percent = (value) => `${value / whole * 100}%`;
  const part = share(row.value, row.ceiling);
  const strips = h("span", { class: "strips", style: `width:${percent(row.value)}` },
    row.rails.length === 0 ? h("span", { class: "strip reference" })
      : row.rails.map((rail) => h("span", { class: "strip", ...railColour(rail) })));
  const track = row.ceiling > 0
    ? h("span", { class: "track", style: `width:${percent(row.ceiling)}` }) : null;
  return h("li", { class: "bar" },
    h("span", { class: "bar-name" }, row.name, h("span", { class: "quiet" }, row.note)),
    h("span", { class: "bar-area", "aria-hidden": "true" }, track, strips),
    h("span", { class: "bar-value" }, h("strong", null, rate(row.value)),
      part === null ? null : h("span", { class: "quiet" }, `${part} of ${rate(row.ceiling)}`)));
}

// Names and values, side by side where there is room.
const factList = (facts) => h("dl", { class: "facts" },
  facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
