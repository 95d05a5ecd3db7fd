// The overview: counters, charts, a card for each pool, instances.
import { Chart } from "./chart.js";
import { CLASSES, age, axisTime, duration, limitName, short, whole } from "./format.js";
import { Keyed, h, setClass, setShown, setText } from "./view.js";

const MOST_CARDS = 60;
// A wait that is longer is worth a look; batch work is there to wait.
const LONG_WAIT_MS = { interactive: 60000, normal: 300000, batch: 3600000 };

const total = (stats, value) => stats.pools.reduce((sum, pool) => sum + (value(pool) ?? 0), 0);
export const waiting = (pool) => CLASSES.reduce((sum, name) => sum + (pool.queue[name].depth ?? 0), 0);
export const oldest = (pool) => Math.max(...CLASSES.map((name) => pool.queue[name].oldest_ms ?? 0));

// provider:account:group; only a caller's own key makes the account worth naming.
export function poolName(pool) {
  const [, account, ...group] = pool.pool.slice(pool.provider.length).split(":");
  return { group: group.join(":"), account: account === "default" ? "" : account };
}

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

/* ---- a pool */

class LimitRow {
  constructor() {
    this.name = h("span", {});
    this.fill = h("i", {});
    this.bar = h("span", { class: "bar", role: "presentation" }, this.fill);
    this.left = h("span", {});
    this.when = h("span", { class: "dim" });
    this.element = h("li", {}, this.name, h("span", { class: "num" }, this.left, this.when), this.bar);
  }

  update([name, limit, isBinding]) {
    const part = limit.remaining === null ? 0 : limit.remaining / limit.capacity;
    setText(this.name, limitName(name));
    this.fill.style.inlineSize = `${Math.max(0, Math.min(1, part)) * 100}%`;
    setText(this.left, `${whole(limit.remaining ?? NaN)} of ${whole(limit.capacity)}`);
    setText(this.when, limit.resets_ms > 0 ? `, full in ${duration(limit.resets_ms)}` : "");
    setClass(this.element, "binding", isBinding);
  }
}

class QueueRow {
  constructor(name) {
    this.name = name;
    this.depth = h("b", { class: "num" });
    this.oldest = h("span", { class: "dim" });
    this.element = h("li", {}, h("span", {}, name), this.depth, this.oldest);
  }

  update(queue) {
    const { depth, oldest_ms: oldestMs } = queue[this.name];
    setText(this.depth, whole(depth ?? NaN));
    setText(this.oldest, depth > 0 ? `oldest ${age(oldestMs)}` : "");
    setClass(this.element, "empty", !(depth > 0));
  }
}

// What an operator should look at; nothing when all is well.
export function troubles(pool, history) {
  const list = [];
  const add = (text, why) => list.push({ text, why });
  const refused = history.grew(pool.pool, "refused"), broken = history.grew(pool.pool, "broken");
  const lost = history.grew(pool.pool, "lost");
  if (!pool.known) add("not known now", "Redis did not tell of this pool");
  if (pool.paused_ms > 0) add(`paused ${duration(pool.paused_ms)}`, "The provider refused; it is asked again after that");
  if (refused > 0) add(`${whole(refused)} × 429`, "Refusals of the provider in the last minute");
  if (broken > 0) add(`${whole(broken)} provider errors`, "5xx answers and broken connections in the last minute");
  if (lost > 0) add(`${whole(lost)} leases lost`, "Instances that were silent for too long in the last minute");
  for (const name of CLASSES)
    if (pool.queue[name].oldest_ms > LONG_WAIT_MS[name])
      add(`long wait: ${name}`, `Something waits for ${duration(pool.queue[name].oldest_ms)}`);
  for (const [name, limit] of Object.entries(pool.limits))
    if (limit.remaining < 0 && name !== "max_parallel_requests") add(`${name} in debt`, "More was used than reserved; it is paid back first");
  return list;
}

function startText(pool) {
  if (!pool.known) return "";
  const queued = waiting(pool);
  if (pool.eta_ms <= 0 && queued === 0) return "A new request starts at once.";
  const bound = pool.binding_limit ? `, bound by ${limitName(pool.binding_limit)}` : "";
  return `A new request starts in about ${duration(pool.eta_ms)}${bound}.`;
}

class PoolCard {
  constructor(pool, history) {
    this.history = history;
    const { group, account } = poolName(pool);
    this.models = h("p", { class: "dim models" });
    this.badges = h("div", { class: "badges" });
    this.limits = h("ul", { class: "limits" });
    this.limitRows = new Keyed(this.limits, () => new LimitRow());
    this.none = h("p", { class: "dim" }, "No limits are configured.");
    this.start = h("p", { class: "start" });
    this.queue = CLASSES.map((name) => new QueueRow(name));
    this.foot = h("p", { class: "dim foot" });
    this.element = h("article", { class: "card", "data-pool": pool.pool },
      h("header", {}, h("h3", {}, group), h("span", { class: "dim" },
        `${pool.provider}${account ? `, caller's key ${account.slice(0, 8)}` : ""}`), this.badges),
      this.models, this.limits, this.none, this.start,
      h("ul", { class: "queue" }, this.queue.map((row) => row.element)), this.foot);
  }

  update(pool) {
    const group = poolName(pool).group;
    const others = pool.models.filter((name) => name !== group);
    setText(this.models, others.length > 0 ? `models: ${others.join(", ")}` : "");
    setShown(this.models, others.length > 0);
    const limits = Object.entries(pool.limits).map(([name, limit]) =>
      [name, limit, name === pool.binding_limit]);
    this.limitRows.update(limits, ([name]) => name);
    setShown(this.none, limits.length === 0);
    setText(this.start, startText(pool));
    setClass(this.start, "waits", pool.eta_ms > 0 || waiting(pool) > 0);
    this.queue.forEach((row) => row.update(pool.queue));
    setText(this.foot, `in flight ${whole(pool.in_flight ?? NaN)} · waits p50 ` +
      `${duration(pool.wait_ms.p50)}, p95 ${duration(pool.wait_ms.p95)} · 429s avoided ` +
      `${short(pool.counts.delayed)}, received ${short(pool.counts.provider_429)}`);
    const found = troubles(pool, this.history);
    this.badges.replaceChildren(...found.map(({ text, why }) =>
      h("span", { class: "badge", title: why }, text)));
    setClass(this.element, "troubled", found.length > 0);
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
    this.charts = makeCharts();
    this.cards = h("div", { class: "cards" });
    this.cardList = new Keyed(this.cards, (pool) => new PoolCard(pool, history));
    this.more = h("p", { hidden: true }, h("a", { href: "#/pools" }, "All pools"));
    this.empty = emptyState();
    this.rows = h("tbody", {});
    this.instances = new Keyed(this.rows, () => new InstanceRow());
    this.element = h("div", {},
      h("h1", { class: "visually-hidden" }, "Overview"),
      h("section", { class: "tiles", "aria-label": "Counters" },
        Object.values(this.tiles).map((tile) => tile.element)),
      h("section", { class: "charts", "aria-label": "The last ten minutes" },
        this.charts.map((chart) => chart.element)),
      h("section", {}, h("h2", {}, "Pools"), this.cards, this.more, this.empty),
      h("section", {}, h("h2", {}, "Instances"), h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, ["Instance", "Host", "Process", "Version", "Up for", "Heartbeat"]
          .map((name) => h("th", { scope: "col" }, name)))), this.rows))));
  }

  // Those where something happens come first, and stay in order among themselves.
  static ordered(pools) {
    const busy = (pool) => (waiting(pool) > 0 ? 2 : 0) + (pool.in_flight > 0 ? 1 : 0);
    if (pools.length <= MOST_CARDS) return pools;
    return [...pools].sort((a, b) => busy(b) - busy(a)).slice(0, MOST_CARDS);
  }

  update(stats) {
    updateTiles(this.tiles, stats, this.history);
    this.charts.forEach((chart) => chart.draw(this.history.samples, Date.now()));
    this.cardList.update(Overview.ordered(stats.pools), (pool) => pool.pool);
    setShown(this.empty, stats.pools.length === 0);
    setShown(this.more, stats.pools.length > MOST_CARDS);
    setText(this.more.firstChild, `All ${whole(stats.pools.length)} pools`);
    this.instances.update(stats.instances, (one) => one.id);
  }
}
