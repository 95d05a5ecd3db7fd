// What was spent, by day, model, tenant and key; what was saved; and how the budgets stand.
import { Chart } from "./chart.js";
import { ask } from "./client.js";
import { dollars, duration, moment, short, whole } from "./format.js";
import { Page } from "./page.js";
import { Keyed, h, setClass, setShown, setText } from "./view.js";

const REFRESH_MS = 15000;
const DAY_MS = 86400000;
const SPANS = [["7 d", 7], ["30 d", 30], ["90 d", 90], ["1 y", 365]];
const GROUPS = [["model", "Models"], ["tenant", "Tenants"], ["key", "Keys"]];
const SAVINGS = [["trimming", "by trimming"], ["prompt_cache", "by the provider's cache"],
  ["response_cache", "by answers kept here"], ["batch", "by batches"]];

const dayText = (ms) => new Date(ms).toISOString().slice(0, 10);
const savedOf = ({ saved_usd: saved }) => Object.values(saved).reduce((sum, one) => sum + one, 0);

// Every day of the range, also those without a request.
export function daysOf({ from, to, data }) {
  const told = new Map(data.map((one) => [one.day, one]));
  const days = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY_MS) {
    const one = told.get(dayText(at));
    days.push({ at: at + DAY_MS / 2, stepMs: DAY_MS, cost: one?.cost_usd ?? 0, saved: one ? savedOf(one) : 0 });
  }
  return days;
}

class GroupRow {
  constructor() {
    this.name = h("th", { scope: "row", class: "wide" });
    this.fill = h("i", {});
    this.cells = Array.from({ length: 5 }, () => h("td", { class: "num" }));
    this.element = h("tr", {}, this.name, h("td", {}, h("span", { class: "bar" }, this.fill)), this.cells);
  }

  update([name, one, total]) {
    setText(this.name, name);
    this.fill.style.inlineSize = `${total > 0 ? one.cost_usd / total * 100 : 0}%`;
    const price = one.priced ? dollars(one.cost_usd) : `${dollars(one.cost_usd)} *`;
    [price, whole(one.requests), short(one.input_tokens), short(one.output_tokens), dollars(savedOf(one))]
      .forEach((text, i) => setText(this.cells[i], text));
    this.cells[0].title = one.priced ? "" : `${whole(one.unpriced_requests)} requests to models without a known price are left out`;
  }
}

class BudgetRow {
  constructor() {
    this.name = h("span", {});
    this.badge = h("span", { class: "badge" });
    this.fill = h("i", {});
    this.bar = h("span", { class: "bar" }, this.fill);
    this.cells = Array.from({ length: 4 }, (_, i) => h("td", { class: i < 2 ? "num" : "" }));
    this.element = h("tr", {}, h("th", { scope: "row", class: "wide" }, this.name, " ", this.badge), h("td", {}, this.bar), this.cells);
  }

  update(one) {
    const part = one.limit_usd > 0 ? one.spent_usd / one.limit_usd : 1;
    const names = { tenant: `tenant ${one.name}`, key: `key ${one.name}`, all: "everything" };
    setText(this.name, names[one.whose] ?? one.name);
    this.fill.style.inlineSize = `${Math.min(1, part) * 100}%`;
    setClass(this.bar, "over", one.exceeded);
    setShown(this.badge, one.exceeded || part >= 0.8);
    setText(this.badge, one.exceeded ? one.hard ? "used up: refused" : "passed" : `${Math.round(part * 100)} %`);
    const left = one.renews_at ? one.renews_at * 1000 - Date.now() : NaN;
    [`${dollars(one.spent_usd)} of ${dollars(one.limit_usd)}`, dollars(one.left_usd),
      one.renews_at ? `in ${duration(Math.max(0, left))}` : "never", one.hard ? "refuses" : "tells"]
      .forEach((text, i) => setText(this.cells[i], text));
    this.cells[2].title = one.renews_at ? moment(one.renews_at) : "";
  }
}

const table = (names, body) => h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {},
  names.map(([name, kind]) => h("th", { scope: "col", class: kind ?? "" }, name)))), body));

function choices(label, list, chosen, pick) {
  const buttons = list.map(([value, name]) => h("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(list[i][0] === value)));
    pick(value);
  } }, name));
  return h("div", { class: "choices", role: "group", "aria-label": label }, buttons);
}

export class Costs extends Page {
  constructor() {
    super("Costs", { everyMs: REFRESH_MS, lead: "In US dollars, by the list prices of the models that served, or those of the configuration." });
    this.days = 30;
    this.by = "model";
    this.tools.append(choices("Days shown", SPANS.map(([name, days]) => [days, name]), this.days, (days) => {
      this.days = days;
      this.look();
    }));
    this.facts = h("dl", { class: "stats" });
    this.chart = new Chart({ title: "Per day", format: dollars, least: 0.01, byDay: true,
      series: [{ name: "spent", value: (one) => one.cost, columns: true }, { name: "saved", value: (one) => one.saved }] });
    this.chart.pointed = (at) => this.chart.point(at);
    this.rows = h("tbody", {});
    this.groups = new Keyed(this.rows, () => new GroupRow());
    this.groupHead = h("th", { scope: "col" }, "Model");
    this.budgetRows = h("tbody", {});
    this.budgets = new Keyed(this.budgetRows, () => new BudgetRow());
    this.noBudgets = h("p", { class: "dim" }, "No budgets are set (max_budget of a tenant or a key).");
    this.budgetTable = table([["Budget"], [""], ["Spent", "num"], ["Left", "num"], ["Renews"], ["At its end"]], this.budgetRows);
    this.groupTable = table([["Name"], ["Share"], ["Cost", "num"], ["Requests", "num"], ["Tokens in", "num"], ["Tokens out", "num"], ["Saved", "num"]], this.rows);
    this.empty = h("div", { class: "empty-state", hidden: true }, h("h3", {}, "Nothing was spent in this time"), h("p", {}, "Costs appear with the first answers."));
    this.unpriced = h("p", { class: "small dim", hidden: true });
    this.all = h("div", { hidden: true }, h("section", { class: "panel" }, this.facts), h("section", { class: "below" }, this.chart.element),
      h("section", {}, h("div", { class: "head tight" }, h("h2", {}, "By whom and for what"),
        choices("Grouped by", GROUPS, this.by, (by) => {
          this.by = by;
          this.look();
        })), this.groupTable, this.unpriced));
    this.element.append(this.all, this.empty, h("section", {}, h("h2", {}, "Budgets"), this.budgetTable, this.noBudgets));
  }

  start(signal, app) {
    super.start(signal, app);
    signal.addEventListener("abort", () => this.chart.close());
  }

  async read() {
    const from = dayText(Date.now() - (this.days - 1) * DAY_MS), { by, signal } = this;
    const [byDay, groups, budgets] = await Promise.all([ask(`/v1/costs?group_by=day&from=${from}`, { signal }),
      ask(`/v1/costs?group_by=${by}&from=${from}`, { signal }), ask("/v1/costs/budgets", { signal })]);
    if (by !== this.by) return;
    const { total } = byDay;
    setShown(this.all, total.requests > 0);
    setShown(this.empty, total.requests === 0);
    this.showFacts(total);
    const days = daysOf(byDay);
    this.chart.draw(days, days[0].at - DAY_MS / 2, days.at(-1).at + DAY_MS / 2);
    this.groups.update(groups.data.map((one) => [one[by] ?? "without a key", one, total.cost_usd]), ([name]) => name);
    setShown(this.unpriced, !total.priced);
    setText(this.unpriced, `* ${whole(total.unpriced_requests)} requests to models without a known price are left out.`);
    this.budgets.update(budgets.data, (one) => `${one.whose} ${one.name}`);
    setShown(this.budgetTable, budgets.data.length > 0);
    setShown(this.noBudgets, budgets.data.length === 0);
  }

  showFacts(total) {
    const facts = [["Spent", dollars(total.cost_usd)], ["Requests", whole(total.requests)],
      ["Tokens in", short(total.input_tokens)], ["of it cached", short(total.cached_tokens)], ["Tokens out", short(total.output_tokens)],
      ...SAVINGS.filter(([name]) => total.saved_usd[name] > 0).map(([name, text]) => [`Saved ${text}`, dollars(total.saved_usd[name])])];
    this.facts.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}
