// A line or stacked area over time, in SVG.
//
// Drawn here instead of by a library: three small charts need axes, areas and a cursor, which
// are these lines; they take their colours from the style sheet, so light and dark need no
// second drawing; and the policy of the page stays without inline styles.
import { h, setText, svg } from "./view.js";
import { clock } from "./format.js";

const WIDTH = 480, HEIGHT = 190, LEFT = 46, RIGHT = 8, TOP = 10, BOTTOM = 22;
const LEAST_SPAN_MS = 2 * 60000, MOST_SPAN_MS = 10 * 60000;
const GAP_MS = 5000; // without a sample for longer, a line has a hole
const plotWidth = WIDTH - LEFT - RIGHT, plotHeight = HEIGHT - TOP - BOTTOM;

// 1, 2 or 5 times a power of ten, so that at most `count` steps reach most.
export function niceStep(most, count) {
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough * 0.999) ?? power * 10;
}

const corner = (pen, [x, y]) => `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;

// runs: lists of points, each drawn without a hole.
const lineThrough = (runs) => runs.map((points) =>
  points.map((point, i) => corner(i ? "L" : "M", point)).join("")).join("");

export class Chart {
  // series: [{name, value(sample), area}]; line: {name, value(sample)} dashed, such as a budget.
  constructor({ title, note, format, axis = format, series, stacked, line, least = 1 }) {
    Object.assign(this, { title, format, axis, series, stacked, line, least, spanMs: LEAST_SPAN_MS });
    this.samples = [];
    this.grid = svg("g", { class: "grid" });
    this.areas = series.map((_, i) => svg("path", { class: `area series-${i}` }));
    this.lines = series.map((_, i) => svg("path", { class: `line series-${i}` }));
    this.dashed = svg("path", { class: "dashed" });
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: TOP + plotHeight });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0 },
      this.grid, this.areas, this.lines, this.dashed, this.cursor);
    this.values = [...series, ...(line ? [line] : [])].map((one, i) => {
      const value = h("b", {}, "–");
      const swatch = i < series.length ? `swatch series-${i}` : "swatch dashed";
      return { value, element: h("span", {}, h("i", { class: swatch }), `${one.name} `, value) };
    });
    this.when = h("time", {}, "now");
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("h3", { title: note }, title), this.when),
      this.picture, h("div", { class: "legend" }, this.values.map((one) => one.element)));
    this.listen();
  }

  listen() {
    this.picture.addEventListener("pointermove", (event) => {
      const box = this.picture.getBoundingClientRect();
      const x = (event.clientX - box.left) * WIDTH / box.width;
      this.point(this.from + (x - LEFT) / plotWidth * this.spanMs);
    });
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.picture.addEventListener("blur", () => this.point(null));
    this.picture.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || this.samples.length === 0) return;
      event.preventDefault();
      const at = this.chosen ? this.samples.indexOf(this.chosen) : this.samples.length - 1;
      this.point(this.samples[Math.max(0, Math.min(at + step, this.samples.length - 1))].at);
    });
  }

  // Shows the values at a time; null: the newest.
  point(at) {
    this.wanted = at;
    this.chosen = at === null ? null : this.samples.reduce((best, one) =>
      !best || Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best, null);
    const sample = this.chosen ?? this.samples.at(-1);
    const all = [...this.series, ...(this.line ? [this.line] : [])];
    this.values.forEach((one, i) => {
      const value = sample ? all[i].value(sample) : null;
      setText(one.value, value === null || value === undefined ? "–" : this.format(value));
    });
    setText(this.when, this.chosen ? clock(this.chosen.at) : "now");
    this.cursor.setAttribute("visibility", this.chosen ? "visible" : "hidden");
    if (this.chosen) {
      this.cursor.setAttribute("x1", this.x(this.chosen.at));
      this.cursor.setAttribute("x2", this.x(this.chosen.at));
    }
    this.picture.setAttribute("aria-label", `${this.title}: ${all.map((one, i) =>
      `${one.name} ${this.values[i].value.textContent}`).join(", ")}`);
  }

  x(at) {
    return LEFT + (at - this.from) / this.spanMs * plotWidth;
  }

  y(value) {
    return TOP + plotHeight - value / this.most * plotHeight;
  }

  scale() {
    let most = this.least;
    for (const sample of this.samples) {
      const values = this.series.map((one) => one.value(sample) ?? 0);
      const top = this.stacked ? values.reduce((a, b) => a + b, 0) : Math.max(...values);
      most = Math.max(most, top, this.line?.value(sample) ?? 0);
    }
    this.step = niceStep(most * 1.05, 4);
    this.most = Math.ceil(most * 1.05 / this.step) * this.step;
  }

  drawGrid() {
    const marks = [];
    for (let value = 0; value <= this.most * 1.001; value += this.step) {
      const y = this.y(value);
      marks.push(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }),
        svg("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, this.axis(value)));
    }
    const minute = this.spanMs > 300000 ? 120000 : this.spanMs > 150000 ? 60000 : 30000;
    for (let at = Math.ceil(this.from / minute) * minute; at < this.from + this.spanMs; at += minute)
      if (this.x(at) > LEFT + 14 && this.x(at) < WIDTH - RIGHT - 14)
        marks.push(svg("text", { x: this.x(at), y: HEIGHT - 6, "text-anchor": "middle" },
          clock(at).slice(0, minute < 60000 ? 8 : 5)));
    this.grid.replaceChildren(...marks);
  }

  draw(samples, now) {
    this.samples = samples;
    const age = samples.length > 0 ? now - samples[0].at : 0;
    this.spanMs = Math.max(LEAST_SPAN_MS, Math.min(age, MOST_SPAN_MS));
    this.from = now - this.spanMs;
    this.scale();
    this.drawGrid();
    const floor = new Map();
    this.series.forEach((one, i) => {
      const base = new Map(floor);
      const runs = this.runs((sample) => {
        const value = one.value(sample) ?? null;
        if (value === null || !this.stacked) return value;
        floor.set(sample, (base.get(sample) ?? 0) + value);
        return floor.get(sample);
      });
      this.lines[i].setAttribute("d", lineThrough(runs.map((run) => run.map(({ point }) => point))));
      if (this.stacked || one.area)
        this.areas[i].setAttribute("d", runs.map((run) => this.areaOf(run, base)).join(""));
    });
    if (this.line)
      this.dashed.setAttribute("d", lineThrough(this.runs((sample) => this.line.value(sample) ?? null)
        .map((run) => run.map(({ point }) => point))));
    this.point(this.wanted ?? null);
  }

  // The samples that have a value, parted where there is none.
  runs(value) {
    const runs = [];
    let before = null;
    for (const sample of this.samples) {
      const found = value(sample);
      if (found === null) {
        before = null;
        continue;
      }
      if (!before || sample.at - before.at > GAP_MS) runs.push([]);
      runs.at(-1).push({ sample, point: [this.x(sample.at), this.y(found)] });
      before = sample;
    }
    return runs;
  }

  areaOf(run, base) {
    const under = run.map(({ sample, point }) => [point[0], this.y(base.get(sample) ?? 0)]).reverse();
    return `${lineThrough([[...run.map(({ point }) => point), ...under]])}Z`;
  }
}
