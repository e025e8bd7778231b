// The path that the bytes took, as SVG: memory, NIC, wire, NIC, memory.

const curve = (form, from, to) => {
  const [mx, my] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
  return form.vertical ? `M${from.x} ${from.y}C${from.x} ${my} ${to.x} ${my} ${to.x} ${to.y}`
    : `M${from.x} ${from.y}C${mx} ${from.y} ${mx} ${to.y} ${to.x} ${to.y}`;
};

function memoryBox(box, name, note, used) {
  return s("g", { class: used ? "memory used" : "memory" },
    s("rect", { ...box, rx: 8, class: "memory-box" }),
    label(box.x + 12, box.y + box.height / 2 - (note ? 3 : -4), name, box.width - 20, 12.5, { class: "strong" }),
    note ? label(box.x + 12, box.y + box.height / 2 + 13, note, box.width - 20, 11, { class: "quiet" }) : null);
}

const portColour = (port, i) => port.tcp ? { class: "tcp" } : railColour(i);

function portBox({ port, box }, i) {
  return s("g", { ...portColour(port, i) },
    s("rect", { ...box, rx: 6, class: port.used ? "pf-box" : "pf-box idle" }),
    label(box.x + 10, box.y + box.height / 2 + 4, port.name, box.width - 16, 12, { class: "code" }));
}

// Between the memories of one end: the copy through the host.
function copyLine(form, place) {
  if (!place.gpu) return null;
  const from = form.vertical
    ? { x: place.gpu.x + place.gpu.width, y: place.gpu.y + place.gpu.height / 2 }
    : { x: place.gpu.x + place.gpu.width / 2, y: place.gpu.y + place.gpu.height };
  const to = form.vertical ? { x: place.host.x, y: from.y } : { x: from.x, y: place.host.y };
  return s("path", { class: "hop", d: `M${from.x} ${from.y}L${to.x} ${to.y}` },
    s("title", null, "copied between GPU memory and host memory"));
}

function linesToPorts(form, place, box, way) {
  return place.ports.map(({ port, box: at }, i) => {
    if (!port.used) return null;
    return s("path", { class: `hop ${way}`, ...(port.tcp ? {} : railColour(i)),
      d: curve(form, sideOf(form, box, place.far, true), sideOf(form, at, place.far, false)) });
  });
}

function drawEnd(form, place, route) {
  const { end, card } = place;
  const titleY = form.vertical && place.far ? card.y + card.height - 26 : card.y + 26;
  const direct = place.gpu && route.direct;
  const staged = route.staged || !place.gpu;
  return s("g", null,
    s("rect", { x: card.x + 0.5, y: card.y + 0.5, width: card.width - 1, height: card.height - 1, rx: 12, class: "card" }),
    label(card.x + 16, titleY, end.name, card.width - 32, 14, { class: "strong" }),
    label(card.x + 16, titleY + 16, end.note, card.width - 32, 11.5, { class: "quiet" }),
    direct ? linesToPorts(form, place, place.gpu, route.direct) : null,
    staged ? [route.staged === "doubt" ? null : copyLine(form, place),
      linesToPorts(form, place, place.host, route.staged ?? "taken")] : null,
    place.gpu ? memoryBox(place.gpu, "GPU memory", end.gpu, true) : null,
    memoryBox(place.host, "Host memory", null, Boolean(staged)),
    place.ports.map(portBox));
}

function drawWires(plan) {
  const { form, sender, receiver } = plan;
  const count = Math.min(sender.ports.length, receiver.ports.length);
  return sender.ports.slice(0, count).map(({ port, box }, i) => {
    const from = sideOf(form, box, false, true);
    const to = sideOf(form, receiver.ports[i].box, true, true);
    const carried = port.used && receiver.ports[i].port.used;
    const tip = form.vertical ? { x: to.x, y: (from.y + to.y) / 2 } : { x: (from.x + to.x) / 2, y: to.y };
    const arrow = form.vertical ? `M${tip.x - 7} ${tip.y - 5}h14l-7 11z` : `M${tip.x - 5} ${tip.y - 7}v14l11 -7z`;
    return s("g", { ...portColour(port, i) },
      s("path", { class: carried ? "wire" : "wire idle", d: curve(form, from, to) },
        s("title", null, carried ? `${port.name} carries the bytes` : `${port.name} carries nothing`)),
      carried ? s("path", { class: "tip", d: arrow }) : null);
  });
}

// What route each verdict stands for: taken, possible but unused, impossible, in doubt.
const ROUTES = {
  gdr: { direct: "taken" },
  "host-staged-hardware": { direct: "impossible", staged: "taken" },
  "host-staged-misconfigured": { direct: "missed", staged: "taken" },
  sockets: { staged: "taken" },
  mixed: { direct: "taken", staged: "taken" },
  rdma: { staged: "taken" },
};
const IN_DOUBT = { direct: "doubt", staged: "doubt" };

function drawPath(form, id, path) {
  const plan = layOutPath(form, path.sender, path.receiver);
  return s("svg", { class: `topology path ${form.name}`, role: "img",
    viewBox: `0 0 ${plan.width} ${plan.height}`, "aria-labelledby": `${id}-${form.name}` },
  s("desc", { id: `${id}-${form.name}` }, path.inWords),
  drawWires(plan),
  drawEnd(form, plan.sender, path.route),
  drawEnd(form, plan.receiver, path.route));
}

function pathFigure(id, path) {
  return h("figure", { class: "path-figure" },
    h("figcaption", null, h("strong", null, path.title), " ", path.badge,
      path.alike > 0 ? h("span", { class: "quiet" }, ` and ${plural(path.alike, "more direction")} alike`) : null,
      path.figures ? h("span", { class: "quiet path-rate" }, path.figures) : null),
    drawPath(WIDE_PATH, id, path), drawPath(NARROW_PATH, id, path));
}
