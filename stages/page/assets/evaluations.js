"use strict";
// Measurements: rows of `r1 eval` and of runs, how far apart they are, right answers over samples, thinking and length.

function showEvaluations({evaluations, differences, samples, budgets, lengths, unmeasured}) {
  if (![evaluations, differences, samples, budgets, lengths, unmeasured].some((each) => each.length))
    return leaveOut("evaluations");
  const section = byId("evaluations");
  if (evaluations.length) section.append(...figuresOf(evaluations));
  if (differences.length) section.append(...compared(differences));
  const charts = [...ofSamples(samples), ...ofBudgets(budgets), ...ofLengths(lengths)];
  if (charts.length) {
    section.append(
      el("h3", {}, "Over completions, thinking and length"),
      el("div", {class: "charts"}, ...charts.map((chart) => chart.figure)),
      numbersOf(charts),
    );
  }
  section.append(...unmeasured.map((note) => el("p", {class: "hint wrap"}, note)));
}

function figuresOf(rows) {
  const has = (name) => rows.some((row) => row[name] != null);
  const curveOf = (mark) =>
    [...new Set(rows.flatMap((row) => Object.keys(row)))]
      .filter((name) => name.startsWith(mark) && /^\d+$/.test(name.slice(5)) && name !== "pass@1")
      .sort((one, other) => Number(one.slice(5)) - Number(other.slice(5)));
  const shares = [...curveOf("pass@"), ...curveOf("cons@")];
  const several = new Set(rows.map((row) => row.source)).size > 1;
  const columns = [
    ["benchmark", false, (row) => lastPart(row.benchmark)],
    ["model", false, (row) => lastPart(row.model), has("model") || rows.some((row) => row.model)],
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
    ["n × k", true, (row) => (row.problems == null ? "–" : `${row.problems} × ${row.k ?? "–"}`), has("problems")],
  ].filter(([, , , shown = true]) => shown);
  return [
    table(
      "Figures of each evaluation",
      columns.map(([title, isNumber]) => ({title, number: isNumber})),
      rows.map((row) => columns.map(([, , cell]) => cell(row))),
    ),
    el("p", {class: "hint"}, "The interval of pass@1 is of 95 %, with problems as clusters."),
  ];
}

/** A model or a benchmark: of a path the end, with the whole as its title. */
function lastPart(name) {
  return el("span", {class: "wrap", title: name}, inShort(name) || "–");
}

const inShort = (name) => (/^[\w.~/-]+$/.test(name) ? name.replace(/\/+$/, "").split("/").at(-1) : name);

/** The differences from one evaluation, which a choice names. */
function compared(groups) {
  const shown = el("div", {"aria-live": "polite"});
  const many = new Set(groups.map((group) => group.benchmark)).size > 1;
  const choice = el(
    "select",
    {id: "against", on: {change: () => shown.replaceChildren(differencesOf(groups[choice.value]))}},
    ...groups.map(({benchmark, against}, place) =>
      el("option", {value: place}, many ? `${inShort(benchmark) || "records"}: ${against}` : against),
    ),
  );
  shown.append(differencesOf(groups[0]));
  return [
    el("h3", {}, "Differences of pass@1, of the same problems"),
    el("div", {class: "controls"}, el("label", {}, "Against", choice)),
    shown,
    el(
      "p",
      {class: "hint"},
      "In points of a hundred, paired by problem, with the 95 % interval (Student’s t). " +
        "p (Holm) is corrected for all rows of the table.",
    ),
  ];
}

function differencesOf({benchmark, against, rows}) {
  const most = Math.max(
    ...rows.flatMap((row) => [row.difference_low, row.difference_high, row.difference].map(Math.abs)),
    1e-9,
  );
  const points = (value) =>
    value == null ? "–" : `${value < 0 ? "−" : "+"}${(100 * Math.abs(value)).toFixed(1)}`;
  const columns = [
    "evaluation",
    numeric("pass@1"),
    numeric("difference"),
    numeric("95 %"),
    unseen("picture"),
    numeric("p"),
    numeric("p (Holm)"),
    numeric("problems"),
    numeric("better / worse"),
    ...(rows.some((row) => row.left || row.unlike) ? ["not alike"] : []),
  ];
  return table(
    `Differences from ${against}${benchmark ? ` on ${benchmark}` : ""}`,
    columns,
    rows.map((row) => [
      el("span", {class: "wrap"}, row.label),
      percent(row["pass@1"]),
      el(
        "span",
        {class: row.p_holm == null || row.p_holm > 0.05 ? "" : row.difference > 0 ? "good" : "bad"},
        points(row.difference),
      ),
      row.difference_low == null ? "–" : `${points(row.difference_low)} – ${points(row.difference_high)}`,
      aroundNothing(row, most),
      probability(row.p),
      probability(row.p_holm),
      row.problems ?? "–",
      row.problems_better == null ? "–" : `${row.problems_better} / ${row.problems_worse}`,
      ...(columns.includes("not alike") ? [notAlike(row)] : []),
    ]),
  );
}

function notAlike({left, unlike}) {
  const told = [left && `problems left out: ${left}`, unlike && `settings: ${unlike}`];
  return el("span", {class: "wrap dim"}, told.filter(Boolean).join("; "));
}

const probability = (p) => (p == null ? "–" : p < 1e-4 ? "< 0.0001" : p.toFixed(4));

/** The interval of a difference around a line at 0; `most` is at the ends. */
function aroundNothing({difference, difference_low: low, difference_high: high}, most) {
  const place = (value) => 50 + (48 * value) / most;
  const [line, mark, zero] = [el("i"), el("b"), el("u")];
  zero.style.left = "50%";
  mark.style.left = `${place(difference)}%`;
  if (low != null) {
    line.style.left = `${place(low)}%`;
    line.style.width = `${place(high) - place(low)}%`;
  }
  return el("span", {class: "range", "aria-hidden": "true"}, zero, line, mark);
}

/** A chart of pass@k and one of cons@k for each benchmark. */
function ofSamples(curves_) {
  return byBenchmark(curves_).flatMap(([benchmark, lines]) =>
    ["pass@k", "cons@k"].flatMap((name) => {
      const drawn = lines
        .filter((line) => line[name].some((value) => value != null))
        .map(({label, k, [name]: y}) => ({label, x: k, y}));
      return drawn.length
        ? [new Plot(titled(name, benchmark), "k completions of a problem", drawn, true)]
        : [];
    }),
  );
}

/** A chart of accuracy over thinking for each benchmark that has two points or more. */
function ofBudgets(curves_) {
  return byBenchmark(curves_).flatMap(([benchmark, lines]) => {
    const points = lines.reduce((sum, line) => sum + line.thinking_tokens.length, 0);
    const drawn = lines.map((line) => ({
      label: line.label,
      x: line.thinking_tokens,
      y: line["pass@1"],
      note: (at) =>
        [
          line.think_budget[at] && `, budget ${number(line.think_budget[at])}`,
          line.think_extend[at] && `, extended ${number(line.think_extend[at])} times`,
        ]
          .filter(Boolean)
          .join(""),
    }));
    return points > 1
      ? [new Plot(titled("pass@1 over thinking", benchmark), "tokens of thinking, the mean", drawn)]
      : [];
  });
}

/** For each benchmark and unit a chart of right answers over the length of completions. */
function ofLengths(curves_) {
  return byBenchmark(curves_).flatMap(([benchmark, lines]) =>
    [...new Set(lines.map((line) => line.unit))].map((unit) => {
      const drawn = lines
        .filter((line) => line.unit === unit)
        .map((line) => ({
          label: line.label,
          x: line.mean_length,
          y: line.correct,
          note: (at) =>
            `, ${number(line.completions[at])} of ${number(line.length_low[at])} to ${number(line.length_high[at])}`,
        }));
      return new Plot(titled("right answers over length", benchmark), `length in ${unit}`, drawn);
    }),
  );
}

const titled = (name, benchmark) => (benchmark ? `${name}, ${inShort(benchmark)}` : name);

function byBenchmark(lines) {
  const groups = new Map();
  for (const line of lines) groups.set(line.benchmark, [...(groups.get(line.benchmark) ?? []), line]);
  return [...groups];
}

/** What the charts show, as tables. */
function numbersOf(charts) {
  const rows = charts.flatMap(({title, lines}) =>
    lines.flatMap(({label, x, y, note}) =>
      x.map((each, at) => [label, title, number(each), percent(y[at]), note ? note(at).slice(2) : ""]),
    ),
  );
  const columns = ["evaluation", "figure", numeric("at"), numeric("share"), unseen("budget, or completions")];
  const made = el("details", {}, el("summary", {}, `The numbers of these charts: ${rows.length}`));
  made.addEventListener("toggle", () => {
    if (made.children.length < 2) made.append(table("The numbers of these charts", columns, rows));
  });
  return made;
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
