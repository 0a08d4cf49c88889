"use strict";
// A chart for each metric, all runs over each other. uPlot draws; a chart is drawn when it comes into view.

// What most people look for stands first: a name, or with a mark at its end how it begins.
const FIRST = [
  "reward",
  "rewards/",
  "completions/mean_length",
  "eval/",
  "loss",
  "entropy",
  "kl",
  "grad_norm",
  "learning_rate",
  "clip_ratio/",
  "completions/",
];
const curves = {
  runs: [],
  charts: [],
  shown: new Set(),
  smoothing: 0,
  log: false,
  step: null,
  zoom: null,
  colours: new Map(),
};

function showCharts(runs) {
  if (!runs.length) return leaveOut("curves");
  curves.runs = runs;
  curves.shown = new Set(runs.keys());
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  const bands = new Set(
    names.filter((name) => /_(low|high)$/.test(name) && names.includes(name.replace(/_(low|high)$/, ""))),
  );
  curves.charts = names
    .filter((name) => !bands.has(name))
    .sort(byImportance)
    .map((name) => new Chart(name));
  byId("charts").append(...curves.charts.map((chart) => chart.figure));
  controlCharts(runs);
  const seen = new IntersectionObserver(
    (entries) => {
      for (const {target, isIntersecting} of entries) {
        const chart = curves.charts.find((each) => each.figure === target);
        chart.visible = isIntersecting;
        if (isIntersecting) chart.draw();
      }
    },
    {rootMargin: "300px"},
  );
  const sized = new ResizeObserver((entries) =>
    entries.forEach(({target}) => curves.charts.find((each) => each.plotted === target).resize()),
  );
  for (const chart of curves.charts) {
    seen.observe(chart.figure);
    sized.observe(chart.plotted);
  }
}

function byImportance(one, other) {
  const rank = (name) => {
    if (name.endsWith("/pass@1")) return 0.5;
    const place = FIRST.findIndex((each) => (each.endsWith("/") ? name.startsWith(each) : name === each));
    return (place < 0 ? FIRST.length : place) + (name.endsWith("/std") ? 0.1 : 0);
  };
  return rank(one) - rank(other) || one.localeCompare(other);
}

function controlCharts(runs) {
  const again = () => curves.charts.forEach((chart) => chart.change());
  byId("curve-runs").append(
    ...runs.map((run, place) =>
      el(
        "label",
        {class: "tick"},
        el("input", {
          type: "checkbox",
          checked: true,
          on: {
            change: (event) => {
              curves.shown[event.target.checked ? "add" : "delete"](place);
              again();
            },
          },
        }),
        el("span", {class: "named"}, swatch(place), run.name),
      ),
    ),
  );
  byId("smoothing").addEventListener("input", (event) => {
    curves.smoothing = Number(event.target.value);
    again();
  });
  byId("log-scale").addEventListener("change", (event) => {
    curves.log = event.target.checked;
    again();
  });
  byId("metric-filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const chart of curves.charts) chart.figure.hidden = !chart.name.toLowerCase().includes(wanted);
  });
  byId("step").addEventListener("input", (event) =>
    markStep(event.target.value === "" ? null : Number(event.target.value)),
  );
  byId("whole").addEventListener("click", () => zoomTo(null));
  byId("curve-controls").addEventListener("submit", (event) => event.preventDefault());
}

/** Shows these steps in all charts, from and to; null is all steps. */
function zoomTo(steps) {
  curves.zoom = steps;
  for (const {plot} of curves.charts) {
    if (plot) plot.setScale("x", {min: plot.data[0][0], max: plot.data[0].at(-1)});
  }
}

/** Marks a step in all charts, which then tell their values at it; null takes the mark away. */
function markStep(step) {
  curves.step = step;
  byId("step").value = step ?? "";
  for (const chart of curves.charts) {
    chart.tell(step);
    chart.plot?.redraw(false);
  }
}

/** A colour as the browser has it now: the canvas does not know the names of the style sheet. */
function colour(style) {
  if (!curves.colours.has(style)) {
    const probe = el("span", {class: style});
    document.body.append(probe);
    curves.colours.set(style, getComputedStyle(probe).color);
    probe.remove();
  }
  return curves.colours.get(style);
}

function colourAnew() {
  curves.colours.clear();
  for (const chart of [...curves.charts, ...plots]) chart.change();
}

/** Exponential moving average without the pull of its start towards 0, as TensorBoard draws it. */
function smoothed(values, weight) {
  if (!weight) return values;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    if (value == null) return value;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

class Chart {
  constructor(name) {
    this.name = name;
    this.values = el("ul", {class: "values"});
    this.plotted = el("div", {class: "plot", role: "img", "aria-label": this.described()});
    this.figure = el("figure", {class: "chart"}, el("figcaption", {}, name), this.plotted, this.values);
    this.tell(null);
  }

  runs() {
    return [...curves.runs.entries()].filter(
      ([place, run]) => curves.shown.has(place) && run.metrics[this.name],
    );
  }

  /** What one sees, in words. */
  described() {
    const parts = curves.runs
      .filter((run) => run.metrics[this.name])
      .map((run) => {
        const known = run.metrics[this.name].filter((value) => value != null);
        const [least, most] = known.reduce(
          ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
          [Infinity, -Infinity],
        );
        const ends = `from ${number(known[0])} to ${number(known.at(-1))}`;
        return `${run.name}: ${ends}, least ${number(least)}, greatest ${number(most)}`;
      });
    return `${this.name} over steps. ${parts.join("; ")}`;
  }

  /** Draws where it is in view and what it shows has changed. */
  draw() {
    if (!this.stale && this.plot) return;
    this.stale = false;
    this.plot?.destroy();
    const {data, series, bands, log} = this.content();
    const axis = {
      stroke: () => colour("axis"),
      grid: {stroke: () => colour("grid"), width: 1},
      ticks: {stroke: () => colour("grid"), width: 1},
    };
    this.plot = new uPlot(
      {
        width: this.plotted.clientWidth,
        height: 190,
        series,
        bands,
        legend: {show: false},
        padding: [8, 8, 0, 0],
        scales: {
          x: {time: false, range: (_, low, high) => curves.zoom ?? [low, high]},
          y: log ? {distr: 3} : {range: around},
        },
        axes: [
          {...axis, size: 28},
          {...axis, size: 52, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick)))},
        ],
        cursor: {
          sync: {key: "steps", scales: ["x", null]},
          drag: {setScale: false},
          y: false,
          points: {size: 6},
        },
        hooks: {
          draw: [(plot) => this.marks(plot)],
          setCursor: [(plot) => this.hover(plot)],
          setSelect: [(plot) => this.selected(plot)],
        },
      },
      data,
      this.plotted,
    );
    this.plot.over.addEventListener("mousedown", () => {
      curves.pressed = this;
      this.dragged = false;
    });
    this.plot.over.addEventListener("click", () => this.clicked(this.plot));
    this.plot.over.addEventListener("dblclick", () => zoomTo(null));
    this.plot.over.addEventListener("mouseleave", () =>
      curves.charts.forEach((chart) => chart.tell(curves.step)),
    );
  }

  /** Data and series for uPlot: of each run its band where it has one, the line, and under a smoothed line
   *  the values themselves. */
  content() {
    const runs = this.runs();
    const above = runs.some(([, run]) => run.metrics[this.name].some((value) => value > 0));
    const log = curves.log && above;
    const drawn = (values) => (log ? values.map((value) => (value > 0 ? value : null)) : values);
    const [tables, series, bands] = [[], [{}], []];
    const add = (run, values, look) => {
      tables.push([run.steps, drawn(values)]);
      series.push({spanGaps: true, ...look});
    };
    for (const [place, run] of runs) {
      const values = run.metrics[this.name];
      const stroke = () => colour(`run-${place % 8}`);
      const dash = place >= 8 ? [6, 3] : undefined;
      const sparse = values.filter((value) => value != null).length < 40;
      const [low, high] = ["low", "high"].map((end) => run.metrics[`${this.name}_${end}`]);
      if (low && high) {
        bands.push({series: [series.length, series.length + 1], fill: () => faint(stroke(), 0.15)});
        add(run, high, {stroke: "transparent", points: {show: false}});
        add(run, low, {stroke: "transparent", points: {show: false}});
      }
      if (curves.smoothing) add(run, values, {stroke: () => faint(stroke(), 0.3), points: {show: false}});
      add(run, smoothed(values, curves.smoothing), {
        stroke,
        dash,
        width: 1.6,
        points: {show: sparse, size: 4},
      });
    }
    return {data: tables.length ? uPlot.join(tables) : [[0], []], series, bands, log};
  }

  /** Lines where the guards saw something, and at the marked step. */
  marks(plot) {
    const {ctx, bbox} = plot;
    const line = (step, style, width, height) => {
      const left = plot.valToPos(step, "x", true);
      if (left < bbox.left || left > bbox.left + bbox.width) return;
      ctx.fillStyle = colour(style);
      ctx.fillRect(left - width / 2, bbox.top + bbox.height - height, width, height);
    };
    const unit = devicePixelRatio;
    for (const [, run] of this.runs())
      for (const {from} of run.events) line(from, "event", 2 * unit, 7 * unit);
    if (curves.step != null) line(curves.step, "marked", unit, bbox.height);
  }

  /** The chart under the pointer says for all which step is looked at. */
  hover(plot) {
    if (plot.cursor.event == null || plot.cursor.left < 0 || !plot.over.matches(":hover")) return;
    const step = Math.round(plot.posToVal(plot.cursor.left, "x"));
    cancelAnimationFrame(curves.frame);
    curves.frame = requestAnimationFrame(() =>
      curves.charts.forEach((chart) => chart.visible && chart.tell(step)),
    );
  }

  /** The value of each run at a step, or before it where the run has none there; null is the last step. */
  tell(step) {
    const items = this.runs().map(([place, run]) => {
      const values = run.metrics[this.name];
      let at = step == null ? run.steps.length - 1 : run.steps.findLastIndex((each) => each <= step);
      while (at > 0 && values[at] == null) at -= 1;
      const title = at < 0 ? run.name : `${run.name}, step ${run.steps[at]}`;
      return el("li", {title}, swatch(place), el("span", {class: "sr"}, `${title}: `), number(values[at]));
    });
    this.values.replaceChildren(...items);
  }

  change() {
    this.stale = true;
    this.tell(curves.step);
    if (this.visible) this.draw();
  }

  resize() {
    if (this.plot && this.plot.width !== this.plotted.clientWidth)
      this.plot.setSize({width: this.plotted.clientWidth, height: 190});
  }

  /** Marks the step under the pointer, unless it is where a drag ends. */
  clicked(plot) {
    if (!this.dragged && plot.cursor.left >= 0) markStep(Math.round(plot.posToVal(plot.cursor.left, "x")));
  }

  /** Shows the steps that were dragged over. uPlot tells of a drag in every chart: the one in which it began
   *  counts. */
  selected(plot) {
    const {left, width} = plot.select;
    if (curves.pressed !== this) return;
    this.dragged = width > 0;
    if (width > 0) zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
  }
}

/** The range of an axis: some room around the values, also where all are equal. */
function around(_, low, high) {
  if (low == null) return [0, 1];
  const room = high > low ? (high - low) * 0.08 : Math.abs(low) * 0.1 || 0.5;
  return [low - room, high + room];
}

const faint = (rgb, share) => rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);
