// Everything on the page but the picture.

function failureSection(report) {
  const { result } = report;
  if (result.ok || (result.remedy === "" && result.logs.length === 0)) return null;
  return h("section", { class: "failure", "aria-label": "What to do" },
    result.remedy === "" ? null
      : h("p", null, h("strong", null, "What to do "), result.remedy),
    result.logs.length === 0 ? null : [
      h("p", { class: "quiet" }, `Last lines of ${result.log_node || "the log"}`),
      h("pre", { tabindex: "0" }, result.logs.join("\n"))]);
}

// The numbers of the rails that were measured, and what all of them at once are called.
const railsOf = (rdma) => [...new Set(rdma.per_rail.map((one) => one.rail))];
function allRailsName(rdma) {
  const count = railsOf(rdma).length;
  return count === 2 ? "Both rails" : count === 0 ? "All rails at once" : `${count} rails at once`;
}

function figuresSection(report) {
  const { rdma } = report;
  const ofCeiling = (value, ceiling) => {
    const part = share(value, ceiling);
    return part === null ? null : `${part} of the ceiling`;
  };
  const figures = [
    rdma.both_rails_gbps === null || railsOf(rdma).length === 1 ? null
      : figure(allRailsName(rdma), rateParts(rdma.both_rails_gbps),
        ofCeiling(rdma.both_rails_gbps, rdma.both_rails_ceiling_gbps)),
    rdma.one_rail_gbps === null ? null
      : figure("One rail", rateParts(rdma.one_rail_gbps),
        ofCeiling(rdma.one_rail_gbps, rdma.ceiling_gbps)),
    rdma.latency_us === null ? null
      : figure("Write latency", timeParts(rdma.latency_us), rdma.latency_p99_us === null
        ? "median" : `median, p99 ${time(rdma.latency_p99_us)}`),
    rdma.bytes_checked === 0 ? null
      : figure("Bytes compared", byteParts(rdma.bytes_checked),
        rdma.bytes_wrong === 0 ? "none wrong" : `${plural(rdma.bytes_wrong, "byte")} wrong`),
  ].filter(Boolean);
  return figures.length === 0 ? null : h("dl", { class: "figures" }, figures);
}

function bandwidthSection(report) {
  const { rdma } = report;
  const first = rdma.per_rail[0]?.rail ?? 0;
  const all = railsOf(rdma);
  const rows = [
    { name: "One rail", note: "RDMA write", value: rdma.one_rail_gbps,
      ceiling: rdma.ceiling_gbps, rails: [first] },
    { name: "ib_write_bw", note: "perftest, one rail", value: rdma.perftest_gbps,
      ceiling: rdma.ceiling_gbps, rails: [] },
    { name: allRailsName(rdma), note: "RDMA write, at once",
      value: all.length === 1 ? null : rdma.both_rails_gbps,  // one rail: the same again
      ceiling: rdma.both_rails_ceiling_gbps, rails: all },
  ].filter((row) => row.value !== null);
  if (rows.length === 0) return null;
  const whole = Math.max(...rows.map((row) => Math.max(row.value, row.ceiling ?? 0)));
  const pairs = new Set(rdma.per_rail.map((one) => `${one.from} ${one.to}`)).size;
  return section("bandwidth", "Bandwidth", "each against its ceiling",
    h("ul", { class: "bars" }, rows.map((row) => bar(row, whole))),
    h("p", { class: "quiet small" }, h("span", { class: "ceiling-sample", "aria-hidden": "true" }),
      "Ceiling: what the link can carry as payload; the light part of a bar is what is missing. ",
      rdma.ceiling_explanation === "" ? null : `One rail: ${rdma.ceiling_explanation}. `,
      pairs < 2 ? null : `Of ${pairs} pairs of pods the slowest, ${rdma.from} → ${rdma.to}.`));
}

function stepsSection(report) {
  if (report.steps.length === 0) return null;
  const sum = report.steps.reduce((total, step) => total + step.seconds, 0);
  const whole = Math.max(sum, report.seconds, 0.001);
  let gone = 0;
  const rows = report.steps.map((step) => {
    const from = gone / whole * 100;
    const width = step.seconds / whole * 100;
    gone += step.seconds;
    return h("li", { class: step.ok ? "step" : "step failed" },
      h("span", { class: "step-mark" }, step.ok ? "✓" : "✗",
        h("span", { class: "unseen" }, step.ok ? " done " : " failed ")),
      h("span", { class: "step-name" }, step.name,
        step.detail === "" ? null : h("span", { class: "quiet" }, step.detail)),
      h("span", { class: "step-area", "aria-hidden": "true" },
        h("span", { class: "step-bar", style: `margin-left:${from}%;width:${width}%` })),
      h("span", { class: "step-time" }, seconds(step.seconds)));
  });
  return section("steps", "Steps", `${seconds(report.seconds)} in all`,
    h("ol", { class: "steps" }, rows));
}

function railsSection(report) {
  const links = report.topology.links.map((link) => [
    link.name, railName(link.rail), rate(link.rate_gbps),
    h("span", null, link.ends.map((end) =>
      h("span", { class: "end" }, end.node, " ", h("code", null, end.pf))))]);
  const measured = report.rdma.per_rail.map((one) => [
    railName(one.rail), `${one.from} → ${one.to}`, one.interface,
    rate(one.gbps), share(one.gbps, one.ceiling_gbps), rate(one.together_gbps),
    rate(one.perftest_gbps),
    time(one.latency_us), time(one.latency_p99_us), bytes(one.bytes_checked),
    String(one.bytes_wrong)]);
  if (links.length + measured.length === 0) return null;
  return section("rails", "Rails", null,
    links.length === 0 ? null : table("Links", [{ title: "Link", key: true }, { title: "Rail" },
      { title: "Rate", number: true }, { title: "Ends" }], links),
    measured.length === 0 ? null : table("Each rail alone", [{ title: "Measured", key: true },
      { title: "Pods" }, { title: "Interface" }, { title: "Alone", number: true },
      { title: "Of ceiling", number: true }, { title: "Together", number: true }, { title: "ib_write_bw", number: true },
      { title: "Median", number: true }, { title: "p99", number: true },
      { title: "Compared", number: true }, { title: "Wrong", number: true }], measured));
}

function podsSection(report) {
  const rows = report.pods.flatMap((pod) => pod.interfaces.map((one) => [
    `${pod.namespace}/${pod.name}`, pod.node, one.name, railName(one.rail), one.address, one.mac,
    String(one.mtu), one.rdma, one.vf]));
  if (rows.length === 0) return null;
  return section("pods", "Pods", plural(report.pods.length, "pod"),
    table("Pods and their interfaces", [{ title: "Pod", key: true }, { title: "Node" },
      { title: "Interface" }, { title: "Rail" }, { title: "Address", code: true },
      { title: "MAC", code: true }, { title: "MTU", number: true },
      { title: "RDMA device", code: true }, { title: "VF", code: true }], rows));
}

function nodesSection(report) {
  if (report.nodes.length === 0) return null;
  const pfs = report.nodes.flatMap((node) => node.pfs.map((pf, i) => [
    node.name, h("span", null, railName(railOfPf(report, node.name, pf, i)), " ",
      h("code", null, pf.name)),
    pf.pci, pf.driver, pf.mac, String(pf.mtu),
    pf.carrier ? "up" : h("span", { class: "alarm" }, "no carrier"), pf.twin,
    `${pf.vfs.filter((vf) => vf.pod !== "").length} of ${pf.vfs.length}`]));
  const offers = report.nodes.map((node) => [node.name, node.kernel,
    h("span", null, Object.entries(node.allocatable).map(([name, count]) =>
      h("span", { class: "end" }, h("code", null, name), ` ${count}`))),
    `${node.rail_sets.filter((set) => set.healthy).length} of ${node.rail_sets.length}`]);
  const vfs = report.nodes.flatMap((node) => node.pfs.flatMap((pf) => pf.vfs.map((vf) => [
    node.name, pf.name, String(vf.index), vf.pci, vf.netdev, vf.mac, vf.rail_set, vf.pod])));
  return section("nodes", "Nodes", plural(report.nodes.length, "node"),
    table("Nodes and what they offer", [{ title: "Node", key: true }, { title: "Kernel" },
      { title: "Allocatable" }, { title: "Healthy rail sets", number: true }], offers),
    table("Physical functions", [{ title: "Node", key: true }, { title: "PF" },
      { title: "PCI", code: true }, { title: "Driver" }, { title: "MAC", code: true },
      { title: "MTU", number: true }, { title: "Link" }, { title: "Twin", code: true },
      { title: "VFs held", number: true }], pfs),
    vfs.length === 0 ? null : h("details", null,
      h("summary", null, `All ${plural(vfs.length, "virtual function")}`),
      table("Virtual functions", [{ title: "Node", key: true }, { title: "PF", code: true },
        { title: "VF", number: true }, { title: "PCI", code: true },
        { title: "Interface", code: true }, { title: "MAC", code: true },
        { title: "Rail set", code: true }, { title: "Pod" }], vfs)));
}

function environmentSection(report) {
  const { environment: at } = report;
  const accelerated = { tcg: "TCG (emulated CPU)", kvm: "KVM" };
  const facts = [
    ["Host", at.host_os], ["Host kernel", at.host_kernel],
    ["Processor", [at.architecture, at.cpus > 0 ? plural(at.cpus, "CPU") : ""]
      .filter(Boolean).join(", ")],
    ["QEMU", at.qemu], ["Nodes run on", accelerated[at.accel] ?? at.accel],
    ["Guest kernel", at.guest_kernel],
    ["Write size", report.rdma.message_bytes > 0 ? bytes(report.rdma.message_bytes) : ""],
    ["Pattern seed", report.rdma.seed],
    ["Railhead", [report.tool_version, at.revision.slice(0, 12)].filter(Boolean).join(", ")],
  ].filter(([, value]) => value !== "");
  if (facts.length === 0) return null;
  return section("environment", "Environment", null, factList(facts));
}
