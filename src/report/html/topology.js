// The picture of the topology as SVG.

function drawPf(card, form, port) {
  const { pf, rail } = port;
  const x = card.inward === 1 ? card.portX - form.pf : card.portX;
  const y = card.y + port.y - PF_HEIGHT / 2;
  const textX = card.inward === 1 ? x + 10 : x + 16;
  const textWidth = form.pf - 24;
  const held = pf.vfs.filter((vf) => vf.pod !== "").length;
  const pips = pf.vfs.slice(0, 8).map((vf, i) =>
    s("circle", { cx: textX + 4 + i * 12, cy: y + 28, r: 4,
      class: vf.pod === "" ? "pip" : "pip held" }));
  const tooltip = pf.vfs.length > 0
    ? `${pf.name}: ${held} of ${plural(pf.vfs.length, "VF")} held by a pod` : pf.name;
  return s("g", { class: pf.carrier ? "pf" : "pf dead", ...railColour(rail) },
    s("title", null, tooltip),
    s("rect", { x, y, width: form.pf, height: PF_HEIGHT, rx: 6, class: "pf-box" }),
    label(textX, y + (pf.carrier && pips.length === 0 ? 24 : 16), pf.name, textWidth, form.pill ? 12 : 11, { class: "code" }),
    pf.carrier ? pips
      : label(textX, y + 32, "no carrier", textWidth, 11, { class: "alarm" }),
    s("circle", { cx: card.portX, cy: card.y + port.y, r: 5.5, class: "port" }));
}

function drawPod(card, form, box) {
  const width = card.width - form.pf - form.between - form.pad;
  const x = card.inward === 1 ? card.x + form.pad : card.x + card.width - form.pad - width;
  const y = card.y + box.y;
  const rows = box.rows.map(({ one, y: rowY }) => {
    const at = card.y + rowY;
    const wide = form.pill;
    return s("g", railColour(one.rail),
      s("circle", { cx: x + 14, cy: at, r: 4.5, class: "dot" }),
      label(x + 26, at - 4, one.name, 44, 12, { class: "strong" }),
      label(x + 26, at + 13, one.address, width - 32, wide ? 12.5 : 11.5, { class: "code" }),
      wide && one.rdma
        ? label(x + width - 10, at - 4, one.rdma, width - 90, 11,
          { class: "quiet code", "text-anchor": "end" }) : null);
  });
  return s("g", { class: "pod" },
    s("rect", { x, y, width, height: box.height, rx: 8, class: "pod-box" }),
    label(x + 12, y + 21, `${box.pod.namespace}/${box.pod.name}`, width - 20, 12.5,
      { class: "strong" }),
    rows);
}

// From an interface to the PF whose VF it is.
function drawInside(card, form) {
  const lines = [];
  for (const { one, y } of card.podBoxes.flatMap((box) => box.rows)) {
    const port = card.pfs.find(({ pf }) => pf.vfs.some((vf) => vf.pci === one.vf));
    if (!port) continue;
    const to = card.portX - card.inward * form.pf;
    const from = to - card.inward * form.between;
    const [y1, y2, middle] = [card.y + y, card.y + port.y, (from + to) / 2];
    lines.push(s("path", { class: "wire", ...railColour(one.rail),
      d: `M${from} ${y1}C${middle} ${y1} ${middle} ${y2} ${to} ${y2}` }));
  }
  return lines;
}

function drawCard(card, form) {
  const left = card.inward === 1 ? card.x + form.pad : card.x + form.pf + form.between;
  const inner = card.width - form.pad - form.pf - form.between;
  const empty = card.podBoxes.length === 0;
  return s("g", { class: card.node.reached ? "node" : "node absent" },
    s("rect", { x: card.x + 0.5, y: card.y + 0.5, width: card.width - 1, height: card.height - 1,
      rx: 12, class: "card" }),
    label(card.x + form.pad, card.y + 27, card.node.name, card.width * 0.5, 15,
      { class: "strong" }),
    label(card.x + card.width - form.pad, card.y + 27,
      card.node.reached ? card.node.kernel : "not reached", card.width * 0.5 - form.pad, 11.5,
      { class: card.node.reached ? "quiet" : "alarm", "text-anchor": "end" }),
    empty && card.node.reached
      ? label(left + 4, card.y + HEAD + 24, "no pod", inner, 12, { class: "quiet" }) : null,
    drawInside(card, form),
    card.podBoxes.map((box) => drawPod(card, form, box)),
    card.more > 0
      ? label(left + 4, card.y + card.height - 14, `and ${plural(card.more, "more pod", "more pods")}`,
        inner, 12, { class: "quiet" }) : null,
    card.pfs.map((port) => drawPf(card, form, port)));
}

// Straight across, or out of each port with a rounded corner into the lane and towards its middle.
function pathOf(wire) {
  const { ends, x, top, bottom } = wire;
  if (wire.straight) return `M${ends[0].x} ${ends[0].y}H${ends[1].x}`;
  const middle = (top + bottom) / 2;
  return ends.map((end) => {
    const radius = Math.min(10, Math.abs(middle - end.y), Math.abs(x - end.x));
    const along = end.x < x ? radius : -radius;
    const down = end.y < middle ? radius : -radius;
    return `M${end.x} ${end.y}H${x - along}Q${x} ${end.y} ${x} ${end.y + down}V${middle}`;
  }).join("");
}

function drawWire(wire) {
  const alive = wire.ends.every((end) => end.alive);
  const ends = wire.link.ends.map((end) => `${end.node} ${end.pf}`);
  const speed = wire.link.rate_gbps === null ? "" : ` at ${rate(wire.link.rate_gbps)}`;
  return s("path", { d: pathOf(wire), class: alive ? "wire" : "wire dead",
    ...railColour(wire.link.rail) },
  s("title", null, `${wire.link.name}: ${listed(ends)}${speed}`));
}

function drawPill(wire) {
  const named = wire.ends.length > 2 || wire.link.rate_gbps === null;  // a switch has a name
  const text = [named && wire.link.name, rate(wire.link.rate_gbps)].filter(Boolean).join(" · ");
  const width = Math.min(180, text.length * 7.6 + 22);
  const y = (wire.top + wire.bottom) / 2;
  return s("g", { class: "pill", ...railColour(wire.link.rail) },
    s("rect", { x: wire.x - width / 2, y: y - 12, width, height: 24, rx: 12 }),
    label(wire.x, y + 4.5, text, width, 12.5, { class: "strong", "text-anchor": "middle" }));
}

function topologyInWords(report) {
  const nodes = drawnNodes(report);
  const links = report.topology.links.map((link) =>
    `${link.name} carries rail ${link.rail}` +
    (link.rate_gbps === null ? "" : ` at ${rate(link.rate_gbps)}`) +
    ` between ${listed(link.ends.map((end) => `${end.node} ${end.pf}`))}.`);
  const pods = report.pods.map((pod) => `Pod ${pod.namespace}/${pod.name} on ${pod.node} has ` +
    `${listed(pod.interfaces.map((one) => `${one.name} ${one.address} on rail ${one.rail}`))}.`);
  return [`${plural(nodes.length, "node")}: ${listed(nodes.map((node) => node.name))}.`,
    ...links, ...pods].join(" ");
}

function drawTopology(report, form, name) {
  const plan = layOut(report, form);
  const pills = form.pill && plan.lanes <= 2 && plan.wires.length <= 8;
  return s("svg", { class: `topology ${name}`, role: "img",
    style: form.pill ? `max-width:${plan.width}px` : null,
    viewBox: `0 0 ${plan.width} ${plan.height}`,
    "aria-labelledby": `topology-${name}-title topology-${name}-desc` },
  s("title", { id: `topology-${name}-title` }, "Nodes, rails and pods"),
  s("desc", { id: `topology-${name}-desc` }, topologyInWords(report)),
  plan.wires.map(drawWire),
  plan.cards.map((card) => drawCard(card, form)),
  pills ? plan.wires.map(drawPill) : null);
}

function topologySection(report) {
  if (drawnNodes(report).length === 0) return null;
  const used = [...report.topology.links, ...report.pods.flatMap((pod) => pod.interfaces)];
  const rails = [...new Set(used.map((one) => one.rail))].sort((a, b) => a - b);
  const anyVf = report.nodes.some((node) => node.pfs.some((pf) => pf.vfs.length > 0));
  const legend = rails.map((rail) => {
    const links = report.topology.links.filter((link) => link.rail === rail);
    const rates = [...new Set(links.map((link) => rate(link.rate_gbps)).filter(Boolean))];
    return h("li", null, railName(rail), h("span", { class: "quiet" },
      [links.length <= 2 ? listed(links.map((link) => link.name)) : plural(links.length, "link"),
        ...rates].filter(Boolean).join(" · ")));
  });
  const note = report.topology.name === "" ? null : report.topology.name;
  return section("topology", "Topology", note,
    drawTopology(report, WIDE, "wide"), drawTopology(report, NARROW, "narrow"),
    h("ul", { class: "legend", "aria-label": "Rails" }, legend,
      anyVf && h("li", null, h("span", { class: "quiet pips", "aria-hidden": "true" },
        h("span", { class: "pip-sample held" }), h("span", { class: "pip-sample" })),
      h("span", { class: "quiet" }, "VF held by a pod, free"))));
}
