// Where everything stands in the picture of a path. Pure: two ends and a form in, positions out.
//
// `along` runs from the sender's memory over both NICs to the receiver's memory, `across` beside
// it. A wide form has `along` from left to right, a narrow one from top to bottom.

const WIDE_PATH = {
  name: "wide", vertical: false, length: 1040, memory: 158, between: 84, nic: 176, pad: 16, head: 0,
  across: { start: 58, box: 52, gap: 30, port: 40, portGap: 8, end: 18 },
};
const NARROW_PATH = {
  name: "narrow", vertical: true, length: 452, memory: 46, between: 40, nic: 40, pad: 10, head: 42,
  across: { start: 12, box: 157, gap: 20, total: 334, portGap: 8, end: 12 },
};
const MOST_PORTS = 4;

// Sizes across: the two memories, and the ports that share their length.
function acrossOf(form, ports, hasGpu) {
  const { start, box, gap, port, portGap, total, end } = form.across;
  const memories = hasGpu ? 2 * box + gap : box;
  const content = total ?? Math.max(2 * box + gap, ports * port + (ports - 1) * portGap);
  const size = total ? (total - (ports - 1) * portGap) / Math.max(1, ports) : port;
  const used = ports * size + Math.max(0, ports - 1) * portGap;
  const memoryAt = start + (content - memories) / 2;
  const portAt = start + (content - used) / 2;
  return {
    whole: start + content + end, box,
    gpu: memoryAt, host: hasGpu ? memoryAt + box + gap : memoryAt,
    port: (i) => portAt + i * (size + portGap), portSize: size,
  };
}

// One end: its card, its memories, its ports. `far` mirrors it.
function endOfPath(form, end, across, far) {
  const card = form.head + form.pad + form.memory + form.between + form.nic;
  const rect = (along, acrossAt, alongSize, acrossSize) => {
    const at = far ? form.length - along - alongSize : along;
    return form.vertical ? { x: acrossAt, y: at, width: acrossSize, height: alongSize }
      : { x: at, y: acrossAt, width: alongSize, height: acrossSize };
  };
  const inner = form.head + form.pad;
  const nicAt = inner + form.memory + form.between;
  const shown = end.ports.slice(0, MOST_PORTS);
  return {
    end, far, card: rect(0, 0, card, across.whole),
    gpu: end.gpu === "" ? null : rect(inner, across.gpu, form.memory, across.box),
    host: rect(inner, across.host, form.memory, across.box),
    ports: shown.map((port, i) => ({ port,
      box: rect(nicAt, across.port(i), form.nic, across.portSize) })),
    more: end.ports.length - shown.length,
  };
}

// The middle of the side that faces the wires (`inward`) or the memory.
function sideOf(form, box, far, inward) {
  const late = inward !== far;  // the later side along the way
  return form.vertical
    ? { x: box.x + box.width / 2, y: late ? box.y + box.height : box.y }
    : { x: late ? box.x + box.width : box.x, y: box.y + box.height / 2 };
}

function layOutPath(form, sender, receiver) {
  const ports = Math.max(1, Math.min(MOST_PORTS, Math.max(sender.ports.length, receiver.ports.length)));
  const across = acrossOf(form, ports, sender.gpu !== "" || receiver.gpu !== "");
  const size = form.vertical ? { width: across.whole, height: form.length }
    : { width: form.length, height: across.whole };
  return { ...size, form, sender: endOfPath(form, sender, across, false),
    receiver: endOfPath(form, receiver, across, true) };
}
