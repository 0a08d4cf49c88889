"use strict";
// What each run took: seconds by what they were spent on, money, tokens, operations, memory.

function showCost(runs, price) {
  if (!runs.length) return leaveOut("cost");
  const parts = [...new Set(runs.flatMap((run) => Object.keys(run.cost.seconds)))];
  const memory = [...new Set(runs.flatMap((run) => Object.keys(run.cost.memory)))];
  const most = Math.max(...runs.map(secondsOf), 1e-9);
  const columns = [
    "run",
    ...parts.map(numeric),
    numeric("together"),
    unseen("bar"),
    ...(price == null ? [] : [numeric("cost")]),
    numeric("tokens"),
    numeric("tokens per second"),
    numeric("PFLOP"),
    ...memory.map(numeric),
  ];
  byId("cost").append(
    table(
      "Cost of each run",
      columns,
      runs.map((run, place) => {
        const {seconds, tokens, flos} = run.cost;
        const spent = secondsOf(run);
        return [
          el("span", {class: "named"}, swatch(place), run.name),
          ...parts.map((part) => (seconds[part] == null ? "–" : duration(seconds[part]))),
          duration(spent),
          bar(parts.map((part, kind) => ({share: (seconds[part] ?? 0) / most, style: `part-${kind % 5}`}))),
          ...(price == null ? [] : [number((run.cost.paid / 3600) * price)]),
          tokens ? whole(tokens) : "–",
          tokens && spent ? whole(tokens / spent) : "–",
          number(flos / 1e15),
          ...memory.map((name) => number(run.cost.memory[name])),
        ];
      }),
    ),
    el(
      "p",
      {class: "hint"},
      ...parts.flatMap((part, kind) => [
        el("span", {class: `swatch part-${kind % 5}`, "aria-hidden": "true"}),
        `${part}  `,
      ]),
    ),
  );
}

function secondsOf(run) {
  return Object.values(run.cost.seconds).reduce((sum, each) => sum + each, 0);
}
