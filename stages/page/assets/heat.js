"use strict";
// The tokens of a completion, coloured by how probable each was, or by how its probability has moved.

const SPANS = 6000; // tokens that are drawn at a time
const CODES = new Map(
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].map((letter, place) => [
    letter,
    place,
  ]),
);
const UNKNOWN = 4095;
const heat = {by: ""};

const HEATS = {
  logprob: {
    name: "log-probability",
    value: (token) => token.logprob,
    // The class of a value: the first whose limit it is below.
    limits: [
      [-4.6, "heat-5"],
      [-3, "heat-4"],
      [-1.6, "heat-3"],
      [-0.7, "heat-2"],
      [-0.1, "heat-1"],
    ],
    legend: [
      ["heat-1", "below 90 %"],
      ["heat-2", "50 %"],
      ["heat-3", "20 %"],
      ["heat-4", "5 %"],
      ["heat-5", "1 %"],
    ],
    least: (token) => token.logprob,
    lowest: "The least probable tokens",
  },
  ratio: {
    name: "ratio",
    value: (token) => token.ratio,
    limits: [
      [0.6, "cold-3"],
      [0.8, "cold-2"],
      [0.95, "cold-1"],
      [1.05, ""],
      [1.25, "heat-1"],
      [1.65, "heat-3"],
      [Infinity, "heat-5"],
    ],
    legend: [
      ["cold-3", "below 0.6"],
      ["cold-2", "0.8"],
      ["cold-1", "0.95"],
      ["heat-1", "above 1.05"],
      ["heat-3", "1.25"],
      ["heat-5", "1.65"],
    ],
    least: (token) => -Math.abs(Math.log(token.ratio)),
    lowest: "The tokens whose probability moved most",
  },
};

const two = (text, at) => 64 * CODES.get(text[2 * at]) + CODES.get(text[2 * at + 1]);

/** The tokens of a completion: text, log-probability, ratio; null where it has none. Tokens that say nothing of
 *  their own begin a character that a later one ends: they stand as one with that. */
function tokensOf(at) {
  const [numbers, logprobs, ratios] = Array.isArray(traces.texts[at]?.[4]) ? traces.texts[at][4] : [];
  if (numbers == null) return null;
  const [made, count] = [[], numbers.length / 3];
  let first = 0;
  for (let each = 0; each < count; each += 1) {
    const piece =
      traces.pieces[64 * two(numbers.slice(3 * each, 3 * each + 2), 0) + CODES.get(numbers[3 * each + 2])];
    if (!piece && each + 1 < count) continue;
    const token = {first, last: each, text: piece || "\ufffd", logprob: null, ratio: null};
    for (; first <= each; first += 1) {
      const [logprob, ratio] = [two(logprobs, first), ratios ? two(ratios, first) : UNKNOWN];
      if (logprob !== UNKNOWN) token.logprob = (token.logprob ?? 0) - logprob / 200;
      if (ratio !== UNKNOWN) token.ratio = (token.ratio ?? 1) * Math.exp((ratio - 2047) / 1000);
    }
    made.push(token);
  }
  return made;
}

/** What colours the tokens, where any completion has them. */
function heatChoice() {
  if (!traces.columns.logprob) return null;
  const options = Object.entries(HEATS).filter(([by]) => traces.columns[by]);
  return el(
    "label",
    {},
    "Tokens by: ",
    el(
      "select",
      {
        id: "heat",
        on: {
          change: (event) => {
            heat.by = event.target.value;
            showTrace(traces.current, traces.beside);
            byId("heat").focus();
          },
        },
      },
      el("option", {value: ""}, "nothing"),
      ...options.map(([by, {name}]) => el("option", {value: by, selected: by === heat.by}, name)),
    ),
  );
}

/** The completion as its tokens, or why it is not. */
function heated(at) {
  const tokens = tokensOf(at);
  const known = tokens?.filter((token) => HEATS[heat.by].value(token) != null);
  if (!known?.length) {
    const why = traces.texts[at]?.[4];
    const said =
      typeof why === "number" ? traces.words[why] : tokens ? "no ratio is kept of it" : "none is kept of it";
    return [el("p", {class: "hint wrap"}, `No tokens with a ${HEATS[heat.by].name} to show: ${said}.`)];
  }
  return [
    el("h3", {}, `${whole(tokens.at(-1).last + 1)} tokens by ${HEATS[heat.by].name}`),
    legend(),
    ...spans(tokens),
    extremes(known, at),
  ];
}

function legend() {
  const parts = HEATS[heat.by].legend.flatMap(([style, words]) => [
    " ",
    el("span", {class: `token legend ${style}`}, words),
  ]);
  return el("p", {class: "hint"}, "Marked:", ...parts);
}

function styleOf(token) {
  const {value, limits} = HEATS[heat.by];
  const known = value(token);
  return known == null ? "" : (limits.find(([limit]) => known < limit)?.[1] ?? "");
}

/** The text of the tokens: one of them is told, that which was clicked or which the arrow keys came to. */
function spans(tokens) {
  const said = el(
    "p",
    {class: "hint wrap", role: "status"},
    "A click on a token, or the arrow keys, tell its figures.",
  );
  const text = el("div", {
    class: "text tokens",
    tabindex: "0",
    role: "group",
    "aria-label": "Tokens; the arrow keys go from one to the next",
  });
  let current = -1;
  const go = (to) => {
    if (!(to >= 0 && to < text.children.length)) return;
    text.children[current]?.classList.remove("current");
    current = to;
    text.children[to].classList.add("current");
    said.textContent = toldOf(tokens[to]);
  };
  const add = (from) => {
    const part = tokens.slice(from, from + SPANS);
    text.append(...part.map((token) => el("span", {class: `token ${styleOf(token)}`}, token.text)));
    more.hidden = from + part.length >= tokens.length;
  };
  const more = el(
    "button",
    {type: "button", on: {click: () => add(text.children.length)}},
    "Show more tokens",
  );
  text.addEventListener("click", (event) => go([...text.children].indexOf(event.target)));
  text.addEventListener("keydown", (event) => {
    const way = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!way) return;
    event.preventDefault();
    go(current + way);
  });
  add(0);
  return [text, more, said];
}

function toldOf({first, last, text, logprob, ratio}) {
  return [
    `${first === last ? "Token" : `Tokens ${first + 1} to`} ${last + 1}, ${JSON.stringify(text)}`,
    logprob == null
      ? "not drawn"
      : `log-probability ${number(logprob)}, ${logprob <= -20.4 ? "or less" : percent(Math.exp(logprob))}`,
    ratio == null ? null : `ratio ${number(ratio)}`,
  ]
    .filter((part) => part != null)
    .join(": ")
    .replace(": ratio", ", ratio");
}

/** What stands out, for those who see no colours. */
function extremes(known, at) {
  const {lowest, least} = HEATS[heat.by];
  const rows = [...known].sort((one, other) => least(one) - least(other)).slice(0, 10);
  return el(
    "details",
    {},
    el("summary", {}, lowest),
    table(
      `${lowest}, ${named(at)}`,
      ["token", numeric("place"), numeric("log-probability"), numeric("ratio")],
      rows.map(({text, last, logprob, ratio}) => [
        el("span", {class: "wrap"}, JSON.stringify(text)),
        whole(last + 1),
        number(logprob),
        number(ratio),
      ]),
    ),
  );
}
