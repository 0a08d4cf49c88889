"use strict";
// Lines over something else than steps: over completions of a problem, or over tokens of thinking.

const plots = [];

class Plot {
  /** `lines` are {label, x, y, note}, x rising; `note(at)` says more of a point. A log scale is to base 2. */
  constructor(title, across, lines, log = false) {
    Object.assign(this, {title, across, lines, log});
    this.values = el("ul", {class: "values"});
    this.plotted = el("div", {class: "plot", role: "img", "aria-label": this.described()});
    this.figure = el(
      "figure",
      {class: "chart"},
      el("figcaption", {}, title),
      this.plotted,
      el("p", {class: "hint axis-title"}, across),
      this.values,
    );
    this.tell(null);
    plots.push(this);
    new IntersectionObserver(([{isIntersecting}]) => {
      this.visible = isIntersecting;
      if (isIntersecting && !this.plot) this.draw();
    }).observe(this.figure);
    new ResizeObserver(() => {
      if (this.plot && this.plot.width !== this.plotted.clientWidth)
        this.plot.setSize({width: this.plotted.clientWidth, height: 190});
    }).observe(this.plotted);
  }

  /** What one sees, in words. */
  described() {
    const parts = this.lines.map(({label, x, y}) => {
      const ends = `${percent(y[0])} at ${number(x[0])}`;
      return x.length > 1
        ? `${label}: from ${ends} to ${percent(y.at(-1))} at ${number(x.at(-1))}`
        : `${label}: ${ends}`;
    });
    return `${this.title}, over ${this.across}. ${parts.join("; ")}`;
  }

  draw() {
    this.plot?.destroy();
    const axis = {
      stroke: () => colour("axis"),
      grid: {stroke: () => colour("grid"), width: 1},
      ticks: {stroke: () => colour("grid"), width: 1},
    };
    const ticks = (_, values) => values.map((value) => (value == null ? "" : number(value)));
    this.plot = new uPlot(
      {
        width: this.plotted.clientWidth,
        height: 190,
        series: [
          {},
          ...this.lines.map(({x}, place) => ({
            spanGaps: true,
            stroke: () => colour(`run-${place % 8}`),
            dash: place >= 8 ? [6, 3] : undefined,
            width: 1.6,
            points: {show: x.length < 40, size: 5},
          })),
        ],
        legend: {show: false},
        padding: [8, 8, 0, 0],
        scales: {
          x: this.log ? {time: false, distr: 3, log: 2} : {time: false, range: around},
          y: {range: around},
        },
        axes: [
          {...axis, size: 28, values: ticks},
          {...axis, size: 52, values: (_, shares) => shares.map((share) => `${number(100 * share)} %`)},
        ],
        cursor: {drag: {x: false, y: false}, y: false, points: {size: 6}},
        hooks: {setCursor: [(plot) => this.tell(plot.cursor.idx)]},
      },
      uPlot.join(this.lines.map(({x, y}) => [x, y])),
      this.plotted,
    );
  }

  /** The value of each line at a place of the chart; null is its end. */
  tell(at) {
    const where = at == null ? null : this.plot?.data[0][at];
    const items = this.lines.map(({label, x, y, note}, place) => {
      const known = where == null ? x.length - 1 : x.findLastIndex((each) => each <= where);
      const told = known < 0 ? "–" : `${percent(y[known])} at ${number(x[known])}${note ? note(known) : ""}`;
      return el("li", {}, swatch(place), `${label}: `, el("span", {class: "dim"}, told));
    });
    this.values.replaceChildren(...items);
  }

  change() {
    if (this.visible) this.draw();
    else if (this.plot) {
      this.plot.destroy();
      this.plot = null;
    }
  }
}
