// Who uses how much, against what the weights say.
import { duration, short, whole } from "./format.js";
import { Keyed, h, setShown, setText } from "./view.js";

class TenantRow {
  constructor() {
    this.name = h("th", { scope: "row", class: "wide" });
    this.fill = h("i", {});
    this.mark = h("u", {});
    this.bar = h("span", { class: "bar fair" }, this.fill, this.mark);
    this.share = h("span", { class: "num small" });
    this.cells = Array.from({ length: 6 }, () => h("td", { class: "num" }));
    this.element = h("tr", {}, this.name, h("td", {}, h("div", { class: "share" }, this.bar, this.share)), this.cells);
  }

  update([one, fair]) {
    const part = one.share ?? 0, percent = (n) => `${Math.round(n * 100)} %`;
    setText(this.name, one.tenant);
    this.fill.style.inlineSize = `${part * 100}%`;
    this.mark.style.insetInlineStart = `${fair * 100}%`;
    setText(this.share, percent(part));
    this.bar.title = `${percent(part)} of all tokens; its weight gives it ${percent(fair)} where all want more`;
    [whole(one.weight), whole(one.queued ?? NaN), whole(one.running ?? NaN), short(one.counts.requests),
      short(one.tokens.input + one.tokens.output), duration(one.wait_ms.p95)]
      .forEach((text, i) => setText(this.cells[i], text));
  }
}

export class Tenants {
  constructor() {
    this.rows = h("tbody", {});
    this.list = new Keyed(this.rows, () => new TenantRow());
    const heads = ["Tenant", "Share of tokens, against weight", "Weight", "Waiting", "Running", "Requests", "Tokens", "Wait p95"];
    this.element = h("section", { hidden: true }, h("h2", {}, "Tenants"), h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, heads.map((name, i) => h("th", { scope: "col", class: i > 1 ? "num" : "" }, name)))), this.rows)));
  }

  // One tenant alone shares with nobody.
  update(tenants = []) {
    const weights = tenants.reduce((sum, { weight }) => sum + weight, 0);
    setShown(this.element, tenants.length > 1);
    this.list.update(tenants.map((one) => [one, one.weight / weights]), ([one]) => one.tenant);
  }
}
