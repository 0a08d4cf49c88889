"use strict";
// The runs: what each is and came to, in what their options differ, and what the guards saw.

function showRuns(runs) {
  if (!runs.length) return leaveOut("runs");
  const section = byId("runs");
  section.append(runTable(runs));
  if (runs.some((run) => Object.keys(run.options).length)) section.append(...optionTables(runs));
  const seen = runs.some((run) => run.events.length);
  if (seen) section.append(eventTable(runs));
}

function runTable(runs) {
  const rewarded = runs.some((run) => run.metrics.reward);
  const columns = [
    "run",
    "stage",
    "state",
    ...["steps", "loss"].map(numeric),
    ...(rewarded ? [numeric("reward")] : []),
    numeric("length"),
    numeric("seconds"),
  ];
  return table(
    "Runs, with the last value of each figure",
    columns,
    runs.map((run, place) => [
      el("span", {class: "named"}, swatch(place), run.name),
      run.stage || "–",
      run.finished ? "finished" : "unfinished",
      whole(run.steps.at(-1)),
      number(lastOf(run, "loss")),
      ...(rewarded ? [number(lastOf(run, "reward"))] : []),
      number(lastOf(run, "completions/mean_length")),
      duration(Object.values(run.cost.seconds).reduce((sum, each) => sum + each, 0)),
    ]),
  );
}

function lastOf(run, metric) {
  return (run.metrics[metric] || []).findLast((value) => value != null);
}

/** Options that runs have other values of, and all others folded: those of one value, and those that one stage
 *  alone has. A run that has neither ended nor kept a checkpoint has not written any. */
function optionTables(runs) {
  const known = runs.filter((run) => Object.keys(run.options).length);
  const names = [...new Set(known.flatMap((run) => Object.keys(run.options)))].sort();
  const differs = (name) =>
    new Set(known.map((run) => run.options[name]).filter((value) => value != null)).size > 1;
  const columns = ["option", ...known.map((run) => run.name)];
  const shown = (title, chosen) =>
    table(
      title,
      columns,
      chosen.map((name) => [
        name,
        ...known.map((run) => el("span", {class: "wrap"}, run.options[name] ?? "–")),
      ]),
    );
  const [other, same] = [names.filter(differs), names.filter((name) => !differs(name))];
  const made = [];
  if (known.length > 1) {
    const title = "Options that differ";
    made.push(el("h3", {}, title), other.length ? shown(title, other) : el("p", {}, "None."));
  }
  const title = known.length > 1 ? "Other options" : "Options";
  made.push(el("details", {}, el("summary", {}, `${title}: ${same.length}`), shown(title, same)));
  if (known.length < runs.length) {
    made.push(
      el(
        "p",
        {class: "hint"},
        "Of an unfinished run that has kept no checkpoint, options are not known yet.",
      ),
    );
  }
  return made;
}

function eventTable(runs) {
  const rows = runs.flatMap((run, place) =>
    run.events.map(({from, to, what}) => [
      el("span", {class: "named"}, swatch(place), run.name),
      from === to ? String(from) : `${from} – ${to}`,
      el("span", {class: "wrap"}, what),
      el("button", {type: "button", on: {click: () => markStep(from)}}, `Mark ${from}`),
    ]),
  );
  const summary = el("summary", {}, `What the guards saw: ${rows.length}`);
  return el(
    "details",
    {open: rows.length <= 12},
    summary,
    table("What the guards saw", ["run", numeric("step"), "what", "in the charts"], rows),
  );
}
