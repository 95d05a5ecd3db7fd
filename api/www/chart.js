// A line or stacked area over time, in SVG.
//
// Drawn here instead of by a library: three small charts need axes, areas and a cursor, which
// are these lines; they take their colours from the style sheet, so light and dark need no
// second drawing; and the policy of the page stays without inline styles.
import { h, setText, svg } from "./view.js";
import { clock } from "./format.js";

const WIDTH = 480, HEIGHT = 190, LEFT = 46, RIGHT = 8, TOP = 10, BOTTOM = 22;
const plotWidth = WIDTH - LEFT - RIGHT, plotHeight = HEIGHT - TOP - BOTTOM;

// 1, 2 or 5 times a power of ten, so that at most `count` steps reach most.
export function niceStep(most, count) {
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough * 0.999) ?? power * 10;
}

function path(points) {
  let text = "", pen = "M";
  for (const [x, y] of points) {
    if (y === null) {
      pen = "M";
      continue;
    }
    text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return text;
}

export class Chart {
  // series: [{name, value(sample)}]; line: {name, value(sample)} dashed, such as a budget.
  constructor({ title, note, format, series, stacked, line, least = 1, spanMs }) {
    Object.assign(this, { title, format, series, stacked, line, least, spanMs });
    this.samples = [];
    this.grid = svg("g", { class: "grid" });
    this.areas = series.map((_, i) => svg("path", { class: `area series-${i}` }));
    this.lines = series.map((_, i) => svg("path", { class: `line series-${i}` }));
    this.dashed = svg("path", { class: "dashed" });
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: TOP + plotHeight });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0 },
      this.grid, stacked ? this.areas : [], this.lines, this.dashed, this.cursor);
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
        svg("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, this.format(value)));
    }
    const minute = 60000 * (this.spanMs > 300000 ? 2 : 1);
    for (let at = Math.ceil(this.from / minute) * minute; at < this.from + this.spanMs; at += minute)
      if (this.x(at) > LEFT + 14 && this.x(at) < WIDTH - RIGHT - 14)
        marks.push(svg("text", { x: this.x(at), y: HEIGHT - 6, "text-anchor": "middle" },
          clock(at).slice(0, 5)));
    this.grid.replaceChildren(...marks);
  }

  draw(samples, now) {
    this.samples = samples;
    this.from = now - this.spanMs;
    this.scale();
    this.drawGrid();
    let floor = samples.map(() => 0);
    this.series.forEach((one, i) => {
      const values = samples.map((sample) => one.value(sample) ?? null);
      const tops = this.stacked ? values.map((value, k) => floor[k] + (value ?? 0)) : values;
      const points = samples.map((sample, k) =>
        [this.x(sample.at), tops[k] === null ? null : this.y(tops[k])]);
      this.lines[i].setAttribute("d", path(points));
      if (this.stacked && samples.length > 0) {
        const under = samples.map((sample, k) => [this.x(sample.at), this.y(floor[k])]).reverse();
        this.areas[i].setAttribute("d", `${path([...points, ...under])}Z`);
        floor = tops;
      }
    });
    if (this.line)
      this.dashed.setAttribute("d", path(samples.map((sample) => {
        const value = this.line.value(sample);
        return [this.x(sample.at), value ? this.y(value) : null];
      })));
    this.point(this.wanted ?? null);
  }
}
