"use strict";
// Puts the page together: what stands above the completions at once, the completions when the file is read.

const [overview] = dataOf("overview");
document.title = ["r1 report", ...overview.runs.map((run) => run.name)].slice(0, 4).join(" · ");
byId("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
  colourAnew();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colourAnew);
showRuns(overview.runs);
showCharts(overview.runs);
showEvaluations(overview);
showCost(overview.runs, overview.price_hour);
document.addEventListener("DOMContentLoaded", () => {
  readTraces(overview.sources);
  showData(overview.sources);
  showTraces(overview.completions);
});
