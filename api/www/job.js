// One job: its way from the submit to its end, what it waits for, its answer; cancel and retry.
import { Refused, ask } from "./client.js";
import { clock, duration, limitName, moment, whole } from "./format.js";
import { isOver, pill, reason } from "./jobs.js";
import { Page } from "./page.js";
import { h, setShown, setText } from "./view.js";

const REFRESH_MS = 2000;
const OWNERS = { pool: "of the pool", tenant: "of its tenant", provider: "that the provider told" };

const json = (value) => JSON.stringify(value, null, 2);

function trimStep({ trim, trimmed_tokens: cut }) {
  if (!trim && !(cut > 0)) return null;
  const how = [trim?.policy ? `preset ${trim.policy}` : "", (trim?.stages ?? []).join(", "),
    trim?.shrunk ? "made smaller to fit its budget" : "",
    trim?.max_tokens ? `at most ${whole(trim.max_tokens)} tokens of answer` : ""].filter(Boolean);
  return { name: "trimmed", text: [`${whole(cut)} tokens cut`, ...how].join(" · ") };
}

function waitStep(job, explain) {
  if (isOver(job) && !job.started_at && !explain) return null;
  if (!job.started_at && !isOver(job)) {
    const place = job.position ? `place ${whole(job.position)} in the queue` : "";
    const eta = job.eta_ms !== null ? `starts in about ${duration(job.eta_ms)}` : "";
    return { name: "queued", kind: "now", text: [reason(job), place, eta].filter(Boolean).join(" · ") };
  }
  const waited = explain?.queue_ms ?? (job.started_at - job.created_at) * 1000;
  if (!(waited > 0)) return { name: "queued", text: "not held: its budget was there" };
  const what = explain?.limit ? ` for ${limitName(explain.limit)}, a limit ${OWNERS[explain.whose] ?? ""}` : "";
  return { name: "queued", text: `held ${duration(waited)}${what}` };
}

function attemptSteps(job, explain) {
  return (explain?.failed_attempts ?? []).map((one, i) => ({
    name: `attempt ${i + 1}`, kind: "bad",
    text: [`${one.status || "no answer"} · ${one.failure}`, one.model, one.pool].filter(Boolean).join(" · "),
  }));
}

function runStep(job, explain) {
  if (!job.started_at) return null;
  const served = explain ? `by ${explain.model}${explain.model === explain.asked_model ? "" : ` instead of ${explain.asked_model}`} on ${explain.pool}` : "";
  const times = job.attempts > 1 ? `given out ${whole(job.attempts)} times` : "";
  const kind = job.status === "running" ? "now" : job.status === "retrying" ? "bad" : "";
  return { name: job.status === "running" ? "running" : "granted", when: job.started_at, kind,
    text: [job.decision, served, times].filter(Boolean).join(" · ") };
}

function endStep(job, explain) {
  if (!isOver(job)) return job.status === "retrying" ? { name: "retrying", kind: "now", text: reason(job) } : null;
  const usage = job.usage ? `${whole(job.usage.input_tokens)} tokens in, ${whole(job.usage.output_tokens)} out` : "";
  const took = job.started_at && job.finished_at
    ? `ran ${duration(Math.max(0, job.finished_at - job.started_at) * 1000)}` : "";
  return { name: job.status, when: job.finished_at,
    kind: job.status === "succeeded" ? "good" : job.status === "cancelled" ? "" : "bad",
    text: [reason(job), usage, took, explain?.hint].filter(Boolean).join(" · ") };
}

export function stepsOf(job) {
  const { explain } = job;
  return [{ name: "submitted", when: job.created_at, text: `${job.priority}, for ${job.model}` },
    trimStep(job), waitStep(job, explain), ...attemptSteps(job, explain), runStep(job, explain),
    endStep(job, explain)].filter(Boolean);
}

function stepElement({ name, when, text, kind }) {
  return h("li", { class: kind ?? "" }, h("b", {}, name),
    when ? h("time", { class: "dim", title: moment(when) }, clock(when * 1000)) : null,
    text ? h("p", {}, text) : null);
}

function facts(job) {
  const usage = job.usage ?? {};
  return [
    ["Endpoint", job.endpoint], ["Model", job.model], ["Priority", job.priority],
    ["Submitted", moment(job.created_at)],
    ["Position", job.position ?? ""], ["Starts in", job.eta_ms === null ? "" : duration(job.eta_ms)],
    ["Bound by", job.binding_limit ? limitName(job.binding_limit) : ""],
    ["Attempts", job.attempts],
    ["Input tokens", usage.input_tokens ?? job.input_tokens],
    ["of it cached", usage.cached_tokens || ""],
    ["Output tokens", usage.output_tokens ?? ""],
    ["Provider's status", job.response?.status_code ?? ""],
  ].filter(([, value]) => value !== "" && value !== null && value !== undefined);
}

export class Job extends Page {
  constructor(id) {
    super("Job", { everyMs: REFRESH_MS, scope: "jobs" });
    this.id = id;
    this.title.append(" ", h("code", {}, id));
    this.status = h("p", { role: "status" });
    this.of = h("p", { hidden: true }, "A retry of ", h("a", {}, ""));
    this.cancel = h("button", { type: "button", class: "danger", hidden: true,
      onclick: () => this.end() }, "Cancel this job");
    this.retry = h("button", { type: "button", hidden: true, onclick: () => this.again() },
      "Submit it again");
    this.tools.append(this.retry, this.cancel);
    this.steps = h("ol", { class: "timeline" });
    this.facts = h("dl", {});
    this.texts = h("div", {});
    this.columns = h("div", { class: "columns", hidden: true },
      h("section", { class: "panel" }, h("h2", {}, "What became of it"), this.steps),
      h("section", { class: "panel" }, h("h2", {}, "Facts"), this.facts));
    this.element.prepend(h("p", { class: "small" }, h("a", { href: "#/jobs" }, "All jobs")));
    this.element.append(this.status, this.of, this.columns, this.texts);
  }

  show(job) {
    const look = json(job);
    if (look === this.shown) return; // a reader's selection stays
    this.shown = look;
    this.status.replaceChildren(pill(job.status));
    setShown(this.of, Boolean(job.retry_of));
    const link = this.of.querySelector("a");
    setText(link, job.retry_of ?? "");
    link.setAttribute("href", `#/jobs/${encodeURIComponent(job.retry_of ?? "")}`);
    this.steps.replaceChildren(...stepsOf(job).map(stepElement));
    this.facts.replaceChildren(...facts(job).flatMap(([name, value]) =>
      [h("dt", {}, name), h("dd", {}, String(value))]));
    setShown(this.columns, true);
    setShown(this.cancel, !isOver(job));
    setShown(this.retry, isOver(job) && job.object === "job");
    this.guard(this.cancel);
    this.guard(this.retry);
    this.showTexts([["Answer", job.response?.body], ["Error", job.error], ["Metadata", job.metadata]]);
  }

  showTexts(texts) {
    const shown = texts.filter(([, value]) => value !== null && value !== undefined);
    if (json(shown) === this.shownTexts) return;
    this.shownTexts = json(shown);
    this.texts.replaceChildren(...shown.map(([name, value]) => h("details",
      { open: name !== "Answer" }, h("summary", {}, name),
      h("pre", {}, typeof value === "string" ? value : json(value)))));
  }

  get path() {
    return `/v1/jobs/${encodeURIComponent(this.id)}`;
  }

  end() {
    return this.act(this.cancel, async () => this.show(await ask(this.path, { method: "DELETE" })));
  }

  again() {
    return this.act(this.retry, async () => {
      const job = await ask(`${this.path}/retry`, { method: "POST" });
      location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
    });
  }

  // Its place in the queue changes without an event, so it is looked at again and again.
  async read() {
    try {
      const job = await ask(this.path, { signal: this.signal });
      this.show(job);
      if (isOver(job)) this.halt();
    } catch (error) {
      if (error instanceof Refused && error.status === 404) this.halt();
      throw error;
    }
  }
}
