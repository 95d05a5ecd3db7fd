// Conversations that are kept here: the list, and one with its statistics, what the next call would
// send, and its messages.
import { Refused, ask } from "./client.js";
import { ago, dollars, duration, moment, short, whole } from "./format.js";
import { Page } from "./page.js";
import { messageElement, fates } from "./trim_preview.js";
import { Keyed, confirmed, h, setShown, setText } from "./view.js";

const PAGE = 50;
const REFRESH_MS = 4000;
const AT_ONCE = 6; // statistics are asked for one by one

const pathOf = (id, rest = "") => `/v1/sessions/${encodeURIComponent(id)}${rest}`;

/* ---- the list */

class SessionRow {
  constructor(one) {
    this.cells = Array.from({ length: 7 }, (_, i) => h("td", { class: i > 0 ? "num" : "wide" }));
    this.element = h("tr", {}, h("th", { scope: "row" }, h("a", { href: `#/sessions/${encodeURIComponent(one.id)}`, title: one.id },
      h("code", {}, one.id.slice(0, 18)))), this.cells);
  }

  update(one) {
    const { statistics: all } = one;
    const values = [one.model ?? "", ago(one.used_at), ...(all ? [whole(all.messages), short(all.input_tokens), short(all.output_tokens),
      all.saved_tokens > 0 ? `${short(all.saved_tokens)} (${Math.round(all.saved_percent)} %)` : "–", dollars(all.total_cost)] : ["", "", "", "", ""])];
    this.cells.forEach((cell, i) => setText(cell, values[i]));
    this.cells[1].title = moment(one.used_at);
  }
}

export class Sessions extends Page {
  constructor() {
    super("Sessions", { everyMs: REFRESH_MS,
      lead: "Conversations that are kept here, last used first: what they hold, cost, and what trimming saved." });
    this.known = new Map(); // id: {used_at, session}
    this.wanted = PAGE;
    this.body = h("tbody", {});
    this.rows = new Keyed(this.body, (one) => new SessionRow(one));
    this.table = h("div", { class: "scroll", hidden: true }, h("table", {}, h("thead", {}, h("tr", {},
      ["Session", "Model", "Used", "Messages", "Tokens in", "Tokens out", "Saved by trimming", "Cost"]
        .map((name, i) => h("th", { scope: "col", class: i > 1 ? "num" : "" }, name)))), this.body));
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => {
      this.wanted += PAGE;
      this.look();
    } }, "Show more");
    this.empty = h("div", { class: "empty-state", hidden: true }, h("h3", {}, "No sessions"),
      h("p", {}, "A session keeps a conversation, so that a caller sends only what is new, and trims it before each call:"),
      h("pre", {}, `curl ${location.origin}/v1/sessions -d '{"model":"gpt-4o","preset":"balanced"}'`));
    this.element.append(this.table, h("p", {}, this.more), this.empty);
  }

  static async list(wanted, signal) {
    const all = [];
    for (let after = "";;) {
      const page = await ask(`/v1/sessions?limit=${PAGE}${after}`, { signal });
      all.push(...page.data);
      if (!page.has_more || page.data.length === 0) return { all, more: false };
      if (all.length >= wanted) return { all, more: true };
      after = `&after=${encodeURIComponent(all.at(-1).id)}`;
    }
  }

  // The list has ids alone; a conversation is asked for when it was used since.
  async details(all) {
    const stale = all.filter(({ id, used_at: used }) => this.known.get(id)?.used_at !== used);
    const next = async () => {
      for (let one; (one = stale.shift());) {
        const session = await ask(pathOf(one.id), { signal: this.signal }).catch((error) => {
          if (error instanceof Refused && error.status === 404) return {}; // gone meanwhile
          throw error;
        });
        this.known.set(one.id, { used_at: one.used_at, model: session.model, statistics: session.statistics });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }

  async read() {
    const { all, more } = await Sessions.list(this.wanted, this.signal);
    setShown(this.table, all.length > 0);
    setShown(this.empty, all.length === 0);
    setShown(this.more, more);
    const show = () => this.rows.update(all.map((one) => ({ ...this.known.get(one.id), ...one })), ({ id }) => id);
    show();
    await this.details(all);
    show();
  }
}

/* ---- one of them */

const factsOf = ({ statistics: all, ...one }) => [
  ["Requests", whole(all.requests)], ["Messages", whole(all.messages)], ["Tokens of it all", short(all.current_tokens)],
  ["after trimming", short(all.context_tokens)], ["Billed in", short(all.input_tokens)], ["Billed out", short(all.output_tokens)],
  ["Saved by trimming", `${short(all.saved_tokens)} (${Math.round(all.saved_percent)} %)`], ["Trimmed calls", whole(all.compressions)],
  ["Tool calls", `${whole(all.tool_calls)}${all.tool_calls_dropped > 0 ? `, ${whole(all.tool_calls_dropped)} dropped` : ""}`],
  ["Cost", dollars(all.total_cost)], ["Begun", ago(one.created_at)], ["Forgotten in", duration(Math.max(0, one.expires_at * 1000 - Date.now()))],
];

export class Session extends Page {
  constructor(id) {
    super("Session", { everyMs: REFRESH_MS, scope: "proxy" });
    this.id = id;
    this.title.append(" ", h("code", {}, id));
    this.sub = h("p", { class: "lead" });
    this.title.after(this.sub);
    this.clear = h("button", { type: "button", class: "danger", onclick: () => this.forget(true) }, "Clear history");
    this.remove = h("button", { type: "button", class: "danger", onclick: () => this.forget(false) }, "Delete");
    this.tools.append(this.clear, this.remove);
    this.facts = h("dl", { class: "stats" });
    this.contextNote = h("p", { class: "small dim" });
    this.list = h("ol", { class: "messages tall", tabindex: 0, "aria-label": "Messages, with what the next call leaves out" });
    this.meta = h("div", {});
    this.all = h("div", { hidden: true }, h("section", { class: "panel" }, this.facts),
      h("section", { class: "panel below" }, h("h2", {}, "What the next call sends"), this.contextNote, this.list), this.meta);
    this.element.prepend(h("p", { class: "small" }, h("a", { href: "#/sessions" }, "All sessions")));
    this.element.append(this.all);
  }

  async read() {
    const [session, context] = await Promise.all([ask(pathOf(this.id), { signal: this.signal }),
      ask(pathOf(this.id, "/context"), { signal: this.signal })]);
    const look = JSON.stringify([session, context]);
    if (look === this.shown) return;
    this.shown = look;
    setText(this.sub, `${session.model} · preset ${session.preset || "none"} · ${session.endpoint}`);
    this.facts.replaceChildren(...factsOf(session).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    this.showContext(session, context);
    const texts = [["Metadata", session.metadata], ["System prompt", session.system], ["Tools", session.tools]].filter(([, value]) =>
      value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0));
    this.meta.replaceChildren(...texts.map(([name, value]) => h("details", {}, h("summary", {}, name),
      h("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2)))));
    this.guard(this.clear, session.messages.length === 0);
    this.guard(this.remove);
    setShown(this.all, true);
  }

  showContext(session, { before, after, actions, body }) {
    const messages = session.messages.map(({ message }) => message);
    const left = body.messages ?? (Array.isArray(body.input) ? body.input : []);
    const lead = before.messages - messages.length; // such as a system prompt that is a message
    const fate = fates(messages, left.slice(Math.max(0, left[0]?.role === "system" ? lead : 0)));
    setText(this.contextNote, messages.length === 0 ? "No messages yet." : before.tokens === after.tokens
      ? `All of it: ${whole(after.tokens)} tokens.` : `${whole(after.tokens)} of ${whole(before.tokens)} tokens; the rest is left out.`);
    this.list.replaceChildren(...messages.map((message, i) =>
      messageElement(message, fate[i], actions.filter((one) => one.message === i + lead))));
  }

  async forget(onlyMessages) {
    const [title, text, action, path, button] = onlyMessages
      ? ["Clear its history?", "All its messages are forgotten; the session stays.", "Clear", "/messages", this.clear]
      : ["Delete this session?", "It is forgotten with all its messages.", "Delete", "", this.remove];
    if (!await confirmed(title, text, action)) return;
    await this.act(button, async () => {
      await ask(pathOf(this.id, path), { method: "DELETE" });
      if (onlyMessages) await this.look();
      else location.hash = "#/sessions";
    });
  }
}
