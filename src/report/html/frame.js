// What every page does with its parts.

const report = JSON.parse(document.getElementById("report-data").textContent);

// What cannot be drawn says so in its place; the rest still stands.
function drawParts(parts) {
  const content = document.getElementById("content");
  for (const part of parts) {
    try {
      const drawn = part(report);
      if (drawn) content.append(drawn);
    } catch (error) {
      console.error(error);
      content.append(h("p", { class: "alarm" }, "A part of this report could not be drawn."));
    }
  }
}

const runLine = (parts) =>
  fill(document.getElementById("run-line"), null, [parts.filter(Boolean).join(" · ")]);
const footer = (parts) =>
  fill(document.getElementById("footer"), null, [parts.filter(Boolean).join(" · ")]);

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
