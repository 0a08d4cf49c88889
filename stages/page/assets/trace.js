"use strict";
// One completion as a person reads it: problem, thinking, answer, why it got its rewards; its problem's other
// completions over the steps, and one of them beside it.

const OTHERS = 300; // completions of a problem that are listed

/** Shows completion number `at`; `beside` is another of the same problem, null for none. By default it is the
 *  last of the source that was chosen to stand beside. */
function showTrace(at, beside = partner(at)) {
  traces.current = at;
  traces.beside = beside;
  markCurrent();
  const problem = traces.problems[column("problem", at)];
  const others = othersOf(at);
  const shown = [at, ...(beside == null ? [] : [beside])];
  byId("trace").replaceChildren(
    turns(at, others),
    el("h3", {}, `Problem ${problem.name}`),
    el("p", {class: "text"}, ...marked(problem.prompt)),
    ...(problem.reference ? [el("h3", {}, "Reference"), el("p", {class: "text"}, problem.reference)] : []),
    el("div", {class: "columns"}, ...shown.map(completion)),
    ...overSteps(at, others),
  );
}

/** The last completion of the same problem from the source that stands beside; null where it has none. */
function partner(at) {
  if (chosen("beside-source") === "") return null;
  const source = Number(chosen("beside-source"));
  return othersOf(at).findLast((each) => each !== at && column("source", each) === source) ?? null;
}

/** Completions of the same problem, over all sources, in the order of steps. */
function othersOf(at) {
  const name = traces.problems[column("problem", at)].name;
  const found = [];
  for (let each = 0; each < traces.count; each += 1) {
    if (traces.problems[column("problem", each)].name === name) found.push(each);
  }
  return found.sort(
    (one, other) => (column("step", one) ?? -1) - (column("step", other) ?? -1) || one - other,
  );
}

/** Buttons to the one before and the one after, and what stands beside. */
function turns(at, others) {
  const place = traces.found.indexOf(at);
  const go = (to) =>
    el(
      "button",
      {
        type: "button",
        disabled: !(to >= 0 && to < traces.found.length) || place < 0,
        on: {click: () => showTrace(traces.found[to])},
      },
      to < place ? "Previous" : "Next",
    );
  const choice = el(
    "select",
    {on: {change: (event) => showTrace(at, event.target.value === "" ? null : Number(event.target.value))}},
    el("option", {value: ""}, "nothing"),
    ...others
      .filter((each) => each !== at)
      .slice(0, OTHERS)
      .map((each) => el("option", {value: each, selected: each === traces.beside}, named(each))),
  );
  return el(
    "div",
    {class: "turns"},
    go(place - 1),
    go(place + 1),
    others.length > 1 ? el("label", {}, "Beside it: ", choice) : null,
    heatChoice(),
  );
}

/** Where a completion is from and what it got, in one line. */
function named(at) {
  const [step, reward] = [column("step", at), column("reward", at)];
  return [
    traces.sources[column("source", at)].name,
    step == null ? null : `step ${step}`,
    column("id", at),
    reward === undefined ? null : `reward ${number(reward)}`,
  ]
    .filter((part) => part != null)
    .join(", ");
}

function completion(at) {
  if (!traces.texts[at]) return el("p", {class: "hint"}, "Its text is being read …");
  const made = el("article", {class: "completion"}, el("h3", {class: "wrap"}, named(at)), ...rewardsOf(at));
  made.append(...(heat.by ? heated(at) : wordsOf(at)), facts(at));
  return made;
}

/** What stands before the thinking, the thinking and the answer. */
function wordsOf(at) {
  const [thinking, answer, first, open] = traces.texts[at];
  const made = [];
  const text = (words, style = "") => el("p", {class: `text ${style}`}, ...marked(words));
  if (first) made.push(el("h3", {}, "First"), text(first));
  if (thinking != null) {
    const fold = el(
      "details",
      {open: traces.unfolded},
      el("summary", {}, `Thinking, ${whole(thinking.length)} characters`),
      text(thinking, "thinking"),
    );
    fold.addEventListener("toggle", () => {
      traces.unfolded = fold.open;
    });
    made.push(fold);
  }
  made.push(el("h3", {}, "Answer"));
  if (answer.trim()) made.push(text(answer));
  else
    made.push(
      el("p", {class: "bad"}, thinking != null && open ? "None: the thinking does not end." : "None."),
    );
  return made;
}

/** Each reward with its reason. */
function rewardsOf(at) {
  const names = new Set(
    [...Object.keys(traces.rewards), ...Object.keys(traces.reasons)].filter(
      (name) => traces.rewards[name]?.[at] != null || traces.reasons[name]?.[at] != null,
    ),
  );
  const look = (value) =>
    el(
      "span",
      {class: value == null ? "dim" : value > 0 ? "good" : "bad"},
      value == null ? "not judged" : number(value),
    );
  const rows = [...names].map((name) => [
    name,
    look(traces.rewards[name]?.[at]),
    el("span", {class: "wrap"}, ...marked(traces.words[traces.reasons[name]?.[at]] ?? "")),
  ]);
  const total = column("reward", at);
  if (traces.columns.reward) rows.unshift(["reward", look(total), rows.length > 1 ? "the weighted sum" : ""]);
  if (!rows.length) return [];
  return [
    el("h3", {}, "Rewards"),
    table(`Rewards of ${named(at)}`, ["reward", numeric("value"), "why"], rows),
  ];
}

function facts(at) {
  const [tokens, advantage] = [column("tokens", at), column("advantage", at)];
  const parts = [
    tokens == null ? null : `${whole(tokens)} tokens`,
    `${whole(column("characters", at))} characters`,
    wordAt("finish", at) && `finish ${wordAt("finish", at)}`,
    wordAt("language", at) && `language ${wordAt("language", at)}`,
    advantage == null ? null : `advantage ${number(advantage)}`,
    column("logprob", at) == null ? null : `mean log-probability ${number(column("logprob", at))}`,
    column("ratio", at) == null ? null : `ratio farthest from 1: ${number(column("ratio", at))}`,
    habitsOf(at),
    wordAt("dropped", at) && `dropped: ${wordAt("dropped", at)}`,
    wordAt("about", at),
    column("place", at),
  ];
  return el("p", {class: "hint wrap"}, parts.filter(Boolean).join(" · "));
}

/** Its behaviours with how often their phrases stand in it. */
function habitsOf(at) {
  const found = Object.entries(traces.behaviours).filter(([, counts]) => counts[at]);
  return found.map(([name, counts]) => `${name.replaceAll("_", " ")} ${counts[at]}`).join(", ");
}

/** The problem's completions from the first step to the last, so that learning can be watched. */
function overSteps(at, others) {
  if (others.length < 2) return [];
  const learned = others.some((each) => column("advantage", each) != null);
  const rows = others.slice(0, OTHERS).map((each) => [
    String(column("step", each) ?? "–"),
    traces.sources[column("source", each)].name,
    number(column("reward", each)),
    ...(learned ? [number(column("advantage", each))] : []),
    whole(column("tokens", each) ?? column("characters", each)),
    el(
      "button",
      {
        type: "button",
        "aria-current": each === at ? "true" : null,
        on: {
          click: () => {
            showTrace(each);
            byId("trace").scrollIntoView();
          },
        },
      },
      begin(each, 80),
    ),
  ]);
  const title = `All ${others.length} completions of this problem`;
  return [
    el("h3", {}, title),
    table(
      title,
      [
        "step",
        "from",
        numeric("reward"),
        ...(learned ? [numeric("advantage")] : []),
        numeric("length"),
        "answer",
      ],
      rows,
    ),
    ...(others.length > OTHERS ? [el("p", {class: "hint"}, `The first ${OTHERS} are listed.`)] : []),
  ];
}

/** How the answer of a completion begins, or what else it has. */
function begin(at, most) {
  const [thinking, answer, first] = traces.texts[at] || ["", "", ""];
  const words = ([answer, thinking, first].find((text) => text && text.trim()) || "(empty)")
    .trim()
    .replace(/\s+/g, " ");
  return words.length > most ? `${words.slice(0, most - 1)}…` : words;
}

/** A text as nodes, with what was searched for marked in it. */
function marked(text) {
  const wanted = traces.query;
  if (!wanted || !text) return [text ?? ""];
  const [nodes, low] = [[], text.toLowerCase()];
  if (low.length !== text.length) return [text]; // some letters have another length in lower case
  let from = 0;
  for (let to = low.indexOf(wanted); to >= 0 && nodes.length < 400; to = low.indexOf(wanted, from)) {
    nodes.push(text.slice(from, to), el("mark", {}, text.slice(to, to + wanted.length)));
    from = to + wanted.length;
  }
  return [...nodes, text.slice(from)];
}
