// The overview: counters, charts, a card for each pool, instances.
import { Chart, ChartGroup } from "./chart.js";
import { CLASSES, axisTime, duration, short, whole } from "./format.js";
import { Past, RANGES } from "./past.js";
import { PoolCard, oldest, waiting } from "./pool_card.js";
import { Tenants } from "./tenants.js";
import { Keyed, h, setClass, setShown, setText } from "./view.js";

const MOST_CARDS = 60;
const LEAST_SPAN_MS = 2 * 60000;
const PAST_EVERY_MS = 60000;

const total = (stats, value) => stats.pools.reduce((sum, pool) => sum + (value(pool) ?? 0), 0);

/* ---- counters */

class Tile {
  constructor(name, href, note) {
    this.value = h("b", {}, "–");
    this.sub = h("small", {}, "");
    this.element = h("a", { class: "tile", href, title: note }, h("span", {}, name), this.value,
      this.sub);
  }

  set(value, sub, isBad) {
    setText(this.value, value);
    setText(this.sub, sub);
    setClass(this.element, "bad", isBad);
  }
}

function makeTiles() {
  return {
    requests: new Tile("Requests", "#/pools?by=requests", "Let through since the counts began"),
    waiting: new Tile("Waiting", "#/pools?by=waiting", "In the queue, until their budget is there"),
    flight: new Tile("In flight", "#/pools?by=in_flight", "With the provider now"),
    avoided: new Tile("429s avoided", "#/pools?by=avoided",
      "Requests that were held until they fitted, instead of being refused"),
    refused: new Tile("429s received", "#/pools?by=refused",
      "Refusals of the provider; callers do not see them"),
    tokens: new Tile("Tokens", "#/pools?by=tokens", "Input and output, as the provider counted them"),
    failed: new Tile("Failed", "#/pools?by=failed", "Ended with an error, or past their deadline"),
  };
}

function updateTiles(tiles, stats, history) {
  const { counts, tokens } = stats.totals, last = history.last;
  const known = stats.pools.every((pool) => pool.known);
  const shown = (text) => (known ? text : "–");
  const perMin = (n) => (Number.isFinite(n) ? `${short(n)} /min` : "");
  const old = Math.max(0, ...stats.pools.map(oldest));
  const queued = total(stats, waiting);
  const requests = counts.admitted + counts.delayed + counts.shrunk + counts.batched + counts.cached +
    counts.shared;
  const part = requests > 0 ? `${Math.round(counts.delayed / requests * 100)} % held` : "";
  tiles.requests.set(shown(short(requests)), perMin(last?.requestsPerMin));
  tiles.waiting.set(shown(short(queued)), queued > 0 ? `oldest ${duration(old)}` : "");
  tiles.flight.set(shown(short(total(stats, (pool) => pool.in_flight))),
    `${whole(total(stats, (pool) => pool.limits.max_parallel_requests?.capacity))} slots`);
  if (total(stats, (pool) => pool.limits.max_parallel_requests?.capacity) === 0)
    setText(tiles.flight.sub, "");
  tiles.avoided.set(shown(short(counts.delayed)), part);
  const fresh = stats.pools.reduce((sum, pool) => sum + history.grew(pool.pool, "refused"), 0);
  tiles.refused.set(shown(short(counts.provider_429)), fresh > 0 ? `${whole(fresh)} in a minute` : "",
    fresh > 0);
  tiles.tokens.set(shown(short(tokens.input + tokens.output)), perMin(last?.tokensPerMin));
  tiles.failed.set(shown(short(counts.failed + counts.expired)), "");
}

/* ---- charts */

function makeCharts() {
  return [
    new Chart({
      title: "Tokens per minute", format: short, least: 10,
      note: "Mean of the last minute. What is reserved counts against the budget until the answer " +
        "says what was used. A full bucket may be spent at once, so a burst can pass the line.",
      series: [{ name: "used", area: true, value: (sample) => sample.tokensPerMin },
        { name: "reserved", value: (sample) => sample.reservedPerMin }],
      line: { name: "budget", value: (sample) => sample.budget || null },
    }),
    new Chart({
      title: "Waiting by class", format: short, least: 4, stacked: true,
      series: CLASSES.map((name, i) => ({ name, value: (sample) => sample.depth[i] })),
    }),
    new Chart({
      title: "Time in the queue", format: duration, axis: axisTime, least: 100,
      note: "Of what was started in the last minute",
      series: [{ name: "p50", value: (sample) => sample.p50 },
        { name: "p95", value: (sample) => sample.p95 }],
    }),
  ];
}

// The length of time that the charts show; kept for the tab.
class RangeChoice {
  constructor(changed) {
    const kept = RANGES.find(({ name }) => name === sessionStorage.getItem("sluice-range"));
    this.range = kept ?? RANGES[0];
    this.buttons = RANGES.map((range) => h("button", { type: "button", onclick: () => {
      this.range = range;
      sessionStorage.setItem("sluice-range", range.name);
      this.mark();
      changed();
    } }, range.name));
    this.element = h("div", { class: "range" },
      h("div", { class: "choices", role: "group", "aria-label": "Time shown" }, this.buttons));
    this.mark();
  }

  mark() {
    this.buttons.forEach((button, i) =>
      button.setAttribute("aria-pressed", String(RANGES[i] === this.range)));
  }
}

/* ---- an instance */

class InstanceRow {
  constructor() {
    this.cells = Array.from({ length: 5 }, () => h("td", {}));
    this.badge = h("span", { class: "badge" }, "silent");
    this.mark = h("span", { class: "dim" }, " (answers this page)");
    this.id = h("code", {});
    this.element = h("tr", {}, h("th", { scope: "row" }, this.id, this.mark, " ", this.badge),
      this.cells);
  }

  update(one) {
    const values = [one.host, one.pid, one.version, duration(one.uptime_ms),
      `${duration(one.heartbeat_age_ms)} ago`];
    setText(this.id, one.id.slice(0, 8));
    setShown(this.mark, one.this);
    setShown(this.badge, !one.alive);
    this.cells.forEach((cell, i) => setText(cell, values[i] ?? "–"));
  }
}

/* ---- the page */

function emptyState() {
  const example = `curl ${location.origin}/v1/chat/completions -H 'content-type: application/json' \\
  -d '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'`;
  return h("div", { class: "empty-state", hidden: true },
    h("h3", {}, "No pools yet"),
    h("p", {}, "A pool is a set of limits that a provider evaluates together. One appears with the ",
      "first request, or at the start when the provider has a key in the configuration. Point an ",
      "SDK's base URL here, or try:"),
    h("pre", {}, example));
}

export class Overview {
  constructor(history) {
    this.history = history;
    this.tiles = makeTiles();
    this.past = new Past();
    this.choice = new RangeChoice(() => this.loadPast());
    this.charts = new ChartGroup(makeCharts());
    this.cards = h("div", { class: "cards" });
    this.cardList = new Keyed(this.cards, (pool) => new PoolCard(pool, history));
    this.more = h("p", { hidden: true }, h("a", { href: "#/pools" }, "All pools"));
    this.empty = emptyState();
    this.tenants = new Tenants();
    this.rows = h("tbody", {});
    this.instances = new Keyed(this.rows, () => new InstanceRow());
    this.element = h("div", {},
      h("h1", { class: "visually-hidden" }, "Overview"),
      h("section", { class: "tiles", "aria-label": "Counters" },
        Object.values(this.tiles).map((tile) => tile.element)),
      this.choice.element,
      h("section", { class: "charts", "aria-label": "Charts" },
        this.charts.charts.map((chart) => chart.element)),
      h("section", {}, h("h2", {}, "Pools"), this.cards, this.more, this.empty),
      this.tenants.element,
      h("section", {}, h("h2", {}, "Instances"), h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, ["Instance", "Host", "Process", "Version", "Up for", "Heartbeat"]
          .map((name) => h("th", { scope: "col" }, name)))), this.rows))));
  }

  start(signal) {
    this.signal = signal;
    const timer = setInterval(() => this.loadPast(), PAST_EVERY_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.charts.close();
    });
    this.loadPast();
  }

  async loadPast() {
    await this.past.load(this.choice.range, Date.now(), this.signal);
    if (!this.signal.aborted) this.drawCharts(Date.now());
  }

  // The shortest range grows with what there is to show.
  drawCharts(now) {
    const samples = this.past.joined(this.history.samples);
    const { spanMs } = this.choice.range;
    const first = samples.find(({ at, tokensPerMin }) => at >= now - spanMs && tokensPerMin !== null);
    const age = this.choice.range === RANGES[0] ? now - (first?.at ?? now) : spanMs;
    const from = now - Math.max(LEAST_SPAN_MS, Math.min(age, spanMs));
    this.charts.draw(samples.filter(({ at }) => at >= from), from, now);
  }

  // Those where something happens come first, and stay in order among themselves.
  static ordered(pools) {
    const busy = (pool) => (waiting(pool) > 0 ? 2 : 0) + (pool.in_flight > 0 ? 1 : 0);
    if (pools.length <= MOST_CARDS) return pools;
    return [...pools].sort((a, b) => busy(b) - busy(a)).slice(0, MOST_CARDS);
  }

  update(stats) {
    updateTiles(this.tiles, stats, this.history);
    this.drawCharts(Date.now());
    this.cardList.update(Overview.ordered(stats.pools), (pool) => pool.pool);
    setShown(this.empty, stats.pools.length === 0);
    setShown(this.more, stats.pools.length > MOST_CARDS);
    setText(this.more.firstChild, `All ${whole(stats.pools.length)} pools`);
    this.tenants.update(stats.tenants);
    this.instances.update(stats.instances, (one) => one.id);
  }
}
