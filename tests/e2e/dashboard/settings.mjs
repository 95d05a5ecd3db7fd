// Settings: nothing is applied before it is saved; what is saved holds at once, on all instances,
// after a reload, and until it is reset.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { getJson, simulatorCalls, until } from "../../support/program.mjs";
import { RedisServer } from "../../support/redis_server.mjs";
import { Browser, CORPUS, WAIT_MS, closeClean } from "./browser.mjs";
import { Stack, chat, post } from "./stack.mjs";

const MODEL = "gpt-4o-mini";

describe("settings", () => {
  let browser, folder, redis, stack, other;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-settings-"));
    redis = await RedisServer.start(folder);
    stack = await Stack.start({ recorded: true, more: `redis: {url: "${redis.url}"}\n` });
    other = await stack.serve("127.0.0.1:0");
    browser = await Browser.start();
  });

  after(async () => {
    await browser?.stop();
    await stack?.stop();
    await redis?.end();
    rmSync(folder, { recursive: true, force: true });
  });

  const path = (model = MODEL) => `/v1/settings/openai/${model}`;
  const open = (base = stack.url, model = MODEL) => browser.open(`${base}/#/settings/openai/${model}`);
  const slider = (page, name) => page.getByRole("slider", { name, exact: true });
  const save = (page) => page.getByRole("button", { name: "Save", exact: true });
  const saved = async (base, model) => (await getJson(base + path(model))).saved;

  // The most tokens of the answer that the newest request at the provider allows.
  async function sentMost(base) {
    const { max_tokens: _, ...body } = chat(MODEL);
    assert.equal((await post(base, "/v1/chat/completions", body)).status, 200);
    return stack.recorder.bodies.at(-1).max_tokens;
  }

  test("a slider that is moved and saved changes the next request, on another instance too", async () => {
    const page = await open();
    const before = await sentMost(stack.url);
    await slider(page, "Max output tokens").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    assert.equal(await slider(page, "Max output tokens").inputValue(), String(1000 + 2 * 512));
    assert.equal(await sentMost(stack.url), before, "nothing is applied before it is saved");
    await save(page).click();
    await until("it is saved", WAIT_MS, async () => (await saved(stack.url))?.max_output_tokens === 2024);
    assert.equal(await sentMost(stack.url), 2024);
    await until("the other instance knows", WAIT_MS, async () => (await saved(other.url))?.max_output_tokens === 2024);
    assert.equal(await sentMost(other.url), 2024);

    await page.reload();
    await until("it is shown after a reload", WAIT_MS, async () => await slider(page, "Max output tokens").inputValue() === "2024");
    assert.match(await page.locator('[data-setting="max_output_tokens"] .from').textContent(), /In effect: 2,024, saved here/);
    await page.getByRole("button", { name: "Reset to default" }).click();
    await page.getByRole("button", { name: "Reset", exact: true }).click();
    await until("nothing is saved", WAIT_MS, async () => await saved(other.url) === null);
    assert.equal(await sentMost(other.url), before);
    await closeClean(page);
  });

  test("the sliders have the ranges of the service, and its seeds until something is saved", async () => {
    const page = await open(stack.url, "gpt-4o");
    const wanted = { "Max output tokens": ["1000", "100000", "512"], "Temperature": ["0", "2", "0.1"], "Max iterations": ["1", "25", "1"] };
    for (const [name, range] of Object.entries(wanted))
      assert.deepEqual(await slider(page, name).evaluate((one) => [one.min, one.max, one.step]), range);
    assert.match(await page.locator('[data-setting="max_output_tokens"] .from').textContent(), /Not set; suggested: 16,384/);
    assert.equal(await slider(page, "Temperature").inputValue(), "0.7");
    assert.equal(await slider(page, "Max iterations").inputValue(), "15");
    assert.equal(await save(page).isDisabled(), true);
    assert.deepEqual(await page.locator(".below ol li b").allTextContents(), (await getJson(`${stack.url}/v1/settings`)).precedence);
    await closeClean(page);
  });

  test("what one page saves another shows; what both change is not overwritten", async () => {
    const [one, two] = [await open(), await open(other.url)];
    await slider(one, "Temperature").focus();
    await one.keyboard.press("Home");
    await save(one).click();
    await until("the other page shows it", WAIT_MS, async () => await slider(two, "Temperature").inputValue() === "0");
    await slider(two, "Max iterations").focus();
    await two.keyboard.press("End");
    await slider(one, "Temperature").focus();
    await one.keyboard.press("ArrowRight");
    await save(one).click();
    await until("the first is saved", WAIT_MS, async () => (await saved(other.url))?.temperature === 0.1);
    await save(two).click();
    await two.getByText("Discard your changes").waitFor();
    assert.equal((await saved(stack.url)).max_iterations, null);
    await two.getByRole("button", { name: "Discard changes" }).click();
    await until("it shows what is saved", WAIT_MS, async () => await slider(two, "Temperature").inputValue() === "0.1");
    await fetch(stack.url + path(), { method: "DELETE" });
    await closeClean(one);
    await closeClean(two);
  });

  test("limits that are saved are those of the pool", async () => {
    const page = await open(stack.url, "gpt-4o");
    await page.getByText("Limits of the pool").click();
    await page.getByLabel("tokens/min", { exact: true }).fill("45000");
    await page.keyboard.press("Tab");
    await save(page).click();
    await until("the pool has it", WAIT_MS, async () => (await getJson(`${other.url}/v1/stats`)).pools
      .find(({ pool }) => pool === "openai:default:gpt-4o").limits.tpm.configured === 45000);
    await fetch(stack.url + path("gpt-4o"), { method: "DELETE" });
    await closeClean(page);
  });

  test("the preview shows what the service would cut", async () => {
    const page = await open();
    await page.getByText("Try it on your own conversation").click();
    const messages = [{ role: "user", content: "Look it up." },
      { role: "assistant", content: null, tool_calls: [{ id: "c", type: "function", function: { name: "find", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "c", content: "row ".repeat(900) },
      { role: "assistant", content: "Found <b>it</b>." }, { role: "user", content: "Thanks." }];
    await page.getByLabel("Conversation as JSON").fill(JSON.stringify(messages));
    for (const preset of ["aggressive", "balanced", "conservative"]) {
      await page.getByRole("button", { name: preset }).click();
      const { body: report } = await post(stack.url, "/v1/context/trim", { body: { model: MODEL, messages }, preset, max_context_tokens: 0 });
      const told = [report.before, report.after].map(({ tokens, messages: n }) => `${tokens.toLocaleString("en-US")} tokens, ${n} messages`);
      await until(`the preview of ${preset}`, WAIT_MS, async () =>
        JSON.stringify(await page.locator(".sizes b").allTextContents()) === JSON.stringify(told));
    }
    assert.equal(await page.locator(".messages b").filter({ hasText: /^it$/ }).count(), 0, "its text is no markup");
    await page.getByLabel("Conversation as JSON").fill("{");
    await page.getByText("This is no JSON").waitFor();
    assert.equal((await simulatorCalls(stack.simulator.url)).filter((call) => call.status !== 200).length, 0);
    await closeClean(page);
  });

  test("models whose names are markup are text", async () => {
    const page = await open();
    for (const name of CORPUS.map((one) => one.replaceAll("\u0000", "")).filter((one) => one.length <= 96)) {
      await page.getByLabel("Another model of this provider").fill(name);
      await page.getByRole("button", { name: "Show", exact: true }).click();
      await until("an answer", WAIT_MS, () => page.evaluate((text) =>
        document.querySelector("#model").value.includes(text) || !document.querySelector(".note.bad").hidden, name));
    }
    assert.equal(await page.locator("#main img, #main iframe, #main script, #main style").count(), 0);
    await closeClean(page);
  });

  test("the whole page can be worked by keyboard, and what has the focus is seen", async () => {
    const page = await open();
    await slider(page, "Temperature").waitFor();
    const seen = new Set();
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const found = await page.evaluate(() => {
        const one = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        return { name: one.ariaLabel ?? one.labels?.[0]?.textContent ?? one.textContent, isBody: one === document.body,
          outlined: outlineStyle !== "none" && outlineWidth !== "0px" };
      });
      if (found.isBody) break;
      assert.ok(found.outlined, `the focus on ${found.name} is seen`);
      seen.add(found.name.trim());
    }
    for (const name of ["Overview", "Settings", "Model", "Max output tokens", "Temperature", "Max iterations", "balanced", "Limits of the pool"])
      assert.ok(seen.has(name), `${name} is reached (${[...seen].join(", ")})`);
    await slider(page, "Temperature").focus();
    await page.keyboard.press("ArrowRight");
    await save(page).focus();
    await page.keyboard.press("Enter");
    await until("it is saved", WAIT_MS, async () => await saved(stack.url) !== null);
    await page.getByRole("button", { name: "Reset to default" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.notEqual(await saved(stack.url), null, "Escape says no");
    await closeClean(page);
  });

  test("a key without the scope admin sees all and is told why it may not change it", async (t) => {
    const READER = "sk-reader-0123456789abcdef";
    const own = await Stack.start({ more: `auth: {keys: [{key: ${READER}, scopes: "stats,proxy"}, {key: sk-admin-0123456789abcdef}]}\n` });
    t.after(() => own.stop());
    const page = await open(own.url);
    await page.getByLabel("Access key").fill(READER);
    await page.getByRole("button", { name: "Show the dashboard" }).click();
    await page.getByText("Read only: your key has not the scope “admin”.").waitFor();
    for (const name of ["Max output tokens", "Temperature", "Max iterations"]) {
      await slider(page, name).waitFor();
      assert.equal(await slider(page, name).isDisabled(), true);
      assert.match(await slider(page, name).getAttribute("title"), /scope “admin”/);
    }
    assert.equal(await save(page).isDisabled(), true);
    await page.locator(".sizes b").first().waitFor();
    await closeClean(page);
  });
});
