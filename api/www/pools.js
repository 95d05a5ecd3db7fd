// All numbers of all pools, as a table that can be ordered and searched.
import { duration, short, whole } from "./format.js";
import { oldest, poolName, waiting } from "./pool_card.js";
import { Keyed, h, setClass, setText } from "./view.js";

const MOST_ROWS = 500;

const granted = ({ counts }) =>
  counts.admitted + counts.delayed + counts.shrunk + counts.batched + counts.cached +
    counts.shared;

const COLUMNS = [
  ["waiting", "Waiting", waiting, short],
  ["oldest", "Oldest", oldest, (ms) => (ms > 0 ? duration(ms) : "–")],
  ["in_flight", "In flight", (pool) => pool.in_flight, short],
  ["eta", "Starts in", (pool) => pool.eta_ms, duration],
  ["p95", "Wait p95", (pool) => pool.wait_ms.p95, duration],
  ["requests", "Requests", granted, short],
  ["avoided", "429s avoided", (pool) => pool.counts.delayed, short],
  ["refused", "429s received", (pool) => pool.counts.provider_429, short],
  ["errors", "Errors", (pool) => pool.counts.provider_5xx + pool.counts.provider_errors, short],
  ["retries", "Retries", (pool) => pool.counts.retries, short],
  ["failed", "Failed", (pool) => pool.counts.failed + pool.counts.expired, short],
  ["input", "Tokens in", (pool) => pool.tokens.input, short],
  ["output", "Tokens out", (pool) => pool.tokens.output, short],
  ["tokens", "Tokens", (pool) => pool.tokens.input + pool.tokens.output, short],
];

class Row {
  constructor(pool) {
    const { group, account } = poolName(pool);
    const of = account ? `${pool.provider}, caller's key ${account.slice(0, 8)}` : pool.provider;
    this.cells = COLUMNS.map(() => h("td", { class: "num" }));
    this.element = h("tr", {}, h("th", { scope: "row" }, group, " ", h("small", { class: "dim" }, of)),
      this.cells);
  }

  update(pool) {
    COLUMNS.forEach(([, , value, format], i) =>
      setText(this.cells[i], format(pool.known ? value(pool) ?? NaN : NaN)));
  }
}

export class Pools {
  constructor(query) {
    this.by = COLUMNS.some(([name]) => name === query.get("by")) ? query.get("by") : "waiting";
    this.search = h("input", { type: "search", placeholder: "Search pools and models",
      "aria-label": "Search pools and models", oninput: () => this.update(this.stats) });
    this.heads = COLUMNS.map(([name, title]) => h("th", { scope: "col", class: "num" },
      h("button", { type: "button", class: "sort", onclick: () => this.order(name) }, title)));
    this.body = h("tbody", {});
    this.rows = new Keyed(this.body, (pool) => new Row(pool));
    this.count = h("p", { class: "dim", role: "status" });
    this.element = h("div", {}, h("h1", {}, "Pools"), h("p", {}, this.search), this.count,
      h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Pool"), this.heads)), this.body)));
  }

  order(name) {
    this.by = name;
    history.replaceState(null, "", `#/pools?by=${name}`);
    this.update(this.stats);
  }

  update(stats) {
    if (!stats) return;
    this.stats = stats;
    const word = this.search.value.trim().toLowerCase();
    const fits = (pool) => [pool.pool, ...pool.models].some((name) => name.toLowerCase().includes(word));
    const value = COLUMNS.find(([name]) => name === this.by)[2];
    const found = stats.pools.filter(fits).sort((a, b) => value(b) - value(a));
    this.rows.update(found.slice(0, MOST_ROWS), (pool) => pool.pool);
    this.heads.forEach((head, i) => {
      setClass(head, "chosen", COLUMNS[i][0] === this.by);
      head.setAttribute("aria-sort", COLUMNS[i][0] === this.by ? "descending" : "none");
    });
    setText(this.count, found.length > MOST_ROWS
      ? `The first ${MOST_ROWS} of ${whole(found.length)}` : `${whole(found.length)} pools`);
  }
}
