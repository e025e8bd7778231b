// RDMA writes: each rail alone and all of them at once, each against its ceiling.

function railRows(content) {
  const rows = content.rails.flatMap((rail) => [
    { name: `Rail ${rail.rail}, alone`, note: rail.device, value: rail.gbps, ceiling: rail.ceiling?.gbps ?? null, rails: [rail.rail] },
    content.rails.length < 2 ? null
      : { name: `Rail ${rail.rail}, all busy`, note: rail.netdev, value: rail.gbps_together,
        ceiling: rail.ceiling?.gbps ?? null, rails: [rail.rail] }]);
  rows.push({ name: content.rails.length === 1 ? "The rail" : `${content.rails.length} rails at once`, note: "RDMA write",
    value: content.all_rails.gbps, ceiling: content.all_rails.ceiling?.gbps ?? null,
    rails: content.rails.map((rail) => rail.rail) });
  return rows.filter((row) => row && row.value !== null);
}

function railsTable(content) {
  return table("Each rail", [{ title: "Rail", key: true }, { title: "Device", code: true }, { title: "Own end", code: true },
    { title: "Other end", code: true }, { title: "MTU", number: true }, { title: "Alone", number: true },
    { title: "All busy", number: true }, { title: "Of ceiling", number: true }, { title: "Median", number: true },
    { title: "p99", number: true }, { title: "Wrong", number: true }],
  content.rails.map((rail) => [railName(rail.rail), rail.device, rail.address, rail.peer_address,
    String(rail.mtu), rate(rail.gbps), rate(rail.gbps_together), share(rail.gbps, rail.ceiling?.gbps ?? null),
    time(rail.latency?.median_us ?? null), time(rail.latency?.p99_us ?? null), String(rail.bytes_wrong)]));
}

function railSplitSection(data) {
  const files = filesOf(data, "verbs");
  if (files.length === 0) return null;
  return section("rails", "Rails", "RDMA writes from host memory", files.map(({ file, content }) => {
    const rows = railRows(content);
    const whole = Math.max(1e-9, ...rows.map((row) => Math.max(row.value, row.ceiling ?? 0)));
    return h("div", { class: "rail-split" },
      files.length > 1 ? h("h3", null, baseName(file)) : null,
      h("ul", { class: "bars" }, rows.map((row) => bar(row, whole))),
      content.all_rails.ceiling
        ? h("p", { class: "quiet small" }, `Ceiling: ${content.all_rails.ceiling.explanation}.`)
        : h("p", { class: "quiet small" }, "No ceiling is known for these rails."),
      railsTable(content));
  }));
}
