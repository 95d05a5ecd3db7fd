// The list of durable jobs, newest first.
import { ask } from "./client.js";
import { ago, duration, limitName, moment } from "./format.js";
import { Page } from "./page.js";
import { Keyed, h, setShown, setText } from "./view.js";

const PAGE = 50, MOST = 500;
const REFRESH_MS = 2000;
const ENDED = ["succeeded", "failed", "cancelled", "expired"];

export const isOver = (job) => ENDED.includes(job.status);
export const pill = (status) => h("span", { class: `pill ${status} ${ENDED.includes(status) ? "" : "open"}` }, status);

// Why a job is where it is, in a few words.
export function reason(job) {
  if (job.status === "queued" && job.binding_limit) return `waits for ${limitName(job.binding_limit)}`;
  if (job.status === "queued") return "waits for its turn";
  if (job.status === "retrying") return "is tried again";
  return job.error?.message ?? job.error?.error?.message ?? "";
}

class JobRow {
  constructor(job) {
    this.status = h("td", {});
    this.cells = Array.from({ length: 6 }, (_, i) => h("td", { class: i > 1 ? "num" : "" }));
    this.why = h("td", { class: "why" });
    this.cells[2].title = moment(job.created_at);
    this.element = h("tr", {}, h("th", { scope: "row" },
      h("a", { href: `#/jobs/${encodeURIComponent(job.id)}`, title: job.id },
        h("code", {}, job.id.slice(0, 16)))),
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

export class Jobs extends Page {
  constructor() {
    super("Jobs", { everyMs: REFRESH_MS,
      lead: "Durable requests: what waits, at which place and for what; and what became of the others." });
    this.wanted = PAGE;
    this.body = h("tbody", {});
    this.rows = new Keyed(this.body, (job) => new JobRow(job));
    this.more = h("button", { type: "button", class: "quiet", hidden: true,
      onclick: () => this.showMore() }, "Show more");
    this.empty = h("div", { class: "empty-state", hidden: true }, h("h3", {}, "No jobs"),
      h("p", {}, "A job outlives its caller and this service: it is run when its budget is there, ",
        "and its answer is kept. Submit one:"),
      h("pre", {}, "sluice submit --wait request.json"));
    this.table = h("div", { class: "scroll", hidden: true }, h("table", {}, h("thead", {}, h("tr", {},
      ["Job", "Status", "Model", "Priority", "Submitted", "Position", "Starts in", "Attempts", "Why"]
        .map((name, i) => h("th", { scope: "col", class: i > 3 && i < 8 ? "num" : "" }, name)))), this.body));
    this.element.append(this.table, h("p", {}, this.more), this.empty);
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

  async read() {
    const { jobs, more } = await Jobs.load(this.wanted, this.signal);
    this.rows.update(jobs, (job) => job.id);
    setShown(this.table, jobs.length > 0);
    setShown(this.empty, jobs.length === 0);
    setShown(this.more, more && this.wanted < MOST);
  }

  showMore() {
    this.wanted = Math.min(this.wanted + PAGE, MOST);
    this.look();
  }
}
