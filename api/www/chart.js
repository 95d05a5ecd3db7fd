// Lines, areas or a stack over time, drawn by dygraphs (dygraph.min.js; its licence is beside it).
//
// Of dygraphs' plugins only the axes and the grid are used: its legend writes style attributes,
// which the page's policy forbids, and both it and the labels take text as markup. The legend is
// made here, and all text that dygraphs gets is a number or a time which format.js made.
import "./dygraph.min.js";
import { h, setText } from "./view.js";
import { day, pointTime, shortDay } from "./format.js";

const { Dygraph } = window;
Dygraph.PLUGINS.splice(0, Dygraph.PLUGINS.length, Dygraph.Plugins.Grid, Dygraph.Plugins.Axes);

const MOST_GAPS = 2.5; // of the usual time between two samples; longer is a hole in the line
const dark = window.matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Rows for dygraphs: [time, values...], with a row of nulls where samples are missing.
export function rowsOf(samples, values) {
  const rows = [];
  samples.forEach((sample, i) => {
    const before = samples[i - 1];
    if (before && sample.at - before.at > MOST_GAPS * Math.max(before.stepMs, sample.stepMs))
      rows.push([new Date(before.at + before.stepMs), ...values.map(() => null)]);
    rows.push([new Date(sample.at), ...values.map((value) => value(sample) ?? null)]);
  });
  return rows;
}

function nearest(rows, at) {
  let best = -1;
  rows.forEach(([time, ...values], i) => {
    if (values.every((value) => value === null)) return;
    if (best < 0 || Math.abs(time - at) < Math.abs(rows[best][0] - at)) best = i;
  });
  return best;
}

// A column for each point, as wide as its step.
function columns({ drawingContext: pen, dygraph, points, color }) {
  const [from, to] = dygraph.xAxisRange(), base = dygraph.toDomYCoord(0);
  const step = dygraph.getArea().w / ((to - from) / 86400000);
  const width = Math.max(1, Math.min(28, step * 0.7));
  pen.fillStyle = color;
  for (const { canvasx, canvasy } of points)
    pen.fillRect(canvasx - width / 2, canvasy, width, Math.max(0, base - canvasy));
}

export class Chart {
  // series: [{name, value(sample), area, columns}]; line: {name, value(sample)} dashed, such as a
  // budget. byDay: each point is a day of UTC.
  constructor({ title, note, format, axis = format, series, stacked, line, least = 1, byDay }) {
    Object.assign(this, { title, format, axis, series, stacked, line, least, byDay });
    this.all = [...series, ...(line ? [line] : [])];
    this.rows = [];
    this.pointed = () => {}; // told where the reader points; replaced by a ChartGroup
    this.plot = h("div", { class: "plot", role: "img", tabindex: 0 });
    this.cursor = h("i", { class: "cursor", hidden: true });
    this.values = this.all.map((one, i) => {
      const value = h("b", {}, "–");
      const swatch = i < series.length ? `swatch series-${i}` : "swatch dashed";
      return { value, element: h("span", {}, h("i", { class: swatch }), `${one.name} `, value) };
    });
    this.newest = byDay ? "today" : "now";
    this.when = h("time", {}, this.newest);
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("h3", { title: note }, title), this.when),
      h("div", { class: "frame" }, this.plot, this.cursor),
      h("div", { class: "legend" }, this.values.map((one) => one.element)));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.plot.addEventListener("blur", () => this.pointed(null));
  }

  onKey(event) {
    if (event.key === "Escape") {
      this.pointed(null);
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || this.rows.length === 0) return;
    event.preventDefault();
    const at = this.row ?? this.rows.length;
    const to = Math.max(0, Math.min(at + step, this.rows.length - 1));
    this.pointed(this.rows[to][0].getTime());
  }

  // Shows the values at a time; null: the newest.
  point(at) {
    this.wanted = at;
    this.row = at === null ? null : nearest(this.rows, at);
    if (this.row === -1) this.row = null;
    const chosen = this.rows[this.row ?? this.rows.length - 1];
    this.all.forEach((_, i) => {
      const value = chosen?.[i + 1] ?? null;
      setText(this.values[i].value, value === null ? "–" : this.format(value));
    });
    setText(this.when, this.row === null ? this.newest : this.byDay ? day(chosen[0]) : pointTime(chosen[0]));
    this.plot.setAttribute("aria-label", `${this.title}: ${this.all.map((one, i) =>
      `${one.name} ${this.values[i].value.textContent}`).join(", ")}`);
    this.cursor.hidden = this.row === null;
    if (this.row === null) {
      this.graph?.clearSelection();
      return;
    }
    this.graph?.setSelection(this.row);
    if (this.graph) this.cursor.style.insetInlineStart = `${this.graph.toDomXCoord(chosen[0])}px`;
  }

  top() {
    let most = this.least;
    for (const [, ...values] of this.rows) {
      const own = values.slice(0, this.series.length);
      most = Math.max(most, this.stacked ? own.reduce((sum, one) => sum + one, 0) : 0, ...values);
    }
    return most * 1.12;
  }

  looks() {
    const colours = this.series.map((_, i) => colour(`--series-${i}`));
    const dashed = colour("--dim");
    return {
      colors: this.line ? [...colours, dashed] : colours,
      gridLineColor: colour("--grid"), axisLineColor: colour("--line"),
    };
  }

  open(options) {
    const series = {};
    for (const one of this.series)
      series[one.name] = { fillGraph: Boolean(one.area || this.stacked) };
    for (const one of this.series.filter((each) => each.columns)) series[one.name].plotter = columns;
    if (this.line)
      series[this.line.name] = { strokePattern: [5, 4], strokeWidth: 1.3, fillGraph: false };
    this.graph = new Dygraph(this.plot, this.rows, {
      labels: ["time", ...this.all.map((one) => one.name)], series, ...this.looks(), ...options,
      stackedGraph: Boolean(this.stacked), stackedGraphNaNFill: "none", fillAlpha: 0.16,
      strokeWidth: 1.8, gridLineWidth: 1, axisLineWidth: 1, highlightCircleSize: 3,
      axisLabelFontSize: 11, xRangePad: 0, rightGap: 6, interactionModel: {},
      axes: {
        x: { drawGrid: false, pixelsPerLabel: 74,
          ...(this.byDay ? { axisLabelFormatter: (date) => shortDay(new Date(date)) } : {}) },
        y: { axisLabelFormatter: (value) => this.axis(value), axisLabelWidth: 46,
          pixelsPerLabel: 34 },
      },
      highlightCallback: (event, x) => this.pointed(x),
      unhighlightCallback: () => this.pointed(null),
    });
    this.sized = new ResizeObserver(() => this.graph.resize());
    this.sized.observe(this.plot);
    this.recolour = () => this.graph.updateOptions(this.looks());
    dark.addEventListener("change", this.recolour);
  }

  // samples: [{at, stepMs, ...}] in order; from and to: the part that is shown.
  draw(samples, from, to) {
    this.rows = rowsOf(samples, this.all.map((one) => one.value));
    const options = { dateWindow: [from, to], valueRange: [0, this.top()] };
    if (this.graph) this.graph.updateOptions({ file: this.rows, ...options });
    else if (this.rows.length > 0 && this.plot.clientWidth > 0) this.open(options);
    this.point(this.wanted ?? null);
  }

  close() {
    if (!this.graph) return;
    dark.removeEventListener("change", this.recolour);
    this.sized.disconnect();
    this.graph.destroy();
    this.graph = null;
  }
}

// Charts of one time: pointing at one shows the same moment in all.
export class ChartGroup {
  constructor(charts) {
    this.charts = charts;
    for (const chart of charts)
      chart.pointed = (at) => {
        if (this.busy) return; // what setSelection tells back
        this.busy = true;
        for (const one of charts) one.point(at);
        this.busy = false;
      };
  }

  draw(samples, from, to) {
    this.busy = true;
    for (const chart of this.charts) chart.draw(samples, from, to);
    this.busy = false;
  }

  close() {
    for (const chart of this.charts) chart.close();
  }
}
