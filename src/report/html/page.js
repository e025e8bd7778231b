// Puts the page together. What cannot be drawn says so in its place; the rest still stands.

const report = JSON.parse(document.getElementById("report-data").textContent);
const content = document.getElementById("content");

fill(document.getElementById("run-line"), null,
  [["Demo report", report.topology.name, dateInWords(report.started)].filter(Boolean).join(" · ")]);

for (const part of [failureSection, figuresSection, topologySection, bandwidthSection,
  stepsSection, railsSection, podsSection, nodesSection, environmentSection]) {
  try {
    const drawn = part(report);
    if (drawn) content.append(drawn);
  } catch (error) {
    console.error(error);
    content.append(h("p", { class: "alarm" }, "A part of this report could not be drawn."));
  }
}

fill(document.getElementById("footer"), null,
  [`Railhead ${report.tool_version} · ${report.schema} · the same data is in report.json`]);

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
