"use strict";
// What became of the completions of each source, and why not.

/** After the columns of the completions are known, to which examples lead. */
function showData(sources) {
  if (!sources.length) return leaveOut("data");
  const section = byId("data");
  sources.forEach((source, place) => {
    section.append(el("h3", {class: "wrap"}, source.name), steps(source), ...why(source, place));
  });
}

/** A row for each thing that can become of a record, as far as the records say it. */
function steps(source) {
  const {
    problems,
    records,
    generated = 0,
    scored = 0,
    judged = 0,
    correct = 0,
    advantages = 0,
    taught = 0,
    dropped = 0,
    kept = 0,
  } = source;
  const rows = [
    ...(generated < records ? [["records", records, records, "those without a completion included"]] : []),
    ["generated", generated, records, `of ${whole(problems)} problems`],
    ...(scored
      ? [
          ["judged", judged, generated, ""],
          ["correct", correct, generated, "reward of at least 0.5"],
        ]
      : []),
    ...(advantages ? [["taught", taught, generated, "advantage other than 0"]] : []),
    ...(dropped ? [["kept", kept, generated, ""]] : []),
  ];
  return table(
    `What became of ${source.name}`,
    [unseen("what"), numeric("completions"), numeric("share"), unseen("bar"), unseen("note")],
    rows.map(([name, count, whole_, said]) => [
      name,
      whole(count),
      whole_ ? percent(count / whole_) : "–",
      bar([{share: whole_ ? count / whole_ : 0}]),
      el("span", {class: "dim"}, said),
    ]),
  );
}

function why(source, place) {
  const rows = ["dropped", "unjudged", "wrong"].flatMap((fate) =>
    source.reasons[fate].map(({why, count, example}) => [
      {dropped: "dropped", unjudged: "not judged", wrong: "not correct"}[fate],
      el("span", {class: "wrap"}, why),
      whole(count),
      findTrace(place, example) < 0
        ? example || "–"
        : el(
            "button",
            {type: "button", on: {click: () => openTrace(place, example)}},
            el("span", {class: "sr"}, "Show the example "),
            example,
          ),
    ]),
  );
  if (!rows.length) return [];
  const title = `Why: ${rows.length} kinds of reasons`;
  return [
    el(
      "details",
      {open: rows.length <= 8},
      el("summary", {}, title),
      table(`${title}, ${source.name}`, [unseen("what"), "reason", numeric("completions"), "example"], rows),
    ),
  ];
}
