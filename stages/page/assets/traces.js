"use strict";
// All completions: search and filters over columns, and the list of what they find.

const PAGE = 100; // completions that are listed at a time
const traces = {
  count: 0,
  columns: {},
  rewards: {},
  reasons: {},
  behaviours: {},
  pieces: [],
  words: [],
  problems: [],
  sources: [],
  texts: [],
  low: [],
  found: [],
  listed: 0,
  current: null,
  beside: null,
  unfolded: true,
  query: "",
};

const column = (name, at) => traces.columns[name]?.[at];
const wordAt = (name, at) => traces.words[column(name, at)];

/** Takes the columns. */
function readTraces(sources) {
  const [index] = dataOf("traces");
  Object.assign(traces, index, {sources});
}

/** Shows the list at once; the texts come in pieces between which the page answers. */
async function showTraces({held, seen}) {
  if (!traces.count) return leaveOut("completions");
  if (held < seen) {
    byId("filters").before(
      el("p", {class: "hint"}, `${whole(held)} of ${whole(seen)} completions, all of each drawn problem.`),
    );
  }
  makeFilters();
  const wrong = traces.words.indexOf("wrong");
  if (traces.columns.verdict?.includes(wrong)) {
    byId("first-wrong").hidden = false;
    byId("first-wrong").addEventListener("click", openWrong);
  }
  search();
  for (const chunk of dataOf("texts")) {
    for (const text of chunk) {
      traces.texts.push(text);
      traces.low.push(text.slice(0, 3).filter(Boolean).join("\n").toLowerCase());
    }
    await new Promise((go) => setTimeout(go));
  }
  if (traces.query) search(); // it has found nothing yet in texts that were still to come
  else list();
  if (traces.found.length) showTrace(traces.current ?? traces.found[0], traces.beside);
}

function makeFilters() {
  const form = byId("filters");
  const field = (label, control, style) => form.append(el("label", {class: style}, label, control));
  const input = (id, props) => el("input", {id, autocomplete: "off", ...props});
  const choice = (id, options, first = "any") =>
    el(
      "select",
      {id},
      ...(first == null ? [] : [el("option", {value: ""}, first)]),
      ...options.map(([value, name]) => el("option", {value}, name)),
    );
  const used = (name) =>
    [...new Set(traces.columns[name] || [])]
      .filter((each) => each != null)
      .map((each) => [each, traces.words[each]]);
  field(
    "Search",
    input("query", {type: "search", placeholder: "words of prompt, completion, reason or id"}),
    "wide",
  );
  if (traces.sources.length > 1)
    field(
      "From",
      choice(
        "by-source",
        traces.sources.map((source, place) => [place, source.name]),
      ),
    );
  const rewards = [
    ...(traces.columns.reward ? [["", "the sum"]] : []),
    ...Object.keys(traces.rewards).map((name) => [name, name]),
  ];
  if (rewards.length) {
    field("Reward", choice("by-reward", rewards, null));
    field("at least", input("reward-low", {type: "number", step: "any"}));
    field("at most", input("reward-high", {type: "number", step: "any"}));
  }
  if (traces.columns.step) {
    field("Step from", input("step-low", {type: "number", step: 1}));
    field("to", input("step-high", {type: "number", step: 1}));
  }
  const unit = lengthColumn();
  field(`Length from, ${unit}`, input("length-low", {type: "number", min: 0}));
  field("to", input("length-high", {type: "number", min: 0}));
  for (const [name, label] of [
    ["verdict", "Verdict"],
    ["language", "Language"],
    ["finish", "Finish"],
    ["dropped", "Dropped"],
  ]) {
    if (used(name).length) field(label, choice(`by-${name}`, used(name)));
  }
  const habits = Object.keys(traces.behaviours);
  if (habits.length) {
    const choices = habits.map((name) => [name, name.replaceAll("_", " ")]);
    field("Behaviour", choice("by-behaviour", [...choices, ["none", "none of them"]]));
  }
  if (traces.sources.length > 1) {
    const sources = traces.sources.map((source, place) => [place, source.name]);
    field("Beside it, from", choice("beside-source", sources, "nothing"));
    const better = [
      ["better", "better than beside"],
      ["worse", "worse than beside"],
      ["other", "another reward than beside"],
    ];
    field("Which is", choice("compared", better));
  }
  field(
    "Order",
    choice(
      "order",
      [
        ["lowest", "lowest reward first"],
        ["highest", "highest reward first"],
        ["longest", "longest first"],
        ["step", "last step first"],
        ...(traces.columns.logprob ? [["surprising", "least probable first"]] : []),
        ...(traces.columns.ratio ? [["moved", "ratio farthest from 1 first"]] : []),
      ],
      "as in the files",
    ),
  );
  form.append(el("button", {type: "reset"}, "Clear"));
  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(search));
  byId("more").addEventListener("click", () => list(traces.listed));
  byId("list").addEventListener("keydown", walk);
}

/** Tokens where all completions have them. */
function lengthColumn() {
  return traces.columns.tokens && !traces.columns.tokens.includes(null) ? "tokens" : "characters";
}

const chosen = (id) => byId(id)?.value ?? "";
const bound = (id, none) => (chosen(id) === "" ? none : Number(chosen(id)));

/** Finds what all filters let pass, and lists it. */
function search() {
  const tests = [...rangeTests(), ...choiceTests(), ...behaviourTests(), ...comparisonTests()];
  const query = (traces.query = chosen("query").trim().toLowerCase());
  if (query) tests.push(textTest(query));
  const found = [];
  for (let at = 0; at < traces.count; at += 1) if (tests.every((test) => test(at))) found.push(at);
  traces.found = inOrder(found, chosen("order"));
  list();
  clearTimeout(traces.later); // the one that is read has other neighbours now, and other words marked
  traces.later = setTimeout(() => traces.current != null && showTrace(traces.current, shownBeside()), 250);
}

/** What stands beside the one that is read: of the source that is chosen, else what was. */
function shownBeside() {
  return partner(traces.current) ?? traces.beside;
}

function behaviourTests() {
  const wanted = chosen("by-behaviour");
  if (wanted === "") return [];
  const columns = wanted === "none" ? Object.values(traces.behaviours) : [traces.behaviours[wanted]];
  return [(at) => columns.some((counts) => counts[at]) === (wanted !== "none")];
}

/** By the mean rewards that the problem's completions have: from the same source, and from the one beside. */
function comparisonTests() {
  const [wanted, beside] = [chosen("compared"), chosen("beside-source")];
  if (wanted === "" || beside === "") return [];
  const [sums, values] = [new Map(), rewardColumn() ?? []];
  const key = (source, at) => `${source} ${traces.problems[column("problem", at)].name}`;
  for (let at = 0; at < traces.count; at += 1) {
    if (values[at] == null) continue;
    const sum = sums.get(key(column("source", at), at)) ?? [0, 0];
    sums.set(key(column("source", at), at), [sum[0] + values[at], sum[1] + 1]);
  }
  const fits = {
    better: (own, other) => own > other + 1e-9,
    worse: (own, other) => own < other - 1e-9,
    other: (own, other) => Math.abs(own - other) > 1e-9,
  }[wanted];
  return [
    (at) => {
      const [own, other] = [column("source", at), beside].map((source) => sums.get(key(source, at)));
      return own != null && other != null && fits(own[0] / own[1], other[0] / other[1]);
    },
  ];
}

function rewardColumn() {
  return chosen("by-reward") === "" ? traces.columns.reward : traces.rewards[chosen("by-reward")];
}

/** A range that is set leaves out what has no value. */
function rangeTests() {
  const ranges = [
    ["reward", rewardColumn()],
    ["step", traces.columns.step],
    ["length", traces.columns[lengthColumn()]],
  ];
  return ranges.flatMap(([name, values]) => {
    const [low, high] = [bound(`${name}-low`, -Infinity), bound(`${name}-high`, Infinity)];
    if (low === -Infinity && high === Infinity) return [];
    return [(at) => values[at] != null && values[at] >= low && values[at] <= high];
  });
}

function choiceTests() {
  return ["source", "verdict", "language", "finish", "dropped"]
    .filter((name) => chosen(`by-${name}`) !== "")
    .map((name) => {
      const [wanted, values] = [Number(chosen(`by-${name}`)), traces.columns[name]];
      return (at) => values[at] === wanted;
    });
}

/** In the completion, its id, its problem or a reason; what many completions share is looked into once. */
function textTest(query) {
  const has = (text) => text != null && text.toLowerCase().includes(query);
  const problems = new Set(
    traces.problems.flatMap(({name, prompt, reference}, place) =>
      has(name) || has(prompt) || has(reference) ? [place] : [],
    ),
  );
  const words = new Set(traces.words.flatMap((word, place) => (has(word) ? [place] : [])));
  const reasons = words.size ? Object.values(traces.reasons) : [];
  const {problem, id} = traces.columns;
  return (at) =>
    traces.low[at]?.includes(query) ||
    problems.has(problem[at]) ||
    has(id[at]) ||
    reasons.some((values) => words.has(values[at]));
}

/** What has no value comes last; equals stay as they came. */
function inOrder(found, order) {
  const keys = {
    lowest: (at) => rewardColumn()?.[at],
    highest: (at) => negative(rewardColumn()?.[at]),
    longest: (at) => negative(traces.columns[lengthColumn()][at]),
    step: (at) => negative(column("step", at)),
    surprising: (at) => column("logprob", at),
    moved: (at) => negative(column("ratio", at) == null ? null : Math.abs(Math.log(column("ratio", at)))),
  };
  const key = keys[order];
  return key
    ? found.sort((one, other) => (key(one) ?? Infinity) - (key(other) ?? Infinity) || one - other)
    : found;
}

const negative = (value) => (value == null ? null : -value);

/** Lists what was found, from its start or after the first `from`. */
function list(from = 0) {
  const target = byId("list");
  const part = traces.found.slice(from, from + PAGE).map((at) => el("li", {}, entry(at)));
  if (from) target.append(...part);
  else target.replaceChildren(...part);
  traces.listed = from + part.length;
  byId("more").hidden = traces.listed >= traces.found.length;
  byId("found").textContent = `${whole(traces.found.length)} of ${whole(traces.count)} completions`;
  if (from) part[0].firstChild.focus();
}

function entry(at) {
  const [step, reward] = [column("step", at), rewardColumn()?.[at]];
  const about = el(
    "span",
    {class: "about"},
    el("span", {}, column("id", at) || "no id"),
    step == null ? null : el("span", {}, `step ${step}`),
    rewardColumn()
      ? el(
          "span",
          {class: reward == null ? "" : reward > 0 ? "good" : "bad"},
          reward == null ? "not judged" : number(reward),
        )
      : null,
  );
  return el(
    "button",
    {
      type: "button",
      "data-at": at,
      "aria-current": at === traces.current ? "true" : null,
      on: {
        click: () => {
          showTrace(at);
          if (matchMedia("(max-width: 48rem)").matches) byId("trace").scrollIntoView();
        },
      },
    },
    about,
    el("span", {class: "start"}, begin(at, 120)),
  );
}

function markCurrent() {
  for (const button of byId("list").querySelectorAll("button")) {
    if (Number(button.dataset.at) === traces.current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

/** The arrow keys go through the list and show what they come to. */
function walk(event) {
  const way = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
  const next = way && event.target.closest("li")?.[way]?.firstChild;
  if (!next) return;
  event.preventDefault();
  next.focus();
  showTrace(Number(next.dataset.at));
}

/** Lists what is wrong, and shows the first of it. */
function openWrong() {
  for (const field of byId("filters").elements) {
    if (field instanceof HTMLSelectElement) field.selectedIndex = 0;
    else if (field instanceof HTMLInputElement) field.value = "";
  }
  byId("by-verdict").value = String(traces.words.indexOf("wrong"));
  search();
  clearTimeout(traces.later); // it is shown at once
  openAt(traces.found[0]);
}

/** The number of the first completion of this id and source; -1 where the page does not have it. */
function findTrace(source, id) {
  return (
    traces.columns.id?.findIndex((each, place) => each === id && traces.columns.source[place] === source) ??
    -1
  );
}

/** Shows that completion, from wherever the page names it. */
function openTrace(source, id) {
  openAt(findTrace(source, id));
}

function openAt(at) {
  showTrace(at);
  byId("trace").scrollIntoView();
  byId("trace").focus({preventScroll: true});
}
