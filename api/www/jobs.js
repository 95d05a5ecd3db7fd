// Durable jobs: the list, and one job with what became of it.
import { Refused, ask } from "./client.js";
import { ago, duration, limitName, moment, whole } from "./format.js";
import { Keyed, h, setShown, setText } from "./view.js";

const PAGE = 50, MOST = 500;
const REFRESH_MS = 2000;
const ENDED = ["succeeded", "failed", "cancelled", "expired"];

const isOver = (job) => ENDED.includes(job.status);
const pill = (status) => h("span", { class: `pill ${ENDED.includes(status) ? status : "open"}` }, status);

// Why a job is where it is, in a few words.
function reason(job) {
  if (job.status === "queued" && job.binding_limit) return `waits for ${limitName(job.binding_limit)}`;
  if (job.status === "queued") return "waits for its turn";
  if (job.status === "retrying") return "is tried again";
  return job.error?.message ?? job.error?.error?.message ?? "";
}

/* ---- the list */

class JobRow {
  constructor(job) {
    this.status = h("td", {});
    this.cells = Array.from({ length: 6 }, (_, i) => h("td", { class: i > 1 ? "num" : "" }));
    this.why = h("td", { class: "why" });
    this.element = h("tr", {}, h("th", { scope: "row" },
      h("a", { href: `#/jobs/${encodeURIComponent(job.id)}`, title: job.id }, job.id.slice(0, 20))),
      this.status, this.cells, this.why);
  }

  update(job) {
    if (this.status.textContent !== job.status) this.status.replaceChildren(pill(job.status));
    const values = [job.model, job.priority, ago(job.created_at), job.position ?? "",
      job.eta_ms === null ? "" : duration(job.eta_ms), job.attempts];
    this.cells.forEach((cell, i) => setText(cell, values[i]));
    setText(this.why, reason(job));
  }
}

export class Jobs {
  constructor() {
    this.wanted = PAGE;
    this.body = h("tbody", {});
    this.rows = new Keyed(this.body, (job) => new JobRow(job));
    this.note = h("p", { class: "error", role: "alert", hidden: true });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.showMore() }, "Show more");
    this.empty = h("div", { class: "empty-state", hidden: true }, h("h3", {}, "No jobs"),
      h("p", {}, "A job outlives its caller and this service: it is run when its budget is there, ",
        "and its answer is kept. Submit one:"),
      h("pre", {}, "sluice submit --wait request.json"));
    this.table = h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {},
      ["Job", "Status", "Model", "Priority", "Submitted", "Position", "Starts in", "Attempts", "Why"]
        .map((name, i) => h("th", { scope: "col", class: i > 3 && i < 8 ? "num" : "" }, name)))), this.body));
    this.element = h("div", {}, h("h1", {}, "Jobs"), this.note, this.table, this.more, this.empty);
  }

  // Pages of the list up to as many as are shown: the newest come first, so each look begins anew.
  static async load(wanted, signal) {
    const jobs = [];
    for (let more = true, after = ""; more && jobs.length < wanted;) {
      const page = await ask(`/v1/jobs?limit=${PAGE}${after}`, { signal });
      jobs.push(...page.data);
      more = page.has_more && page.data.length > 0;
      if (!more) return { jobs, more };
      after = `&after=${encodeURIComponent(jobs.at(-1).id)}`;
    }
    return { jobs, more: true };
  }

  async look() {
    if (this.looking || document.hidden) return;
    this.looking = true;
    try {
      const { jobs, more } = await Jobs.load(this.wanted, this.signal);
      this.rows.update(jobs, (job) => job.id);
      setShown(this.table, jobs.length > 0);
      setShown(this.empty, jobs.length === 0);
      setShown(this.more, more && this.wanted < MOST);
      setShown(this.note, false);
    } catch (error) {
      if (this.signal.aborted) return;
      this.refused?.(error);
      setText(this.note, `The list could not be read: ${error.message}`);
      setShown(this.note, true);
    } finally {
      this.looking = false;
    }
  }

  showMore() {
    this.wanted = Math.min(this.wanted + PAGE, MOST);
    this.look();
  }

  start(signal, refused) {
    Object.assign(this, { signal, refused });
    const timer = setInterval(() => this.look(), REFRESH_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.look();
  }
}

/* ---- one job */

function timeline(job) {
  const at = (seconds) => (seconds ? moment(seconds) : "");
  const steps = [["submitted", at(job.created_at), ""]];
  if (job.started_at) {
    const waited = (job.started_at - job.created_at) * 1000;
    steps.push(["started", at(job.started_at), `${waited > 0 ? `after ${duration(waited)} in the queue` : "at once"}` +
      (job.decision ? `, ${job.decision}` : "")]);
  } else if (!isOver(job)) {
    steps.push(["waits", "", reason(job)]);
  }
  if (job.attempts > 1) steps.push(["attempts", "", `${whole(job.attempts)} in all`]);
  if (job.finished_at) steps.push([job.status, at(job.finished_at), reason(job)]);
  return steps.map(([name, when, why]) => h("li", {}, h("b", {}, name), " ",
    h("time", { class: "dim" }, when), why ? h("p", {}, why) : null));
}

const json = (value) => JSON.stringify(value, null, 2);

function facts(job) {
  const usage = job.usage ?? {};
  return [
    ["Endpoint", job.endpoint], ["Model", job.model], ["Priority", job.priority],
    ["Position", job.position ?? ""], ["Starts in", job.eta_ms === null ? "" : duration(job.eta_ms)],
    ["Bound by", job.binding_limit ? limitName(job.binding_limit) : ""],
    ["Attempts", job.attempts],
    ["Input tokens", usage.prompt_tokens ?? usage.input_tokens ?? job.input_tokens],
    ["Output tokens", usage.completion_tokens ?? usage.output_tokens ?? ""],
    ["Provider's status", job.response?.status_code ?? ""],
  ].filter(([, value]) => value !== "" && value !== null && value !== undefined);
}

export class Job {
  constructor(id) {
    this.id = id;
    this.title = h("h1", {}, "Job ", h("code", {}, id));
    this.status = h("p", {});
    this.note = h("p", { class: "error", role: "alert", hidden: true });
    this.cancel = h("button", { type: "button", class: "danger", hidden: true,
      onclick: () => this.end() }, "Cancel this job");
    this.steps = h("ol", { class: "timeline" });
    this.facts = h("dl", {});
    this.texts = h("div", {});
    this.element = h("div", {}, h("p", {}, h("a", { href: "#/jobs" }, "All jobs")), this.title,
      this.status, this.note, this.cancel, h("div", { class: "columns" },
        h("section", {}, h("h2", {}, "What became of it"), this.steps),
        h("section", {}, h("h2", {}, "Facts"), this.facts)), this.texts);
  }

  show(job) {
    this.status.replaceChildren(pill(job.status));
    this.steps.replaceChildren(...timeline(job));
    this.facts.replaceChildren(...facts(job).flatMap(([name, value]) =>
      [h("dt", {}, name), h("dd", {}, String(value))]));
    setShown(this.cancel, !isOver(job));
    setShown(this.note, false);
    const texts = [["Answer", job.response?.body], ["Error", job.error], ["Metadata", job.metadata]];
    const shown = texts.filter(([, value]) => value !== null && value !== undefined);
    if (json(shown) === this.shown) return;
    this.shown = json(shown);
    this.texts.replaceChildren(...shown.map(([name, value]) => h("details",
      { open: name !== "Answer" }, h("summary", {}, name),
      h("pre", {}, typeof value === "string" ? value : json(value)))));
  }

  fail(error) {
    setText(this.note, error.message);
    setShown(this.note, true);
  }

  async end() {
    this.cancel.disabled = true;
    try {
      this.show(await ask(`/v1/jobs/${encodeURIComponent(this.id)}`, { method: "DELETE" }));
    } catch (error) {
      this.fail(error);
    }
    this.cancel.disabled = false;
  }

  // Its place in the queue changes without an event, so it is looked at too.
  async look() {
    try {
      const job = await ask(`/v1/jobs/${encodeURIComponent(this.id)}`, { signal: this.signal });
      this.show(job);
      if (isOver(job)) clearInterval(this.timer);
    } catch (error) {
      if (this.signal.aborted) return;
      this.refused(error);
      this.fail(error);
      if (error instanceof Refused && error.status === 404) clearInterval(this.timer);
    }
  }

  start(signal, refused) {
    Object.assign(this, { signal, refused });
    this.timer = setInterval(() => this.look(), REFRESH_MS);
    signal.addEventListener("abort", () => clearInterval(this.timer));
    this.look();
  }
}
