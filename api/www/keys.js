// Access keys: who may call, with which rights; make, rotate and revoke them.
import { ask, key, send } from "./client.js";
import { ago, duration, moment } from "./format.js";
import { Page } from "./page.js";
import { Keyed, confirmed, h, setShown, setText } from "./view.js";

const REFRESH_MS = 5000;
const SCOPES = [["proxy", "model calls, counting, trimming, sessions"], ["jobs", "durable jobs and batches"],
  ["permits", "permits of workers"], ["stats", "numbers, metrics, this dashboard"],
  ["admin", "keys, limits, settings; holds all others"]];
const USUAL = ["proxy", "jobs"];
const DAY_MS = 86400000;

const pathOf = (id, rest = "") => `/v1/admin/keys/${encodeURIComponent(id)}${rest}`;

function expiry(at) {
  if (!at) return "never";
  const left = at * 1000 - Date.now();
  return left <= 0 ? `expired ${ago(at)}` : `in ${duration(left)}`;
}

class KeyRow {
  constructor(one, page) {
    this.cells = Array.from({ length: 6 }, (_, i) => h("td", { class: i === 2 ? "wide" : "" }));
    this.rotate = h("button", { type: "button", class: "quiet small", onclick: () => page.rotate(this) }, "Rotate");
    this.revoke = h("button", { type: "button", class: "danger small", onclick: () => page.revoke(this) }, "Revoke");
    this.name = h("span", {});
    this.element = h("tr", {}, h("th", { scope: "row", class: "wide" }, this.name), this.cells,
      h("td", {}, h("div", { class: "row" }, this.rotate, this.revoke)));
    this.page = page;
    this.id = one.id;
  }

  update(one) {
    this.one = one;
    setText(this.name, one.name || one.id);
    const values = [`${one.hint}…`, one.tenant, one.scopes.join(", "),
      one.models.length > 0 ? one.models.join(", ") : "all", one.created_at ? ago(one.created_at) : "–", expiry(one.expires_at)];
    this.cells.forEach((cell, i) => setText(cell, values[i]));
    this.cells[4].title = moment(one.created_at);
    this.cells[5].title = moment(one.expires_at);
    for (const button of [this.rotate, this.revoke]) {
      this.page.guard(button, one.of_config);
      if (one.of_config) button.title = "It stands in the configuration and is changed there.";
    }
  }
}

// A key that was just made: it is shown until the page is left, and nowhere kept but where it is put.
function secretPanel(made, use) {
  const copied = h("span", { class: "small dim", role: "status" });
  const copy = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(made.key);
      setText(copied, "Copied.");
    } catch {
      setText(copied, "Select it and copy it by hand.");
    }
  } }, "Copy");
  return h("div", { class: "note good", role: "alert" },
    h("p", {}, h("b", {}, `The key of ${made.name || made.id}, shown this once:`)),
    h("p", { class: "secret" }, h("code", {}, made.key), copy, use, copied));
}

export class Keys extends Page {
  constructor() {
    super("Keys", { everyMs: REFRESH_MS, scope: "admin",
      lead: "Who may call, for which tenant and with which rights. Of a key only its SHA-256 is kept." });
    this.made = h("div", {});
    this.body = h("tbody", {});
    this.rows = new Keyed(this.body, (one) => new KeyRow(one, this));
    this.table = h("div", { class: "scroll", hidden: true }, h("table", {}, h("thead", {}, h("tr", {},
      ["Name", "Key", "Tenant", "Scopes", "Models", "Made", "Expires", ""].map((name) => h("th", { scope: "col" }, name)))), this.body));
    this.empty = h("div", { class: "empty-state", hidden: true }, h("h3", {}, "No keys: this service is open"),
      h("p", {}, "Whoever reaches its address may use it, so it listens on loopback only. The first key closes it to all others, so it must have the scope admin."));
    this.element.append(this.made, this.table, this.empty, this.makeForm());
  }

  makeForm() {
    const field = (label, control) => h("div", { class: "field" }, h("label", { for: control.id }, label), control);
    this.fields = {
      name: h("input", { id: "key-name", maxlength: 63, placeholder: "what it is for" }),
      tenant: h("input", { id: "key-tenant", value: "default", pattern: "[A-Za-z0-9._@\\-]{1,64}", required: true }),
      models: h("input", { id: "key-models", placeholder: "all; or gpt-4o, claude-*" }),
      days: h("input", { id: "key-days", type: "number", min: 1, max: 36500, placeholder: "never" }),
    };
    this.scopes = SCOPES.map(([name, note]) => ({ name, box: h("input", { type: "checkbox", value: name, checked: USUAL.includes(name) }), note }));
    this.create = h("button", { type: "submit" }, "Make a key");
    this.form = h("form", { class: "panel below", onsubmit: (event) => {
      event.preventDefault();
      this.make();
    } }, h("h2", {}, "A new key"),
    h("div", { class: "columns" }, field("Name", this.fields.name), field("Tenant", this.fields.tenant),
      field("Models", this.fields.models), field("Expires after days", this.fields.days)),
    h("fieldset", {}, h("legend", { class: "label" }, "Scopes"), this.scopes.map(({ name, box, note }) =>
      h("label", { class: "check" }, box, h("b", {}, name), ` ${note}`))),
    h("div", { class: "row end" }, this.create));
    return this.form;
  }

  async read() {
    const { data } = await ask("/v1/admin/keys", { signal: this.signal });
    this.rows.update(data, (one) => one.id);
    setShown(this.table, data.length > 0);
    setShown(this.empty, data.length === 0);
    if (data.length === 0 && !this.opened) this.scopes.find(({ name }) => name === "admin").box.checked = true;
    this.opened = true;
    for (const control of this.form.querySelectorAll("input, button")) this.guard(control);
  }

  fail(error) {
    super.fail(error);
    for (const control of this.form.querySelectorAll("input, button")) this.guard(control);
  }

  showMade(made) {
    const use = h("button", { type: "button", class: "quiet", onclick: () => {
      key.set(made.key);
      location.reload();
    } }, "Use it in this tab");
    this.made.replaceChildren(secretPanel(made, use));
    this.made.scrollIntoView({ block: "nearest" });
  }

  make() {
    return this.act(this.create, async () => {
      const { name, tenant, models, days } = this.fields;
      const made = await send("POST", "/v1/admin/keys", {
        name: name.value.trim(), tenant: tenant.value.trim(),
        scopes: this.scopes.filter(({ box }) => box.checked).map((one) => one.name),
        models: models.value.split(",").map((one) => one.trim()).filter(Boolean),
        expires_at: days.value ? Math.floor((Date.now() + Number(days.value) * DAY_MS) / 1000) : null,
      });
      // The first key closes the service to all others, this very tab among them.
      if (!key.get()) key.set(made.key);
      this.showMade(made);
      name.value = "";
      await this.look();
    });
  }

  async rotate(row) {
    const { one } = row;
    if (!await confirmed(`Rotate ${one.name || one.id}?`, "It gets a new key with the same rights. The old one goes on for an hour, so that callers can change over.", "Rotate")) return;
    await this.act(row.rotate, async () => {
      this.showMade(await send("POST", pathOf(one.id, "/rotate"), { grace_s: 3600 }));
      await this.look();
    });
  }

  async revoke(row) {
    const { one } = row;
    if (!await confirmed(`Revoke ${one.name || one.id}?`, "It opens nothing any more, on all instances, at once. This cannot be undone.", "Revoke")) return;
    await this.act(row.revoke, async () => {
      await ask(pathOf(one.id), { method: "DELETE" });
      await this.look();
    });
  }
}
