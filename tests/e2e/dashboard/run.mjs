// All of the dashboard: this file, settings.mjs and pages.mjs.
// What a person sees is what /v1/stats says, under load; names with markup in them stay text; the
// page's own policy is never broken; a service that goes away and comes back is noticed.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { getJson, until } from "../../support/program.mjs";
import { Browser, CORPUS, WAIT_MS, closeClean, isLive } from "./browser.mjs";
import { Load, Stack, chat, post } from "./stack.mjs";
import "./pages.mjs";
import "./settings.mjs";

const KEY = "sk-dashboard-0123456789abcdef";
let browser, stack;

async function ownStack(t, options) {
  const own = await Stack.start(options);
  t.after(() => own.stop());
  return own;
}

// Whether anything but grey is drawn on each canvas: grid, axes and labels are.
const coloured = (all) => all.map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 0 && Math.max(data[i], data[i + 1], data[i + 2]) -
      Math.min(data[i], data[i + 1], data[i + 2]) > 60) return true;
  return false;
});

const tile = (page, name) =>
  page.locator(".tile", { has: page.getByText(name, { exact: true }) }).locator("b").textContent();
const number = (text) => Number(text.replaceAll(",", ""));

before(async () => {
  stack = await Stack.start({ models: `
      - {name: gpt-4o, rpm: 6000, tpm: 4000, max_parallel_requests: 8}
      - {name: "*", pool: rest, rpm: 6000, tpm: 6000000}` });
  browser = await Browser.start();
});

after(async () => {
  await browser?.stop();
  await stack?.stop();
});

test("the numbers on the page are those of /v1/stats, under load", async (t) => {
  const page = await browser.open(stack.url);
  const load = new Load(stack.url, 1, [["gpt-4o", "interactive", 60], ["gpt-4o", "normal", 80],
    ["gpt-4o", "batch", 80], ["gpt-4o", "batch", 80], ["gpt-4o-mini", "normal", 60]]);
  t.after(() => load.stop());
  await until("something waits on the page", WAIT_MS, async () => number(await tile(page, "Waiting")) > 0);
  const seen = [];
  // They change all the while, so a view of before or after the look may be what is shown.
  await until("a look between two equal answers", WAIT_MS, async () => {
    const first = await getJson(`${stack.url}/v1/stats`);
    const shown = {
      requests: number(await tile(page, "Requests")), waiting: number(await tile(page, "Waiting")),
      avoided: number(await tile(page, "429s avoided")), refused: number(await tile(page, "429s received")),
    };
    const { counts } = first.totals;
    const told = {
      requests: counts.admitted + counts.delayed,
      waiting: first.pools.flatMap((pool) => Object.values(pool.queue)).reduce((n, q) => n + q.depth, 0),
      avoided: counts.delayed, refused: counts.provider_429,
    };
    seen.push({ shown, told });
    return JSON.stringify(shown) === JSON.stringify(told);
  }, 50).catch((error) => assert.fail(`${error.message}: ${JSON.stringify(seen.slice(-3))}`));

  const card = page.locator('[data-pool="openai:default:gpt-4o"]');
  await until("the card says what binds", WAIT_MS, async () =>
    /starts in about .*, bound by tokens\/min/.test(await card.locator(".start").textContent()));
  assert.match(await card.locator(".limits li.binding").textContent(), /^tokens\/min.* of 4,000/);
  const fill = await card.locator(".limits li.binding .bar i").evaluate((node) => node.style.inlineSize);
  assert.ok(parseFloat(fill) < 50, `the bar of the limit that binds is at ${fill}`);
  await until("the charts have lines", WAIT_MS, async () =>
    (await page.locator(".chart canvas").evaluateAll(coloured)).filter(Boolean).length >= 3);
  assert.equal(await page.locator(".badge:visible").count() > 0,
    await page.locator(".card.troubled").count() > 0);
  await closeClean(page);
});

test("counters lead to the table of pools, which can be ordered and searched", async () => {
  const page = await browser.open(stack.url);
  await page.locator(".tile").filter({ hasText: "429s avoided" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
  assert.equal(await page.locator("th[aria-sort=descending]").textContent(), "429s avoided");
  assert.match(await page.locator("tbody tr").first().textContent(), /^gpt-4o/);
  await page.getByRole("searchbox").fill("rest");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  assert.match(await page.locator("tbody tr").textContent(), /^rest/);
  await closeClean(page);
});

test("names with markup in them are shown as text", async () => {
  const ids = [];
  for (const text of CORPUS) {
    const name = text.replaceAll("\u0000", "");
    const { status, body } = await post(stack.url, "/v1/jobs", {
      endpoint: "/v1/chat/completions", body: chat(name, { user: name }),
      metadata: { [name]: [name] },
    });
    if (status === 202) ids.push([body.id, name]);
    else assert.ok(status < 500, `${status} for ${name}`);
  }
  assert.ok(ids.length >= 8, "the service takes such names, so the page must stand them");
  const page = await browser.open(`${stack.url}/#/jobs`);
  await page.waitForFunction((n) => document.querySelectorAll("tbody tr").length >= n, ids.length);
  const listed = await page.locator("tbody tr").allTextContents();
  for (const [, name] of ids)
    assert.ok(listed.some((row) => row.includes(name)), `${name} is listed as it is`);
  for (const [id, name] of ids) {
    await page.goto(`${stack.url}/#/jobs/${id}`);
    await page.waitForFunction((word) =>
      document.querySelector("dl")?.textContent.includes(word), name);
    assert.ok((await page.locator("#main").textContent()).includes(JSON.stringify(name)));
  }
  assert.equal(await page.locator("#main img, #main iframe, #main script, #main style").count(), 0);
  for (const text of CORPUS) {
    await page.goto(`${stack.url}/#/jobs/${encodeURIComponent(text)}`);
    await page.waitForFunction(() => !document.querySelector(".error")?.hidden);
    await page.goto(`${stack.url}/#${text}`);
  }
  await closeClean(page);
});

test("a job is shown with its place, and can be cancelled", async (t) => {
  const load = new Load(stack.url, 2, Array.from({ length: 6 }, () => ["gpt-4o", "interactive", 80]));
  t.after(() => load.stop());
  const { body } = await post(stack.url, "/v1/jobs", { endpoint: "/v1/chat/completions",
    body: chat("gpt-4o", { max_tokens: 3000 }), priority: "batch" });
  const page = await browser.open(`${stack.url}/#/jobs/${body.id}`);
  await until("the page has its place", WAIT_MS, async () =>
    /Position\d/.test(await page.locator("dl").textContent()));
  assert.match(await page.locator(".timeline").textContent(), /submitted.*queuedwaits for .* · place \d+ in the queue · starts in/);
  await page.getByRole("button", { name: "Cancel this job" }).click();
  await until("the page says it is cancelled", WAIT_MS, async () =>
    (await page.locator(".pill").textContent()) === "cancelled");
  assert.equal((await getJson(`${stack.url}/v1/jobs/${body.id}`)).status, "cancelled");
  assert.equal(await page.getByRole("button", { name: "Cancel this job" }).isVisible(), false);
  await closeClean(page);
});

test("a job that has ended tells its way, and can be submitted again", async () => {
  const { body } = await post(stack.url, "/v1/jobs", { endpoint: "/v1/chat/completions",
    body: chat("gpt-4o-mini") });
  const page = await browser.open(`${stack.url}/#/jobs/${body.id}`);
  await page.getByRole("button", { name: "Submit it again" }).click();
  await page.waitForFunction((id) => !location.hash.endsWith(id) &&
    document.querySelector(".pill")?.textContent === "succeeded", body.id);
  assert.ok(await page.getByRole("link", { name: body.id }).isVisible());
  const steps = await page.locator(".timeline li > b").allTextContents();
  assert.deepEqual(steps, ["submitted", "queued", "granted", "succeeded"]);
  await closeClean(page);
});

test("keyboard: skip link, menu, cursor in a chart", async () => {
  const page = await browser.open(stack.url);
  await until("numbers", WAIT_MS, async () => (await tile(page, "Waiting")) !== "–");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await until("the content is focused", WAIT_MS, () =>
    page.evaluate(() => document.activeElement.id === "main"));
  await until("two samples", WAIT_MS, async () => {
    await page.locator(".chart .plot").nth(1).focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    return (await page.locator(".chart time").nth(1).textContent()) !== "now";
  });
  await closeClean(page);
});

test("the charts begin with the past that the service keeps", async () => {
  const minute = Math.floor(Date.now() / 60000) * 60, times = Array.from({ length: 10 }, (_, i) => minute - 60 * (10 - i));
  const page = await browser.open("about:blank", {}, stack.url);
  const asked = [];
  await page.route("**/v1/stats/history?*", (route) => {
    asked.push(new URL(route.request().url()).searchParams);
    const series = Object.fromEntries(asked.at(-1).get("metrics").split(",").map((name) => [name, times.map(() => 1000)]));
    return route.fulfill({ json: { object: "stats.history", step: 60, from: times[0], to: minute, times, series } });
  });
  await page.goto(stack.url);
  await until("the first point is of the past", WAIT_MS, async () => {
    await page.locator(".chart .plot").first().focus();
    await page.keyboard.press("Home");
    const shown = await page.locator(".chart").first().textContent();
    return shown.includes(new Date((times[0] + 30) * 1000).toLocaleTimeString("en-GB")) || shown.includes(new Date((times[1] + 30) * 1000).toLocaleTimeString("en-GB"));
  });
  assert.match(await page.locator(".chart").first().textContent(), /used 2,000.*reserved 1,000/);
  await page.getByRole("button", { name: "7 d" }).click();
  await until("hours are asked for", WAIT_MS, () => asked.at(-1).get("step") === "3600");
  assert.equal(await page.getByRole("button", { name: "7 d" }).getAttribute("aria-pressed"), "true");
  await closeClean(page);
  const real = await fetch(`${stack.url}/v1/stats/history?${asked[0]}`);
  assert.equal(real.status, 200, "the service knows what the page asks for");
});

test("a phone's width needs no scrolling to the side", async () => {
  for (const hash of ["", "#/pools", "#/jobs", "#/sessions", "#/costs", "#/settings", "#/keys"]) {
    const page = await browser.open(`${stack.url}/${hash}`, { viewport: { width: 360, height: 780 } });
    await isLive(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, hash);
    await closeClean(page);
  }
});

test("with keys the page asks for one, keeps it for the tab and can forget it", async (t) => {
  const own = await ownStack(t, { more: `auth: {keys: [{key: ${KEY}}]}\n` });
  const page = await browser.open(own.url);
  await page.getByLabel("Access key").fill("sk-wrong-0123456789abcdef0");
  await page.getByRole("button", { name: "Show the dashboard" }).click();
  await page.waitForFunction(() => document.querySelector("#main form p")?.textContent.includes("not one of"));
  await page.getByLabel("Access key").fill(KEY);
  await page.getByRole("button", { name: "Show the dashboard" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 3);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 3);
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  await page.getByRole("button", { name: "Forget key" }).click();
  await page.getByLabel("Access key").waitFor();
  await closeClean(page);
});

test("when the service goes the page says so, and goes on when it is back", async (t) => {
  const own = await ownStack(t);
  const page = await browser.open(own.url);
  await isLive(page);
  const address = own.url.replace("http://", "");
  await own.service.end("SIGKILL");
  await page.waitForFunction(() => document.getElementById("banner").textContent.includes("does not answer"));
  own.service = await own.serve(address);
  await page.waitForFunction(() => document.getElementById("state").textContent === "live" &&
    document.getElementById("banner").hidden);
  await closeClean(page);
});

test("without pools the page says what to do", async (t) => {
  const own = await ownStack(t);
  writeFileSync(join(own.folder, "sluice.yaml"), `data_dir: ${own.folder}/data2
providers: [{name: sim, format: openai, base_url: "${own.simulator.url}/v1", models: [{name: "*", rpm: 60}]}]\n`);
  const other = await own.serve("127.0.0.1:0");
  const page = await browser.open(other.url);
  await page.getByRole("heading", { name: "No pools yet" }).waitFor();
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  await page.getByRole("heading", { name: "No jobs" }).waitFor();
  await closeClean(page);
});
