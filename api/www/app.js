// The frame: which page is shown, the stream of numbers, the key, and what to say when the
// service does not answer.
import { Refused, ask, follow, key } from "./client.js";
import { Costs } from "./costs.js";
import { History } from "./history.js";
import { Job } from "./job.js";
import { Jobs } from "./jobs.js";
import { Keys } from "./keys.js";
import { Overview } from "./overview.js";
import { Pools } from "./pools.js";
import { Rights } from "./rights.js";
import { Session, Sessions } from "./sessions.js";
import { Settings } from "./settings.js";
import { h, setClass, setShown, setText } from "./view.js";

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const state = document.getElementById("state");
const forget = document.getElementById("forget");
const numbers = new History();
const rights = new Rights();
let newest = null; // the last object of the stream
let page = null; // {view, stop}
let stream = null; // AbortController

/* ---- the key */

function askForKey(message) {
  stream?.abort();
  page?.stop.abort();
  page = null;
  document.title = "Key · Sluice";
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const input = h("input", { type: "password", name: "key", autocomplete: "off", required: true,
    "aria-label": "Access key" });
  const note = h("p", { role: "alert" }, message);
  const button = h("button", { type: "submit" }, "Show the dashboard");
  const form = h("form", { class: "key", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    await enter(input.value.trim(), note);
    button.disabled = false;
  } }, h("h1", {}, "This service wants a key"), note, h("p", {}, input), h("p", {}, button),
  h("p", { class: "dim small" }, "An access key of this service (auth.keys, or sluice keys create). " +
    "It stays in this tab and is sent to this service only."));
  main.replaceChildren(form);
  setShown(banner, false);
  setText(state, "");
  setShown(forget, false);
  input.focus();
}

// A key that is refused is not kept; one that may not do this very thing is a key all the same.
async function enter(given, note) {
  key.set(given);
  try {
    await ask("/v1/models");
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 401) {
      key.forget();
      setText(note, error instanceof Refused ? error.message
        : `Sluice does not answer (${error.message}).`);
      return;
    }
  }
  await begin();
}

function refused(error) {
  if (error instanceof Refused && error.status === 401) askForKey(error.message);
}

forget.addEventListener("click", () => {
  key.forget();
  numbers.samples = [];
  newest = null;
  begin();
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
  if (error instanceof Refused && error.status === 403) {
    setText(banner, rights.why("stats") || error.message);
    setShown(banner, true);
    setText(state, "no numbers");
    return;
  }
  const last = newest ? ` The numbers are of ${new Date(newest.created_at * 1000).toLocaleTimeString("en-GB")}.` : "";
  setText(banner, `Sluice does not answer (${error.message}).${last} Trying again in ${Math.ceil(inMs / 1000)} s.`);
  setShown(banner, true);
  setText(state, "no connection");
  setClass(state, "lost", true);
  setClass(document.body, "stale", true);
}

async function begin() {
  stream?.abort();
  stream = new AbortController();
  const { signal } = stream;
  setShown(forget, key.get() !== null);
  await rights.learn();
  if (signal.aborted) return;
  follow("/v1/stats/stream", signal, { data: onStats, lost: onLost });
  route();
}

/* ---- pages */

const VIEWS = {
  "": ["Overview", () => new Overview(numbers)],
  pools: ["Pools", (_, query) => new Pools(query)],
  jobs: ["Jobs", ([id]) => (id ? new Job(id) : new Jobs())],
  sessions: ["Sessions", ([id]) => (id ? new Session(id) : new Sessions())],
  costs: ["Costs", () => new Costs()],
  keys: ["Keys", () => new Keys()],
  settings: ["Settings", (path) => new Settings(path)],
};

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // shown as it is: the service will not know it
  }
}

function viewOf(path, query) {
  const [, name, ...rest] = path.split("/");
  const known = Object.hasOwn(VIEWS, name) ? name : "";
  const [title, make] = VIEWS[known];
  return [known, title, make(rest.filter(Boolean).map(decoded), query)];
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
    if (link.getAttribute("href") === `#/${name}`) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    } else {
      link.removeAttribute("aria-current");
    }
  }
  main.replaceChildren(view.element);
  view.start?.(page.stop.signal, { rights, refused });
  if (newest) view.update?.(newest);
}

window.addEventListener("hashchange", () => {
  if (page) route();
});
begin();
