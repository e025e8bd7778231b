// Puts the page of measurements together.

function bestLine(data) {
  const lines = allLines(filesOf(data, "collectives").slice(-1));  // of two sweeps, the later one
  return lines.reduce((best, line) =>
    !best || line.busbw_gbytes_per_s > best.busbw_gbytes_per_s ? line : best, null);
}

// {compared, wrong, unit} of one file; null of a kind that moves no data.
function dataCheckOf({ kind, content }) {
  const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);
  if (kind === "collectives") {
    return { compared: sum(content.lines, "bytes_checked"), wrong: sum(content.lines, "elements_wrong"), unit: "element", right: content.verified };
  }
  if (kind === "verify") {
    const wrong = sum(content.ranks, "elements_wrong");
    return { compared: sum(content.ranks, "bytes_checked"), wrong, unit: "element", right: wrong === 0 };
  }
  if (kind === "verbs") {
    return { compared: content.bytes_checked, wrong: content.bytes_wrong, unit: "byte", right: content.verified };
  }
  return null;
}

const checkedFiles = (data) => data.files
  .map((one) => ({ ...one, check: dataCheckOf(one) })).filter((one) => one.check);

function measuredFigures(data) {
  const best = bestLine(data);
  const sweeps = filesOf(data, "collectives");
  const ceiling = ceilingFor(data, sweeps);
  const fastest = allLines(sweeps.slice(-1)).reduce((least, line) =>
    !least || line.time.mean_us < least.time.mean_us ? line : least, null);
  const writes = filesOf(data, "verbs").find((one) => one.content.all_rails.gbps !== null)?.content;
  const checks = checkedFiles(data);
  const compared = checks.reduce((total, one) => total + one.check.compared, 0);
  const figures = [
    best && figure(`Bus bandwidth, ${best.operation}`, byteRateParts(best.busbw_gbytes_per_s),
      [`${bytes(best.bytes)}`, ceiling && `${share(best.busbw_gbytes_per_s, ceiling)} of the ceiling`].filter(Boolean).join(", ")),
    fastest && figure(`Shortest call, ${fastest.operation}`, timeParts(fastest.time.mean_us),
      `${bytes(fastest.bytes)}, mean; p99 ${time(fastest.time.p99_us)}`),
    writes && figure(`${operationOf(writes)}, ${plural(writes.rails.length, "rail")}`, rateParts(writes.all_rails.gbps),
      writes.all_rails.ceiling ? `${share(writes.all_rails.gbps, writes.all_rails.ceiling.gbps)} of the ceiling` : null),
    compared > 0 && figure("Bytes compared", byteParts(compared),
      checks.every((one) => one.check.wrong === 0) ? "none wrong" : "some were wrong"),
    ...trainFigures(data),
  ].filter(Boolean);
  return figures.length === 0 ? null : h("dl", { class: "figures" }, figures);
}

function dataCheckSection(data) {
  const checks = checkedFiles(data);
  if (checks.length === 0) return null;
  const right = checks.every((one) => one.check.right && one.check.wrong === 0);
  return section("data-check", "Data check", null,
    h("p", { class: right ? null : "alarm" }, right
      ? "Every byte that was compared at its destination was the byte that was sent."
      : "Bytes arrived that were not sent: no figure of that run stands until the cause is found."),
    table("What was compared", [{ title: "File", key: true }, { title: "Kind" }, { title: "Compared", number: true },
      { title: "Wrong", number: true }, { title: "What was wrong" }],
    checks.map(({ file, kind, check, content }) => [baseName(file), kind, bytes(check.compared),
      plural(check.wrong, check.unit), content.failure ?? ""])));
}

function factsOf({ kind, content }) {
  const at = content.environment;
  const place = at ? [["Host", at.hostname], ["Kernel", at.kernel], ["Architecture", at.architecture]] : [];
  if (kind === "collectives") {
    return [["Ranks", `${content.ranks} on ${plural(unique(content.nodes).length, "node")}`],
      ["Backend", `${content.backend.name} ${content.backend.version}`], ["Library", content.backend.library],
      ["Transports", content.backend.transports.join(", ")], ["Memory", [content.memory, content.backend.device].filter(Boolean).join(", ")],
      ["Precision asked", `${threeDigits(content.plan.precision * 100)} %`], ["Pattern seed", String(content.plan.seed)], ...place];
  }
  if (kind === "verbs") {
    return [["Peer", content.peer], ["Operation", operationOf(content)], ["Message size", bytes(content.plan.message_bytes)],
      ["In flight", `${content.plan.outstanding} on each of ${content.plan.pairs_per_rail} queue pairs a rail`],
      ["Memory", unique([content.memory, content.peer_memory].filter(Boolean)).join(" to ")],
      ["Message rate of", content.plan.rate_bytes ? bytes(content.plan.rate_bytes) : ""],
      ["Latency seen by", content.latency_by ?? ""],
      ["Pattern seed", String(content.plan.seed)], ...place];
  }
  if (kind === "tune") {
    const { fabric } = content;
    return [["Ranks", `${fabric.ranks} on ${plural(fabric.nodes, "node")}`], ["Backend", content.backend],
      ["GPUs", fabric.gpus.join(", ")], ["NICs", fabric.nics.join(", ")], ["MTU", String(fabric.mtu)],
      ["Search", `${plural(content.trials, "trial")}, ${time(content.seconds * 1e6)}, seed ${content.seed}, ${content.end}`],
      ["No choices by size", content.no_choices]];
  }
  if (kind === "train") return factsOfRun(content);
  if (kind === "verify-log") {
    return [["NCCL", content.versions.join(", ")], ["Logs", content.files.slice(0, 16).map(baseName).join(", ")]];
  }
  if (kind === "verify") {
    return [["Ranks", String(content.ranks.length)], ["Nodes", String(unique(content.ranks.map((one) => one.node)).length)],
      ["Backends", unique(content.ranks.map((one) => one.backend)).join(", ")],
      ["Not read", unique(content.ranks.flatMap((one) => one.notes)).slice(0, 8).join("; ")]];
  }
  return [["Nodes", content.nodes.map((one) => one.node).slice(0, 16).join(", ")]];
}

function environmentsSection(data) {
  return section("environment", "Environment", null, data.files.map((one) =>
    h("div", { class: "environment" }, h("h3", null, baseName(one.file), h("span", { class: "quiet" }, ` ${one.content.schema}`)),
      factList(factsOf(one).filter(([, value]) => value !== "")))));
}

runLine(["Report of measurements", plural(report.files.length, "file")]);

drawParts([actionsSection, measuredFigures, statementsSection, runsSection, trainCharts, stepTimeSection, attemptsSection, pathSection, busbwCharts, latencyCharts,
  comparisonSection, tuneCharts, knobsSection, profileSection, railSplitSection, directionsSection, logSection, doctorSection, dataCheckSection, inputsSection, environmentsSection]);
keepChartsFitting();

footer([`Railhead ${report.tool_version}`, report.schema, "charts by uPlot, MIT licence",
  listed(report.files.map((one) => baseName(one.file)))]);
