// The training runs: how the loss fell, where a rank was killed, and what carried the gradients.

// One line over the steps, with a mark where a rank died and where it went on from.
function lossCurve(training) {
  const { losses } = training;
  const [width, height, edge] = [640, 160, 28];
  const top = Math.max(...losses);
  const bottom = Math.min(...losses);
  const across = (step) => edge + (step - 1) / Math.max(losses.length - 1, 1) * (width - 2 * edge);
  const down = (loss) => edge + (top - loss) / Math.max(top - bottom, 1e-9) * (height - 2 * edge);
  const points = losses.map((loss, i) => `${across(i + 1)},${down(loss)}`).join(" ");
  const mark = (step, text, name) => step < 1 || step > losses.length ? null
    : [s("line", { class: name, x1: across(step), x2: across(step), y1: edge - 10, y2: height - edge }),
      s("text", { class: "curve-note", x: across(step) + 4, y: edge - 2 }, text)];
  return s("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Loss from ${losses[0].toFixed(3)} to ${losses[losses.length - 1].toFixed(3)} in ${losses.length} steps` },
    mark(training.resumed_from_step, "went on from here", "curve-resumed"),
    mark(training.killed_after_step, "rank killed", "curve-killed"),
    s("polyline", { class: "curve-line", points }),
    s("text", { class: "curve-note", x: 2, y: edge + 4 }, top.toFixed(2)),
    s("text", { class: "curve-note", x: 2, y: height - edge + 4 }, bottom.toFixed(2)));
}

function trainingSection(report) {
  const { training } = report;
  if (training.steps === 0 || training.losses.length === 0) return null;
  const facts = [
    ["Model", `GPT-2, ${training.parameters.toLocaleString("en")} parameters, ${plural(training.ranks, "rank")}`],
    ["Killed", training.killed_node === "" ? "" : `the rank on ${training.killed_node}, after step ${training.killed_after_step}`],
    ["Went on", training.restarts === 0 ? "" : `from the checkpoint of step ${training.resumed_from_step}`],
    ["Both runs", training.equal ? "bitwise equal" : h("span", { class: "alarm" }, "differ")],
    ["Had to travel", bytes(training.bytes_needed)],
    ["RDMA packets sent", training.rdma_packets.toLocaleString("en")],
    ["TCP segments sent", training.tcp_segments.toLocaleString("en")],
    ["Passed on by the links", bytes(training.wire_bytes)],
    ["Gradients", training.by_rdma ? "travelled by RDMA: nothing else can have carried them"
      : h("span", { class: "alarm" }, "not proven to have travelled by RDMA")],
    ["Speed", training.tokens_per_second === null ? "" : `${Math.round(training.tokens_per_second)} tokens/s`],
  ].filter(([, value]) => value !== "");
  return section("training", "Training", `${plural(training.steps, "step")}, twice`,
    lossCurve(training), factList(facts),
    h("details", null, h("summary", null, "Loss of each step"),
      table("Loss of each step", [{ title: "Step", key: true }, { title: "Loss", number: true }],
        training.losses.map((loss, i) => [String(i + 1), loss.toFixed(6)]))));
}
