// What a trimming preset makes of a conversation, before and after, asked of the service itself.
import { send } from "./client.js";
import { short, whole } from "./format.js";
import { h, setShown, setText } from "./view.js";

const SETTLE_MS = 250; // after the last change, before it is asked
const SHOWN_CHARS = 240;
const PRESETS = ["conservative", "balanced", "aggressive"];

const lines = (text, n) => Array.from({ length: n }, (_, i) => `${i + 1}. ${text}`).join("\n");

// A support case with a tool's long answers: what there is to cut in most conversations.
function sample() {
  const messages = [{ role: "system", content: "You are a careful support engineer. Answer briefly and name the file you mean." }];
  const turns = [
    ["The import has failed since Tuesday. What is wrong?", "ERROR import: row rejected, column “amount” is not a number", "The column “amount” holds a comma as its decimal mark; importer.conf expects a point."],
    ["Which rows are they?", "row 4711: 12,50 EUR; row 4712: 9,99 EUR; customer 88213, shop Lyon", "Rows 4711 to 4790, all of the shop in Lyon."],
    ["Can it take both marks?", "decimal_mark = \".\" # or \",\"; a list is not accepted before 3.2", "Only from version 3.2 on; you run 3.1. Set decimal_mark per source until then."],
    ["Please write the change for importer.conf.", "[source.lyon] path = /srv/in/lyon; encoding = utf-8", "Add decimal_mark = \",\" below [source.lyon]."],
  ];
  turns.forEach(([question, found, answer], i) => {
    messages.push({ role: "user", content: question },
      { role: "assistant", content: null, tool_calls: [{ id: `call_${i}`, type: "function",
        function: { name: "search_logs", arguments: JSON.stringify({ query: question }) } }] },
      { role: "tool", tool_call_id: `call_${i}`, content: lines(found, 14) },
      { role: "assistant", content: answer });
  });
  messages.push({ role: "user", content: "And how do I test it without importing everything?" });
  return messages;
}

// A pasted conversation: the messages alone, or a whole request.
function bodyOf(text, model) {
  const given = JSON.parse(text);
  const body = Array.isArray(given) ? { messages: given } : given;
  if (!body || typeof body !== "object") throw new SyntaxError("A list of messages, or a request, is wanted.");
  return { model, ...body };
}

const itemsOf = (body) => body.messages ?? (Array.isArray(body.input) ? body.input : []);

function textOf(message) {
  const { content } = message;
  if (typeof content === "string") return content;
  const parts = Array.isArray(content) ? content.map((part) => part.text ?? `[${part.type}]`) : [];
  const calls = (message.tool_calls ?? []).map((call) => `calls ${call.function?.name}(${call.function?.arguments ?? ""})`);
  return [...parts, ...calls].join(" ") || JSON.stringify(message);
}

// For each message whether it is whole, shortened or gone: what is left comes in the old order.
export function fates(before, after) {
  const looks = after.map((message) => JSON.stringify(message));
  let at = 0;
  return before.map((message) => {
    const look = JSON.stringify(message);
    const same = looks.indexOf(look, at);
    if (same >= 0) {
      at = same + 1;
      return "";
    }
    const next = after[at];
    const isRest = next && next.role === message.role && next.tool_call_id === message.tool_call_id &&
      !before.some((other) => JSON.stringify(other) === looks[at]);
    if (!isRest) return "cut";
    at++;
    return "shortened";
  });
}

export function messageElement(message, fate, actions) {
  const text = textOf(message);
  const saved = actions.reduce((sum, one) => sum + one.saved_tokens, 0);
  const why = actions.map((one) => `${one.stage}: ${one.why}`).join("\n");
  return h("li", { class: [fate, message.role].filter(Boolean).join(" "), title: why },
    h("b", {}, message.role ?? message.type ?? "item"),
    text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text,
    fate ? h("small", { class: "dim" }, ` ${fate === "cut" ? "cut" : "shortened"}${saved > 0 ? `, ${whole(saved)} tokens less` : ""}`) : null);
}

class SizeRow {
  constructor(name) {
    this.fill = h("i", {});
    this.value = h("b", { class: "num" });
    this.elements = [h("span", { class: "dim" }, name), h("span", { class: "bar" }, this.fill), this.value];
  }

  set(size, most) {
    this.fill.style.inlineSize = `${most > 0 ? size.tokens / most * 100 : 0}%`;
    setText(this.value, `${whole(size.tokens)} tokens, ${whole(size.messages)} messages`);
  }
}

export class TrimPreview {
  constructor() {
    this.text = h("textarea", { spellcheck: "false", "aria-label": "Conversation as JSON",
      oninput: () => this.later() }, JSON.stringify(sample(), null, 1));
    this.limit = h("input", { type: "number", min: 0, step: 100, value: 0, id: "preview-limit",
      oninput: () => this.later() });
    this.before = new SizeRow("before");
    this.after = new SizeRow("after");
    this.saved = h("p", { class: "small dim", role: "status" });
    this.note = h("p", { class: "note bad", hidden: true });
    this.list = h("ol", { class: "messages", tabindex: 0, "aria-label": "The conversation, with what is cut" });
    this.title = h("h2", {}, "What trimming would cut");
    this.element = h("section", { class: "panel" }, this.title,
      h("div", { class: "sizes" }, this.before.elements, this.after.elements), this.saved, this.note,
      this.list,
      h("details", {}, h("summary", {}, "Try it on your own conversation"),
        h("p", { class: "small dim" }, "Messages, or the whole body of a request. It is trimmed here and sent to nobody."),
        this.text,
        h("p", { class: "row small" }, h("label", { for: "preview-limit" }, "Most tokens (0: no limit)"), this.limit,
          h("button", { type: "button", class: "quiet", onclick: () => this.reset() }, "Sample"))));
  }

  reset() {
    this.text.value = JSON.stringify(sample(), null, 1);
    this.limit.value = 0;
    this.later();
  }

  // The preset that is chosen now, saved or not; null or "none" cuts nothing.
  choose(preset, model, signal) {
    Object.assign(this, { model, signal });
    if (preset === this.preset && this.shown) return;
    this.preset = preset;
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), SETTLE_MS);
  }

  fail(text) {
    setText(this.note, text);
    setShown(this.note, text !== "");
  }

  async ask() {
    const known = PRESETS.includes(this.preset);
    setText(this.title, `What trimming would cut: ${this.preset ?? "none"}`);
    try {
      const body = bodyOf(this.text.value, this.model);
      const limits = { max_context_tokens: Math.max(0, Number(this.limit.value) || 0) };
      // Without a preset it is asked for the size alone.
      const request = { body, preset: known ? this.preset : PRESETS[0], ...limits };
      const asked = JSON.stringify(request);
      this.asked = asked;
      const report = await send("POST", "/v1/context/trim", request, this.signal);
      if (asked !== this.asked) return; // a newer one is on its way
      this.show(body, known ? report : { ...report, body, after: report.before, actions: [], fits: true });
      const isNamed = this.preset && this.preset !== "none" && !known;
      this.fail(isNamed ? `“${this.preset}” is a policy of the configuration, which the preview does not know: nothing is cut here.` : "");
    } catch (error) {
      if (this.signal?.aborted) return;
      this.fail(error instanceof SyntaxError ? `This is no JSON: ${error.message}` : error.message);
    }
  }

  show(body, { before, after, actions, fits, refused, body: left }) {
    this.shown = true;
    this.before.set(before, before.tokens);
    this.after.set(after, before.tokens);
    const saved = before.tokens - after.tokens;
    const part = before.tokens > 0 ? Math.round(saved / before.tokens * 100) : 0;
    setText(this.saved, [saved > 0 ? `${short(saved)} tokens less (${part} %)` : "Nothing is cut.",
      fits ? "" : "It does not fit the limit even so.", refused ?? ""].filter(Boolean).join(" "));
    const items = itemsOf(body), fate = fates(items, itemsOf(left));
    this.list.replaceChildren(...items.map((message, i) =>
      messageElement(message, fate[i], actions.filter((one) => one.message === i))));
  }
}
