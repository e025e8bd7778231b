// Where everything in the picture stands. Pure: data and a form in, positions out.
//
// Nodes are cards in one or two columns. Their PFs sit on the edge that faces the wires, the pods
// on the other side, so that a rail reads as one line: interface, VF on its PF, wire, peer.

const WIDE = {
  columns: 2, width: 1040, gutter: 250, pad: 16, pf: 138, between: 34, rowGap: 22, pill: true,
};
const NARROW = {
  columns: 1, width: 358, gutter: 46, pad: 10, pf: 120, between: 18, rowGap: 16, pill: false,
};
const HEAD = 42, POD_HEAD = 32, ROW = 48, PF_HEIGHT = 40, POD_GAP = 12;
const MOST_PODS = 4;

// The nodes that were read back, and stand-ins for those that only the wiring knows.
function drawnNodes(report) {
  const nodes = report.nodes.map((node) => ({ ...node, reached: true }));
  for (const end of report.topology.links.flatMap((link) => link.ends)) {
    let node = nodes.find((known) => known.name === end.node);
    if (!node) {
      node = { name: end.node, kernel: "", pfs: [], reached: false };
      nodes.push(node);
    }
    if (!node.pfs.some((pf) => pf.name === end.pf)) {
      node.pfs.push({ name: end.pf, carrier: true, vfs: [] });
    }
  }
  return nodes;
}

const railOfPf = (report, nodeName, pf, index) =>
  report.topology.links.find((link) =>
    link.ends.some((end) => end.node === nodeName && end.pf === pf.name))?.rail ?? index;

// Nodes that share a wire face each other: each unplaced one goes left, its first peer right.
function placeInColumns(report, nodes, columns) {
  const places = new Map();
  if (columns === 1) {
    nodes.forEach((node, row) => places.set(node.name, { column: 0, row }));
    return places;
  }
  const peersOf = (name) => report.topology.links
    .filter((link) => link.ends.some((end) => end.node === name))
    .flatMap((link) => link.ends.map((end) => end.node));
  let row = 0;
  const lonely = [];
  for (const node of nodes) {
    if (places.has(node.name)) continue;
    const peer = peersOf(node.name).find((name) => name !== node.name && !places.has(name));
    if (peer === undefined) {
      lonely.push(node.name);
      continue;
    }
    places.set(node.name, { column: 0, row });
    places.set(peer, { column: 1, row });
    row += 1;
  }
  lonely.forEach((name, i) =>
    places.set(name, { column: i % 2, row: row + Math.floor(i / 2) }));
  return places;
}

// Sizes inside one card; y counts from its top.
function cardOf(report, node) {
  const pods = report.pods.filter((pod) => pod.node === node.name);
  const shown = pods.slice(0, MOST_PODS);
  let y = HEAD;
  const podBoxes = shown.map((pod) => {
    const box = { pod, y, height: POD_HEAD + Math.max(1, pod.interfaces.length) * ROW };
    box.rows = pod.interfaces.map((one, i) => ({ one, y: y + POD_HEAD + i * ROW + ROW / 2 }));
    y += box.height + POD_GAP;
    return box;
  });
  const more = pods.length - shown.length;
  if (more > 0) y += 20;
  const top = HEAD + (node.reached ? POD_HEAD : 6);
  const pfs = node.pfs.map((pf, i) => ({
    pf, rail: railOfPf(report, node.name, pf, i), y: top + i * ROW + ROW / 2,
  }));
  const height = Math.max(y, top + pfs.length * ROW + POD_GAP, HEAD + 56) + 4;
  return { node, podBoxes, more, pfs, height };
}

// Each wire that needs a vertical part gets a lane in which no other one overlaps it.
function assignLanes(wires) {
  const lanes = [];
  const bySpan = wires.filter((wire) => !wire.straight)
    .sort((a, b) => (a.bottom - a.top) - (b.bottom - b.top));
  for (const wire of bySpan) {
    const free = lanes.findIndex((taken) =>
      taken.every((other) => wire.bottom + 6 < other.top || wire.top - 6 > other.bottom));
    wire.lane = free >= 0 ? free : lanes.push([]) - 1;
    lanes[wire.lane].push(wire);
  }
  return lanes.length;
}

function layOut(report, form) {
  const nodes = drawnNodes(report);
  const columns = nodes.length === 1 ? 1 : form.columns;
  const places = placeInColumns(report, nodes, columns);
  const cardWidth = columns === 2 ? (form.width - form.gutter) / 2
    : Math.min(form.width - form.gutter, 480);
  const cards = nodes.map((node) => ({ ...cardOf(report, node), ...places.get(node.name) }));

  const rowCount = 1 + Math.max(0, ...cards.map((card) => card.row));
  let y = 0;
  for (let row = 0; row < rowCount; row += 1) {
    const inRow = cards.filter((card) => card.row === row);
    const height = Math.max(0, ...inRow.map((card) => card.height));
    for (const card of inRow) {
      card.x = card.column === 0 ? 0 : form.width - cardWidth;
      card.y = y;
      card.width = cardWidth;
      card.height = height;
      card.portX = card.column === 0 ? card.x + cardWidth : card.x;
      card.inward = card.column === 0 ? 1 : -1;  // the direction towards the wires
    }
    y += height + form.rowGap;
  }

  const wires = report.topology.links.map((link) => {
    const ends = link.ends.map((end) => {
      const card = cards.find((one) => one.node.name === end.node);
      const port = card.pfs.find((one) => one.pf.name === end.pf);
      return { x: card.portX, y: card.y + port.y, inward: card.inward, alive: port.pf.carrier };
    }).sort((a, b) => a.y - b.y);
    const straight = ends.length === 2 && ends[0].y === ends[1].y && ends[0].x !== ends[1].x;
    return { link, ends, straight, top: ends[0]?.y ?? 0, bottom: ends[ends.length - 1]?.y ?? 0 };
  });
  const lanes = assignLanes(wires);
  const room = form.width - cardWidth * columns;
  const step = Math.min(16, (room - 24) / Math.max(1, lanes));
  const first = columns === 2 ? form.width / 2 - (lanes - 1) * step / 2 : cardWidth + 16;
  for (const wire of wires) wire.x = wire.straight ? form.width / 2 : first + (wire.lane ?? 0) * step;

  const width = nodes.length === 1 ? cardWidth + 6 : form.width;  // a lone node has no wires beside it
  return { cards, wires, lanes, width, height: Math.max(0, y - form.rowGap) };
}
