"use strict";
// What all parts of the page share: elements, numbers as people read them, and the data in this file.
//
// Whatever comes from a run or a record gets into the page as text (`textContent`), never as markup.

/** An element. `props` are its attributes; `on` holds listeners; children are elements or texts. */
function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(
    ...children
      .filter((child) => child != null)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return made;
}

const byId = (id) => document.getElementById(id);

/** The JSON of the data elements of a kind; they are taken out, so that their text is held once. */
function* dataOf(kind) {
  for (const element of document.querySelectorAll(`script.${kind}`)) {
    const value = JSON.parse(element.textContent);
    element.remove();
    yield value;
  }
}

/** A number in four digits. */
function number(value) {
  if (value == null) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

const numeric = (title) => ({title, number: true});
const unseen = (title) => ({title, unseen: true});

const whole = (value) => Math.round(value).toLocaleString("en");
const percent = (value) => (value == null ? "–" : `${(100 * value).toFixed(1)} %`);

/** Seconds as `3 h 12 min`, `4 min 5 s` or `2.5 s`. */
function duration(seconds) {
  if (seconds < 60) return `${number(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A table. A column is its title, or {title, number, unseen}: of numbers, or with a title for screen readers
 *  alone. A cell is a text or an element; the first of a row is its heading. */
function table(caption, columns, rows) {
  const heads = columns.map((column) => (typeof column === "string" ? {title: column} : column));
  const head = el(
    "tr",
    {},
    ...heads.map(({title, number, unseen}) =>
      el("th", {scope: "col", class: number && "number"}, unseen ? el("span", {class: "sr"}, title) : title),
    ),
  );
  const body = rows.map((row) =>
    el(
      "tr",
      {},
      ...row.map((cell, place) =>
        el(place ? "td" : "th", {scope: !place && "row", class: heads[place].number && "number"}, cell),
      ),
    ),
  );
  const made = el(
    "table",
    {},
    el("caption", {class: "sr"}, caption),
    el("thead", {}, head),
    el("tbody", {}, ...body),
  );
  return el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, made);
}

/** A bar of parts; each has a share of the width, 0 to 1, and a class. The numbers stand beside it. */
function bar(parts) {
  const made = el("span", {class: "bar", "aria-hidden": "true"});
  for (const {share, style} of parts) {
    const part = el("span", {class: style});
    part.style.width = `${100 * share}%`;
    if (style) part.style.backgroundColor = "currentColor";
    made.append(part);
  }
  return made;
}

const swatch = (run) => el("span", {class: `swatch run-${run % 8}`, "aria-hidden": "true"});

/** Takes a section that has nothing to show out of the page, and its link. */
function leaveOut(id) {
  byId(id).remove();
  document.querySelector(`nav a[href="#${id}"]`).remove();
}
