// RDMA transfers: each rail alone and all of them at once, each against its ceiling, by size where
// a sweep was asked for.

const OPEN_SIZE_ROWS = 40;

function railRows(content) {
  const rows = content.rails.flatMap((rail) => [
    { name: `Rail ${rail.rail}, alone`, note: rail.device, value: rail.gbps, ceiling: rail.ceiling?.gbps ?? null, rails: [rail.rail] },
    content.rails.length < 2 ? null
      : { name: `Rail ${rail.rail}, all busy`, note: rail.netdev, value: rail.gbps_together,
        ceiling: rail.ceiling?.gbps ?? null, rails: [rail.rail] }]);
  rows.push({ name: content.rails.length === 1 ? "The rail" : `${content.rails.length} rails at once`, note: operationOf(content),
    value: content.all_rails.gbps, ceiling: content.all_rails.ceiling?.gbps ?? null,
    rails: content.rails.map((rail) => rail.rail) });
  return rows.filter((row) => row && row.value !== null);
}

function railsTable(content) {
  return table("Each rail", [{ title: "Rail", key: true }, { title: "Device", code: true }, { title: "Own end", code: true },
    { title: "Other end", code: true }, { title: "MTU", number: true }, { title: "Alone", number: true },
    { title: "All busy", number: true }, { title: "Of ceiling", number: true }, { title: "Wrong", number: true }],
  content.rails.map((rail) => [railName(rail.rail), rail.device, rail.address, rail.peer_address,
    String(rail.mtu), rate(rail.gbps), rate(rail.gbps_together), share(rail.gbps, rail.ceiling?.gbps ?? null), String(rail.bytes_wrong)]));
}

function latencyTable(content) {
  const figure = (rail, name) => time(rail.latency?.[name] ?? null);
  const rows = content.rails.map((rail) => [railName(rail.rail), figure(rail, "median_us"), figure(rail, "p90_us"), figure(rail, "p99_us"),
    figure(rail, "p999_us"), perSecond(rail.message_rate?.per_second), perSecond(rail.message_rate?.per_second_together)]);
  if (content.rails.length > 1 && (content.all_rails.messages_per_second ?? null) !== null) {
    rows.push([`${content.rails.length} rails at once`, null, null, null, null, null, perSecond(content.all_rails.messages_per_second)]);
  }
  return table("Latency and message rate", [{ title: "Rail", key: true }, { title: "Latency, median", number: true },
    { title: "p90", number: true }, { title: "p99", number: true }, { title: "p99.9", number: true },
    { title: "Messages, alone", number: true }, { title: "All busy", number: true }], rows);
}

function railSizes(content) {
  const { xs, curves } = rateCurves(content);
  const rows = sizeRows(content);
  if (rows.length === 0) return null;
  return [
    xs.length < 2 ? null : h("div", { class: "charts" }, chart({ title: `${operationOf(content)}: bandwidth`, xs, series: curves, inWords: rate })),
    h("details", { open: rows.length <= OPEN_SIZE_ROWS },
      h("summary", null, `${plural(xs.length, "size")}, each against its ceiling`),
      table("By size", [{ title: "Size", key: true, number: true }, { title: "Rails" }, { title: "Alone", number: true },
        { title: "All busy", number: true }, { title: "Ceiling", number: true }, { title: "Of ceiling", number: true }], rows))];
}

function railSplitSection(data) {
  const files = filesOf(data, "verbs");
  if (files.length === 0) return null;
  const operations = unique(files.map(({ content }) => operationOf(content)));
  return section("rails", "Rails", `${listed(operations)}, payload`, files.map(({ file, content }) => {
    const rows = railRows(content);
    const whole = Math.max(1e-9, ...rows.map((row) => Math.max(row.value, row.ceiling ?? 0)));
    return h("div", { class: "rail-split" },
      files.length > 1 ? h("h3", null, `${baseName(file)}: ${operationOf(content)}`) : null,
      h("ul", { class: "bars" }, rows.map((row) => bar(row, whole))),
      content.all_rails.ceiling
        ? h("p", { class: "quiet small" }, `Ceiling: ${content.all_rails.ceiling.explanation}.`)
        : h("p", { class: "quiet small" }, "No ceiling is known for these rails."),
      railsTable(content), latencyTable(content), railSizes(content));
  }));
}
