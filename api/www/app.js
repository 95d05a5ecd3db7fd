// The frame: which page is shown, the stream of numbers, the key, and what to say when the
// service does not answer.
import { Refused, follow, key } from "./client.js";
import { History } from "./history.js";
import { Job, Jobs } from "./jobs.js";
import { Overview } from "./overview.js";
import { Pools } from "./pools.js";
import { h, setClass, setShown, setText } from "./view.js";

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const state = document.getElementById("state");
const forget = document.getElementById("forget");
const numbers = new History();
let newest = null; // the last object of the stream
let page = null; // {view, stop}
let stream = null; // AbortController

/* ---- the key */

function askForKey(message) {
  stream?.abort();
  page?.stop.abort();
  const input = h("input", { type: "password", name: "key", autocomplete: "off", required: true,
    "aria-label": "Access key" });
  const form = h("form", { class: "key", onsubmit: (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    watch();
    route();
  } }, h("h1", {}, "This service wants a key"),
  h("p", {}, message), h("p", {}, input, " ", h("button", { type: "submit" }, "Show the dashboard")),
  h("p", { class: "dim" }, "One of the keys in auth.keys. It stays in this tab and is sent to this service only."));
  main.replaceChildren(form);
  setShown(banner, false);
  setText(state, "");
  setShown(forget, false);
  input.focus();
}

function refused(error) {
  if (error instanceof Refused && error.status === 401) askForKey(error.message);
}

forget.addEventListener("click", () => {
  key.forget();
  numbers.samples = [];
  newest = null;
  watch();
  route();
});

/* ---- the numbers */

function showState(stats) {
  const silent = stats.instances.filter((one) => !one.alive).length;
  const text = !stats.redis.up ? "Redis is not reachable: levels and queues are not known now."
    : silent > 0 ? `${silent} of ${stats.instances.length} instances are silent.` : "";
  setText(banner, text);
  setShown(banner, text !== "");
  setText(state, "live");
  setClass(state, "lost", false);
  setClass(document.body, "stale", false);
}

function onStats(stats) {
  newest = stats;
  numbers.add(stats, Date.now());
  showState(stats);
  page?.view.update?.(stats);
}

function onLost(error, inMs) {
  if (error instanceof Refused && error.status === 401) {
    askForKey(error.message);
    return;
  }
  const last = newest ? ` The numbers are of ${new Date(newest.created_at * 1000).toLocaleTimeString("en-GB")}.` : "";
  setText(banner, `Sluice does not answer (${error.message}).${last} Trying again in ${Math.ceil(inMs / 1000)} s.`);
  setShown(banner, true);
  setText(state, "no connection");
  setClass(state, "lost", true);
  setClass(document.body, "stale", true);
}

function watch() {
  stream?.abort();
  stream = new AbortController();
  setShown(forget, key.get() !== null);
  follow("/v1/stats/stream", stream.signal, { data: onStats, lost: onLost });
}

/* ---- pages */

function viewOf(path, query) {
  if (path === "/pools") return ["pools", "Pools", new Pools(query)];
  if (path === "/jobs") return ["jobs", "Jobs", new Jobs()];
  if (path.startsWith("/jobs/")) {
    let id = path.slice(6);
    try {
      id = decodeURIComponent(id);
    } catch {
      // shown as it is: the service will not know it
    }
    return ["jobs", "Job", new Job(id)];
  }
  return ["overview", "Overview", new Overview(numbers)];
}

function route() {
  if (location.hash === "#main") {
    main.focus();
    return;
  }
  page?.stop.abort();
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const [name, title, view] = viewOf(path, new URLSearchParams(query));
  page = { view, stop: new AbortController() };
  document.title = `${title} · Sluice`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(view.element);
  view.start?.(page.stop.signal, refused);
  if (newest) view.update?.(newest);
}

window.addEventListener("hashchange", route);
watch();
route();
