// What NCCL's log of a run said of its directions, one row and one fold for each kind of direction.

const MOST_WARNINGS = 32;

function loggedEnd(one, rank, process) {
  return one[process] === "" ? `rank ${one[rank]}` : `rank ${one[rank]} (${one[process]})`;
}
const loggedName = (one) => `${loggedEnd(one, "from", "from_process")} → ${loggedEnd(one, "to", "to_process")}`;

// "gdr", or what each end says where they do not tell the same.
function linesOf(one) {
  if (one.partial_reason === "" && one.lines !== "mixed") return one.lines;
  const ends = [["send", "sender"], ["receive", "receiver"]].filter(([end]) => one[end] !== "untold")
    .map(([end, name]) => `${one[end]} at the ${name}`);
  return [`${one.lines}: ${ends.join(", ")}`, one.partial_reason].filter(Boolean).join("; ");
}

function loggedDetails(one) {
  return h("details", { class: "direction" },
    h("summary", null, h("span", { class: "direction-name" }, loggedName(one)), " ", verdictBadge(one.verdict),
      one.alike > 1 ? h("span", { class: "quiet" }, ` and ${one.alike - 1} alike`) : null),
    h("p", null, `The lines say ${linesOf(one)}. By the rules, without counters: ${one.reason} (rule ${one.rule}).`),
    one.causes.length === 0 ? null : h("p", null, h("strong", null, "What keeps NCCL from GPU memory: "), one.causes.join("; ")),
    table(`Lines of ${one.from} to ${one.to}`, [{ title: "Evidence", key: true }, { title: "Says" },
      { title: "Speaks for" }, { title: "Read from", code: true }],
    one.evidence.map((piece) => [piece.what, piece.value,
      piece.supports === "nothing" ? h("span", { class: "quiet" }, "nothing") : piece.supports, piece.where])));
}

function loggedRun({ file, content }, several) {
  const more = content.directions_left_out;
  return h("div", null, several ? h("h3", null, baseName(file)) : null,
    h("p", null, `${plural(content.channel_lines, "channel line")} of ${content.processes} ${content.processes === 1 ? "process" : "processes"}.`,
      content.damaged_lines === 0 ? null
        : ` ${content.damaged_lines} are damaged and count for nothing, the first: ${content.first_damaged}`),
    table("What the lines say", [{ title: "Lines say", key: true }, { title: "Directions", number: true },
      { title: "Rails", code: true }, { title: "First" }],
    content.directions.map((one) => [linesOf(one), String(one.alike), one.rails.join(", "), loggedName(one)])),
    more > 0 ? h("p", { class: "quiet small" }, `${more} more directions are not shown.`) : null,
    content.directions.map(loggedDetails),
    content.warnings.length === 0 ? null : h("details", null,
      h("summary", null, `NCCL warns ${content.warnings.length === 1 ? "once" : `${content.warnings.length} times`}`),
      h("ul", null, content.warnings.slice(0, MOST_WARNINGS).map((warning) => h("li", null, warning)))));
}

function logSection(data) {
  const files = filesOf(data, "verify-log");
  if (files.length === 0) return null;
  return section("nccl-log", "What NCCL's log says", "meant, not proven",
    files.map((one) => loggedRun(one, files.length > 1)));
}
