// What holds for a model: sliders, preset and limits, where each value comes from, and a preview.
// Nothing is applied before it is saved; what is saved holds on every instance at once.
import { Refused, ask, send } from "./client.js";
import { ago, limitName, moment, whole } from "./format.js";
import { Page } from "./page.js";
import { TrimPreview } from "./trim_preview.js";
import { confirmed, h, setClass, setShown, setText } from "./view.js";

const REFRESH_MS = 4000;
const NUMBERS = [
  { name: "max_output_tokens", title: "Max output tokens", min: 1000, max: 100000, step: 512, format: whole,
    note: "The default of a request that names none, and the most that one may name." },
  { name: "temperature", title: "Temperature", min: 0, max: 2, step: 0.1, format: (n) => n.toFixed(1),
    note: "A default only. It is never added for a model that refuses it." },
  { name: "max_iterations", title: "Max iterations", min: 1, max: 25, step: 1, format: whole,
    note: "Rounds of tool calls in one turn of a named conversation." },
];
const LIMITS = ["rpm", "tpm", "itpm", "otpm", "rpd", "tpd", "max_parallel_requests"];
const SOURCES = { saved: "saved here", configuration: "from the configuration",
  key: "of the provider's key", none: "not set" };

const PRECEDENCE = { request: "what the request itself names", tenant: "what the configuration says of its tenant",
  saved: "what is saved on this page", configuration: "what the configuration says of the model",
  seed: "a suggestion, which is only shown" };

const keyOf = (entry) => `${entry.provider}/${entry.model}`;
const pathOf = (entry) => `/v1/settings/${encodeURIComponent(entry.provider)}/${entry.model.split("/").map(encodeURIComponent).join("/")}`;

function sourceText(entry, effective) {
  if (!effective) return "";
  const { value, source, note } = effective;
  const shown = typeof value === "number" ? value.toLocaleString("en-US") : value;
  const where = source === "saved" && entry.held_by && entry.held_by !== entry.model
    ? `saved for ${entry.held_by}` : SOURCES[source] ?? source;
  const text = source === "none" ? "Not set." : source === "seed" ? `Not set; suggested: ${shown}.`
    : `In effect: ${shown}, ${where}.`;
  return [text, note].filter(Boolean).join(" ");
}

/* ---- one number */

class NumberSetting {
  constructor(spec, changed) {
    Object.assign(this, spec);
    const id = `set-${spec.name}`;
    const attributes = { min: spec.min, max: spec.max, step: spec.step };
    this.slider = h("input", { type: "range", id, ...attributes,
      oninput: () => changed(spec.name, Number(this.slider.value)) });
    this.exact = h("input", { type: "number", ...attributes, step: "any", "aria-label": `${spec.title}, exactly`,
      onchange: () => changed(spec.name, this.exact.value === "" ? null : Number(this.exact.value)) });
    this.unset = h("button", { type: "button", class: "quiet small", onclick: () => changed(spec.name, null) }, "Do not set");
    this.from = h("p", { class: "from" });
    this.element = h("div", { class: "setting", "data-setting": spec.name },
      h("div", { class: "setting-top" }, h("label", { for: id }, spec.title),
        h("span", { class: "row" }, this.unset, this.exact)),
      this.slider, h("div", { class: "marks", "aria-hidden": "true" }, h("span", {}, spec.format(spec.min)), h("span", {}, spec.format(spec.max))),
      h("p", { class: "small dim" }, spec.note), this.from);
  }

  show(entry, draft, isChanged) {
    const effective = entry.effective[this.name];
    const value = draft ?? effective?.value ?? entry.seed[this.name];
    if (document.activeElement !== this.slider || Number(this.slider.value) !== value) this.slider.value = value;
    if (document.activeElement !== this.exact) this.exact.value = draft ?? "";
    this.exact.placeholder = "not set";
    this.slider.setAttribute("aria-valuetext", `${this.format(value)}${draft === null ? ", not set" : ""}`);
    setText(this.from, sourceText(entry, effective));
    setClass(this.element, "changed", isChanged);
    setShown(this.unset, draft !== null && draft !== undefined);
  }
}

/* ---- the preset, and the limits */

class TrimSetting {
  constructor(changed) {
    this.choices = h("div", { class: "choices", role: "group", "aria-label": "Trimming preset" });
    this.from = h("p", { class: "from" });
    this.changed = changed;
    this.element = h("div", { class: "setting", "data-setting": "trim" },
      h("div", { class: "setting-top" }, h("label", {}, "Trimming preset")), this.choices,
      h("p", { class: "small dim" }, "How a conversation is made smaller when neither the request nor its tenant says."), this.from);
  }

  names(trims) {
    if (JSON.stringify(trims) === this.shown) return;
    this.shown = JSON.stringify(trims);
    this.buttons = [null, ...trims].map((name) => ({ name, button: h("button",
      { type: "button", onclick: () => this.changed("trim", name) }, name ?? "not set") }));
    this.choices.replaceChildren(...this.buttons.map(({ button }) => button));
  }

  show(entry, draft, isChanged) {
    for (const { name, button } of this.buttons) button.setAttribute("aria-pressed", String(name === (draft ?? null)));
    setText(this.from, sourceText(entry, entry.effective.trim));
    setClass(this.element, "changed", isChanged);
  }
}

class LimitsSetting {
  constructor(changed) {
    this.inputs = LIMITS.map((name) => {
      const input = h("input", { type: "number", min: 1, step: 1, id: `limit-${name}`, onchange: () => this.take(changed) });
      const from = h("span", { class: "dim small" });
      return { name, input, from, element: h("div", { class: "field" }, h("label", { for: `limit-${name}` }, limitName(name)), input, from) };
    });
    this.where = h("p", { class: "from" });
    this.element = h("details", { class: "setting", "data-setting": "limits" }, h("summary", {}, "Limits of the pool"),
      h("p", { class: "small dim" }, "In place of the configured ones, for the whole pool, at once on all instances. Empty: as configured."),
      h("div", { class: "stats" }, this.inputs.map(({ element }) => element)), this.where);
  }

  take(changed) {
    const given = this.inputs.filter(({ input }) => input.value !== "").map(({ name, input }) => [name, Number(input.value)]);
    changed("limits", given.length > 0 ? Object.fromEntries(given) : null);
  }

  show(entry, draft, isChanged) {
    const isRow = entry.row === entry.model;
    for (const { name, input, from } of this.inputs) {
      if (document.activeElement !== input) input.value = draft?.[name] ?? "";
      const held = entry.effective.limits[name];
      input.placeholder = held?.value ?? "none";
      setText(from, held?.value ? `${whole(held.value)}, ${SOURCES[held.source]}` : "no limit");
    }
    setText(this.where, isRow ? `Pool ${entry.pool}.` : `Limits are saved for the row ${entry.row} of the configuration.`);
    setClass(this.element, "changed", isChanged);
  }
}

/* ---- the page */

const NAMES = [...NUMBERS.map(({ name }) => name), "trim", "limits"];
const savedOf = (entry) => Object.fromEntries(NAMES.map((name) => [name, tidy(entry.saved?.[name])]));

// Limits that are all null are none.
function tidy(value) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return value;
  const given = Object.entries(value).filter(([, one]) => one !== null);
  return given.length > 0 ? Object.fromEntries(given) : null;
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b) || (a && b && typeof a === "object" &&
  LIMITS.every((name) => (a[name] ?? null) === (b[name] ?? null)));

export class Settings extends Page {
  constructor([provider, ...model]) {
    super("Settings", { everyMs: REFRESH_MS, scope: "admin",
      lead: "How a model is used. Nothing is applied before it is saved; what is saved holds on every instance at once, and over restarts." });
    this.wanted = provider ? `${provider}/${model.join("/")}` : null;
    const changed = (name, value) => this.change(name, value);
    this.select = h("select", { id: "model", onchange: () => this.pick(this.select.value) });
    this.other = h("input", { type: "text", placeholder: "another model", "aria-label": "Another model of this provider", autocomplete: "off" });
    this.numbers = NUMBERS.map((spec) => new NumberSetting(spec, changed));
    this.trim = new TrimSetting(changed);
    this.limits = new LimitsSetting(changed);
    this.save = h("button", { type: "submit", disabled: true }, "Save");
    this.undo = h("button", { type: "button", class: "quiet", onclick: () => this.discard() }, "Discard changes");
    this.reset = h("button", { type: "button", class: "danger", onclick: () => this.toDefault() }, "Reset to default");
    this.told = h("p", { class: "small dim", role: "status" });
    this.preview = new TrimPreview();
    this.precedence = h("ol", { class: "small" });
    this.form = h("form", { class: "panel", hidden: true, onsubmit: (event) => {
      event.preventDefault();
      this.keep();
    } }, this.numbers.map((one) => one.element), this.trim.element, this.limits.element,
    this.told, h("div", { class: "row end" }, this.reset, this.undo, this.save));
    this.side = h("div", { hidden: true }, this.preview.element,
      h("section", { class: "panel below" }, h("h2", {}, "What wins, first to last"), this.precedence));
    this.tools.append(h("label", { for: "model" }, "Model"), this.select,
      h("form", { class: "row", onsubmit: (event) => {
        event.preventDefault();
        this.add();
      } }, this.other, h("button", { type: "submit", class: "quiet" }, "Show")));
    this.element.append(h("div", { class: "settings" }, this.form, this.side));
    this.extra = new Map(); // models that have no entry of their own, by key
  }

  get dirty() {
    return this.entry && NAMES.some((name) => !same(this.draft[name], this.saved[name]));
  }

  async read() {
    const list = await ask("/v1/settings", { signal: this.signal });
    this.list = list;
    if (!list.known) throw new Error("the saved settings are not known until Redis is reached");
    this.trim.names(list.trims);
    this.precedence.replaceChildren(...list.precedence.map((name) => h("li", {}, h("b", {}, name), `: ${PRECEDENCE[name] ?? ""}`)));
    this.entries = new Map([...this.extra, ...list.data.map((entry) => [keyOf(entry), entry])]);
    this.options();
    const entry = this.entries.get(this.wanted);
    if (this.wanted && !entry) await this.fetchOne(this.wanted);
    else this.take(entry ?? list.data[0]);
  }

  options() {
    const groups = Map.groupBy ? Map.groupBy([...this.entries.values()], (entry) => entry.provider)
      : [...this.entries.values()].reduce((all, entry) => all.set(entry.provider, [...(all.get(entry.provider) ?? []), entry]), new Map());
    const look = [...this.entries.values()].map((entry) => `${keyOf(entry)} ${Boolean(entry.saved)}`).join("\n");
    if (look === this.optionsShown) return;
    this.optionsShown = look;
    this.select.replaceChildren(...[...groups].map(([provider, entries]) => h("optgroup", { label: provider },
      entries.map((entry) => h("option", { value: keyOf(entry) }, `${entry.model}${entry.saved ? " · saved" : ""}`)))));
    if (this.entry) this.select.value = keyOf(this.entry);
  }

  // What another page saved is shown at once, unless something is being changed here.
  take(entry) {
    if (!entry) return;
    const isNew = !this.entry || keyOf(this.entry) !== keyOf(entry);
    if (!isNew && this.dirty) {
      if (entry.version !== this.entry.version) setText(this.told, "Changed elsewhere meanwhile; discard your changes to see it.");
      return;
    }
    this.entry = entry;
    this.saved = savedOf(entry);
    this.draft = structuredClone(this.saved);
    this.wanted = keyOf(entry);
    if (isNew) {
      this.select.value = keyOf(entry);
      history.replaceState(null, "", `#/settings/${encodeURIComponent(entry.provider)}/${encodeURIComponent(entry.model)}`);
    }
    this.show();
  }

  show() {
    const { entry, draft, saved } = this;
    for (const one of [...this.numbers, this.trim, this.limits]) {
      const name = one.name ?? one.element.dataset.setting;
      one.show(entry, draft[name], !same(draft[name], saved[name]));
    }
    for (const control of this.form.querySelectorAll("input, .choices button, .setting button")) this.guard(control);
    if (this.writable) for (const { input } of this.limits.inputs) input.disabled = entry.row !== entry.model;
    this.guard(this.save, !this.dirty);
    this.guard(this.undo, !this.dirty);
    this.guard(this.reset, !entry.saved);
    setText(this.told, this.dirty ? "Not saved yet." : entry.saved_at ? `Saved ${ago(entry.saved_at)}.` : "Nothing is saved for this model.");
    this.told.title = entry.saved_at ? moment(entry.saved_at) : "";
    setShown(this.form, true);
    setShown(this.side, true);
    this.preview.choose(draft.trim ?? entry.effective.trim.value, entry.model.replaceAll("*", ""), this.signal);
  }

  change(name, value) {
    this.draft[name] = value;
    this.show();
  }

  discard() {
    this.draft = structuredClone(this.saved);
    this.show();
    this.look();
  }

  pick(key) {
    this.entry = null;
    this.wanted = key;
    this.take(this.entries.get(key));
  }

  async fetchOne(key) {
    const [provider, ...model] = key.split("/");
    const entry = await ask(pathOf({ provider, model: model.join("/") }), { signal: this.signal });
    this.extra.set(key, entry);
    this.entries.set(key, entry);
    this.options();
    this.take(entry);
  }

  async add() {
    const model = this.other.value.trim();
    if (!model || !this.entry) return;
    const key = `${this.entry.provider}/${model}`;
    try {
      this.entry = null;
      await this.fetchOne(key);
      this.other.value = "";
      setShown(this.note, false);
    } catch (error) {
      this.fail(error);
      this.look();
    }
  }

  // Only what nobody else has changed since it was read is replaced.
  keep() {
    return this.act(this.save, async () => {
      const values = Object.fromEntries(NAMES.filter((name) => this.draft[name] !== null).map((name) => [name, this.draft[name]]));
      const path = pathOf(this.entry), { version } = this.entry;
      const entry = Object.keys(values).length > 0 ? await send("PUT", path, { ...values, version }, this.signal)
        : await ask(path, { method: "DELETE" });
      this.stand(entry);
    }).then(() => this.guard(this.save, !this.dirty));
  }

  stand(entry) {
    this.draft = this.saved = savedOf(this.entry); // nothing is being changed any more
    if (this.extra.has(keyOf(entry))) this.extra.set(keyOf(entry), entry);
    this.take(entry);
    this.look();
  }

  async toDefault() {
    if (!await confirmed("Reset to default?", `Nothing will be saved for ${this.entry.model} any more, on all instances.`, "Reset")) return;
    await this.act(this.reset, async () => this.stand(await ask(pathOf(this.entry), { method: "DELETE" })));
    this.guard(this.reset, !this.entry.saved);
  }

  fail(error) {
    super.fail(error);
    if (error instanceof Refused && error.status === 412) setText(this.note, `${error.message} Discard your changes to see what is saved now.`);
  }
}
