// One pool: how full its buckets are, what waits, when a new request starts, what is wrong.
import { CLASSES, age, duration, limitName, short, whole } from "./format.js";
import { Keyed, h, setClass, setShown, setText } from "./view.js";

// A wait that is longer is worth a look; batch work is there to wait.
const LONG_WAIT_MS = { interactive: 60000, normal: 300000, batch: 3600000 };
const CIRCUITS = { open: "circuit open", half_open: "circuit half open" };

export const waiting = (pool) => CLASSES.reduce((n, name) => n + (pool.queue[name].depth ?? 0), 0);
export const oldest = (pool) => Math.max(...CLASSES.map((name) => pool.queue[name].oldest_ms ?? 0));

// provider:account:group; only a caller's own key makes the account worth naming.
export function poolName(pool) {
  const [, account, ...group] = pool.pool.slice(pool.provider.length).split(":");
  return { group: group.join(":"), account: account === "default" ? "" : account };
}

// What an operator should look at; nothing when all is well.
export function troubles(pool, history) {
  const list = [];
  const add = (text, why) => list.push({ text, why });
  const refused = history.grew(pool.pool, "refused"), broken = history.grew(pool.pool, "broken");
  const lost = history.grew(pool.pool, "lost");
  if (!pool.known) add("not known now", "Redis did not tell of this pool");
  if (CIRCUITS[pool.circuit]) {
    const when = pool.circuit_ms > 0 ? `, tries in ${duration(pool.circuit_ms)}` : "";
    add(`${CIRCUITS[pool.circuit]}${when}`, `The provider said: ${pool.circuit_reason ?? "no reason"}`);
  }
  if (pool.set_aside)
    add(`set aside, tries in ${duration(pool.set_aside.ms)}`,
      `The provider refuses the pool's key (${pool.set_aside.reason}); others serve meanwhile`);
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

class LimitRow {
  constructor() {
    this.name = h("span", { class: "name" });
    this.fill = h("i", {});
    this.bar = h("span", { class: "bar", role: "presentation" }, this.fill);
    this.left = h("span", {});
    this.when = h("span", { class: "dim" });
    this.learned = h("span", { class: "learned" });
    this.element = h("li", {}, this.name, h("span", { class: "num" }, this.left, this.when),
      this.bar, this.learned);
  }

  update([name, limit, isBinding]) {
    const part = limit.remaining === null ? 0 : limit.remaining / limit.capacity;
    setText(this.name, limitName(name));
    this.fill.style.inlineSize = `${Math.max(0, Math.min(1, part)) * 100}%`;
    setText(this.left, `${whole(limit.remaining ?? NaN)} of ${whole(limit.capacity)}`);
    setText(this.when, limit.resets_ms > 0 ? ` · full in ${duration(limit.resets_ms)}` : "");
    // What was learned holds where it is lower; a higher one only says that more could be set.
    const isLearned = limit.learned !== null && limit.learned < limit.configured;
    setText(this.learned, `learned ${whole(limit.learned)}; configured ${whole(limit.configured)}`);
    setShown(this.learned, isLearned);
    this.left.title = limit.learned === null ? "As configured"
      : `Configured ${whole(limit.configured)}; the provider allows ${whole(limit.learned)}`;
    setClass(this.element, "binding", isBinding);
    setClass(this.element, "low", part < 0.1);
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

function startText(pool) {
  if (!pool.known) return "";
  const queued = waiting(pool);
  if (pool.eta_ms <= 0 && queued === 0) return "A new request starts at once.";
  const bound = pool.binding_limit ? `, bound by ${limitName(pool.binding_limit)}` : "";
  return `A new request starts in about ${duration(pool.eta_ms)}${bound}.`;
}

export class PoolCard {
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
    this.foot = ["in flight", "waits p50 · p95", "429s avoided", "received"]
      .map((name) => ({ name, value: h("dd", {}) }));
    this.element = h("article", { class: "card", "data-pool": pool.pool },
      h("header", {}, h("h3", {}, group), h("span", { class: "dim" },
        `${pool.provider}${account ? `, caller's key ${account.slice(0, 8)}` : ""}`), this.badges),
      this.models, this.limits, this.none, this.start,
      h("ul", { class: "queue" }, this.queue.map((row) => row.element)),
      h("dl", { class: "foot" }, this.foot.map(({ name, value }) => h("div", {}, h("dt", {}, name), value))));
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
    [whole(pool.in_flight ?? NaN), `${duration(pool.wait_ms.p50)} · ${duration(pool.wait_ms.p95)}`,
      short(pool.counts.delayed), short(pool.counts.provider_429)]
      .forEach((text, i) => setText(this.foot[i].value, text));
    const found = troubles(pool, this.history);
    this.badges.replaceChildren(...found.map(({ text, why }) =>
      h("span", { class: "badge", title: why }, text)));
    setClass(this.element, "troubled", found.length > 0);
  }
}
