// Puts the demo's page together.

runLine(["Demo report", report.topology.name, dateInWords(report.started)]);

drawParts([failureSection, figuresSection, topologySection, bandwidthSection, trainingSection, stepsSection,
  railsSection, podsSection, nodesSection, environmentSection]);

footer([`Railhead ${report.tool_version}`, report.schema, "the same data is in report.json"]);
