"use strict";
// Rows of `r1 eval`, and what runs measured while they learned.

function showEvaluations(rows) {
  if (!rows.length) return leaveOut("evaluations");
  const has = (name) => rows.some((row) => row[name] != null);
  const curveOf = (mark) =>
    [...new Set(rows.flatMap((row) => Object.keys(row)))]
      .filter((name) => name.startsWith(mark) && /^\d+$/.test(name.slice(5)) && name !== "pass@1")
      .sort((one, other) => Number(one.slice(5)) - Number(other.slice(5)));
  const shares = [...curveOf("pass@"), ...curveOf("cons@")];
  const several = new Set(rows.map((row) => row.source)).size > 1;
  const columns = [
    ["benchmark", false, (row) => row.benchmark || "–"],
    [
      "model",
      false,
      (row) => el("span", {class: "wrap"}, row.model || "–"),
      has("model") || rows.some((row) => row.model),
    ],
    ["from", false, (row) => el("span", {class: "wrap"}, row.source), several],
    ["step", true, (row) => row.step ?? "–", has("step")],
    ["pass@1", true, (row) => percent(row["pass@1"]), has("pass@1")],
    [
      "95 %",
      true,
      (row) =>
        row["pass@1_low"] == null ? "–" : `${percent(row["pass@1_low"])} – ${percent(row["pass@1_high"])}`,
      has("pass@1_low"),
    ],
    ["0 to 100 %", false, interval, has("pass@1_low")],
    ...shares.map((name) => [name, true, (row) => percent(row[name])]),
    ["loss", true, (row) => number(row.loss), has("loss")],
    [
      "length",
      true,
      (row) =>
        row["completions/mean_length"] == null
          ? "–"
          : `${number(row["completions/mean_length"])} ${row.length_unit || ""}`,
      has("completions/mean_length"),
    ],
    ["cut off", true, (row) => percent(row["completions/clipped_ratio"]), has("completions/clipped_ratio")],
    ["mixing", true, (row) => percent(row.mixing), has("mixing")],
    ["not judged", true, (row) => row.unjudged ?? "–", rows.some((row) => row.unjudged)],
    ["n × k", true, (row) => (row.problems == null ? "–" : `${row.problems} × ${row.k}`), has("problems")],
  ].filter(([, , , shown = true]) => shown);
  byId("evaluations").append(
    table(
      "Figures of each evaluation",
      columns.map(([title, isNumber]) => ({title, number: isNumber})),
      rows.map((row) => columns.map(([, , cell]) => cell(row))),
    ),
    el("p", {class: "hint"}, "The interval of pass@1 is of 95 %, with problems as clusters."),
  );
}

/** pass@1 as a mark, its interval as a line. */
function interval(row) {
  if (row["pass@1_low"] == null) return "";
  const [line, mark] = [el("i"), el("b")];
  line.style.left = `${100 * row["pass@1_low"]}%`;
  line.style.width = `${100 * (row["pass@1_high"] - row["pass@1_low"])}%`;
  mark.style.left = `${100 * row["pass@1"]}%`;
  return el("span", {class: "range", "aria-hidden": "true"}, line, mark);
}
