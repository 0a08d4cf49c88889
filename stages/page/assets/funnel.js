"use strict";
// What became of the completions of each source, and why not.

/** After the columns of the completions are known, to which examples lead. */
function showData(sources) {
  if (!sources.length) return leaveOut("data");
  const section = byId("data");
  sources.forEach((source, place) => {
    section.append(el("h3", {class: "wrap"}, source.name), steps(source, place), ...why(source, place));
  });
}

/** A row for each thing that can become of a record, as far as the records say it. */
function steps(source, place) {
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
    [unseen("what"), numeric("completions"), numeric("share"), unseen("bar"), "example", unseen("note")],
    rows.map(([name, count, whole_, said]) => [
      name,
      whole(count),
      whole_ ? percent(count / whole_) : "–",
      bar([{share: whole_ ? count / whole_ : 0}]),
      exampleOf(place, source.first[name]),
      el("span", {class: "dim"}, said),
    ]),
  );
}

/** A completion by its id; a button to it where the page has it. */
function exampleOf(place, id) {
  if (!id || findTrace(place, id) < 0) return el("span", {class: "wrap"}, id || "–");
  return el(
    "button",
    {type: "button", class: "wrap", on: {click: () => openTrace(place, id)}},
    el("span", {class: "sr"}, "Show the example "),
    id,
  );
}

function why(source, place) {
  const rows = ["dropped", "unjudged", "wrong"].flatMap((fate) =>
    source.reasons[fate].map(({why, count, example}) => [
      {dropped: "dropped", unjudged: "not judged", wrong: "not correct"}[fate],
      el("span", {class: "wrap"}, why),
      whole(count),
      exampleOf(place, example),
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
