// Elements from data. Text only ever enters the page as text, so a name cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

// Characters that turn the reading direction or have no shape would let a name pose as another.
const clean = (value) => typeof value === "string"
  ? value.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, " ")
  : value;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : clean(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(clean(child));
  }
  return element;
}

const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// SVG has no ellipsis. Widths are estimated for the widest fonts in use, so text never runs out of
// its box; the whole text is in the tooltip.
function label(x, y, text, width, size, attributes) {
  const each = size * (attributes.class?.includes("code") ? 0.61 : 0.6);
  const most = Math.max(1, Math.floor(width / each));
  const cut = text.length > most;
  return s("text", { x, y, "font-size": size, ...attributes },
    cut ? [`${text.slice(0, most - 1)}…`, s("title", null, text)] : text);
}

// Rails keep their colour everywhere; the palette repeats after eight.
const railColour = (rail) => ({ "data-rail": String(rail % 8) });

const railName = (rail) =>
  h("span", { class: "rail-name", ...railColour(rail) },
    h("span", { class: "dot", "aria-hidden": "true" }), `rail ${rail}`);

// A table that turns into a list of cards on a narrow screen.
function table(caption, columns, rows) {
  const head = columns.map((column) =>
    h("th", { scope: "col", class: column.number ? "number" : null }, column.title));
  const body = rows.map((row) => h("tr", null, row.map((cell, i) => {
    const column = columns[i];
    const kind = [column.number && "number", column.code && "code", column.key && "key"];
    const attributes = { class: kind.filter(Boolean).join(" ") || null, "data-label": column.title };
    return h("td", attributes, cell === "" || cell === null ? h("span", { class: "none" }, "–") : cell);
  })));
  return h("table", null,
    h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, head)),
    h("tbody", null, body));
}

function section(id, title, note, ...children) {
  return h("section", { id, class: "block", "aria-labelledby": `${id}-title` },
    h("div", { class: "block-head" },
      h("h2", { id: `${id}-title` }, title), note ? h("p", { class: "note" }, note) : null),
    ...children);
}
