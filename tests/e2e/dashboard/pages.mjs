// Keys, sessions, costs, and what a key with few rights sees of it all.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getJson, until } from "../../support/program.mjs";
import { Browser, CORPUS, WAIT_MS, closeClean, isLive } from "./browser.mjs";
import { Stack, chat, post } from "./stack.mjs";

const ADMIN = "sk-admin-0123456789abcdef0", READER = "sk-reader-0123456789abcdef";
const KEYS = `auth: {keys: [{key: ${ADMIN}, tenant: operators, scopes: admin},
  {key: ${READER}, tenant: readers, scopes: "stats,proxy"}]}\n`;
const auth = (key) => ({ authorization: `Bearer ${key}` });
const texts = CORPUS.map((one) => one.replaceAll("\u0000", ""));

describe("pages", () => {
  let browser, stack;

  before(async () => {
    stack = await Stack.start({ more: KEYS });
    browser = await Browser.start();
  });

  after(async () => {
    await browser?.stop();
    await stack?.stop();
  });

  async function enter(key, hash = "") {
    const page = await browser.open(`${stack.url}/${hash}`);
    await page.getByLabel("Access key").fill(key);
    await page.getByRole("button", { name: "Show the dashboard" }).click();
    await isLive(page);
    return page;
  }

  const ask = (path) => getJson(stack.url + path, auth(ADMIN));

  test("a key is made, shown once, opens the service, is rotated and revoked", async () => {
    const page = await enter(ADMIN, "#/keys");
    await page.getByLabel("Name").fill("of a test");
    await page.getByLabel("Tenant").fill("acme");
    await page.getByLabel("Models").fill("gpt-4o, gpt-4o-mini");
    await page.getByRole("button", { name: "Make a key" }).click();
    const made = await page.locator(".secret code").textContent();
    assert.match(made, /^sk-sluice-[0-9a-f]{48}$/);
    assert.equal((await post(stack.url, "/v1/chat/completions", chat("gpt-4o"), auth(made))).status, 200);
    const row = page.locator("tbody tr").filter({ hasText: "of a test" });
    await row.waitFor();
    assert.match(await row.textContent(), /acme.*proxy, jobs.*gpt-4o, gpt-4o-mini.*never/);
    await row.getByRole("button", { name: "Rotate" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
    await until("another key is shown", WAIT_MS, async () => await page.locator(".secret code").textContent() !== made);
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "No" }).click();
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await row.waitFor({ state: "detached" });
    await until("it opens nothing", WAIT_MS, async () =>
      (await post(stack.url, "/v1/chat/completions", chat("gpt-4o"), auth(made))).status === 401);
    await page.reload();
    await page.locator("tbody tr").first().waitFor();
    assert.equal(await page.locator(".secret").count(), 0, "it is shown once");
    assert.equal(await page.locator("tbody tr").filter({ hasText: "operators" }).getByRole("button", { name: "Revoke" }).isDisabled(), true);
    await closeClean(page);
  });

  test("the first key closes an open service, but not to the tab that made it", async (t) => {
    const own = await Stack.start();
    t.after(() => own.stop());
    const page = await browser.open(`${own.url}/#/keys`);
    await page.getByText("No keys: this service is open").waitFor();
    assert.equal(await page.getByRole("checkbox", { name: /^admin/ }).isChecked(), true);
    await page.getByLabel("Name").fill("first");
    await page.getByRole("button", { name: "Make a key" }).click();
    await page.locator("tbody tr").filter({ hasText: "first" }).waitFor();
    const made = await page.locator(".secret code").textContent();
    assert.equal((await fetch(`${own.url}/v1/stats`)).status, 401);
    assert.equal((await fetch(`${own.url}/v1/stats`, { headers: auth(made) })).status, 200);
    await page.reload();
    await page.locator("tbody tr").filter({ hasText: "first" }).waitFor();
    await closeClean(page);
  });

  test("names of keys and texts of sessions with markup in them are text", async () => {
    const shown = [];
    for (const name of texts) {
      const { status } = await post(stack.url, "/v1/admin/keys", { name: name.slice(0, 60) }, auth(ADMIN));
      if (status === 201) shown.push(name.slice(0, 60));
      else assert.ok(status < 500, `${status} for ${name}`);
    }
    assert.ok(shown.length >= 8, `the service takes such names (${shown.length}), so the page must stand them`);
    const page = await enter(ADMIN, "#/keys");
    await page.waitForFunction((n) => document.querySelectorAll("tbody tr").length >= n, shown.length);
    const rows = await page.locator("tbody tr").allTextContents();
    for (const name of shown) assert.ok(rows.some((row) => row.includes(name)), `${name} is listed as it is`);

    const { body: session } = await post(stack.url, "/v1/sessions", { model: "gpt-4o-mini", system: texts.join(" "), metadata: { [texts[0]]: texts } }, auth(ADMIN));
    for (const text of texts.slice(0, 4)) {
      const { status } = await post(stack.url, `/v1/sessions/${session.id}/messages`, { content: text, max_tokens: 10 }, auth(ADMIN));
      assert.equal(status, 200);
    }
    await page.goto(`${stack.url}/#/sessions/${session.id}`);
    for (const text of texts.slice(0, 4)) await page.getByText(text, { exact: false }).first().waitFor();
    assert.equal(await page.locator("#main img, #main iframe, #main script, #main style").count(), 0);
    await closeClean(page);
  });

  test("a session is listed with its statistics, shown with its context, and cleared", async () => {
    const { body: made } = await post(stack.url, "/v1/sessions", { model: "gpt-4o-mini", preset: "aggressive" }, auth(ADMIN));
    for (let i = 0; i < 3; i++)
      await post(stack.url, `/v1/sessions/${made.id}/messages`, { content: `Line ${i}? ${"word ".repeat(100)}`, max_tokens: 20 }, auth(ADMIN));
    const { statistics } = await ask(`/v1/sessions/${made.id}`);
    const page = await enter(ADMIN, "#/sessions");
    const row = page.locator("tbody tr", { has: page.locator(`a[title="${made.id}"]`) });
    await until("its numbers", WAIT_MS, async () => /gpt-4o-mini.* 6/.test((await row.locator("td").allTextContents()).join(" ")));
    await row.getByRole("link").click();
    await until("its statistics", WAIT_MS, async () => (await page.locator(".stats").textContent())
      .includes(`Billed in${statistics.input_tokens.toLocaleString("en-US")}`));
    assert.equal(await page.locator(".messages li").count(), 6);
    await page.getByRole("button", { name: "Clear history" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Clear" }).click();
    await page.getByText("No messages yet.").waitFor();
    assert.equal((await ask(`/v1/sessions/${made.id}`)).messages.length, 0);
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Sessions", exact: true }).waitFor();
    await closeClean(page);
  });

  test("costs on the page are those of /v1/costs, by model, tenant and key", async () => {
    for (const model of ["gpt-4o", "gpt-4o-mini"])
      assert.equal((await post(stack.url, "/v1/chat/completions", chat(model), auth(ADMIN))).status, 200);
    const page = await enter(ADMIN, "#/costs");
    for (const [by, title] of [["model", "Models"], ["tenant", "Tenants"], ["key", "Keys"]]) {
      await page.getByRole("button", { name: title, exact: true }).click();
      await until(`the costs by ${by}`, WAIT_MS, async () => {
        const { data, total } = await ask(`/v1/costs?group_by=${by}`);
        const rows = await page.locator("section", { hasText: "By whom" }).locator("tbody tr").allTextContents();
        return data.length > 0 && rows.length === data.length &&
          data.every((one, i) => rows[i].startsWith(one[by] ?? "without a key") && rows[i].includes(String(one.requests))) &&
          (await page.locator(".stats").textContent()).includes(`Requests${total.requests}`);
      });
    }
    const { data } = await ask("/v1/costs/budgets");
    assert.equal(await page.locator("section", { hasText: "Budgets" }).locator("tbody tr").count(), data.length);
    await closeClean(page);
  });

  test("a key without the scope admin reads, and is told why it may not write", async () => {
    const page = await enter(READER, "#/keys");
    await page.getByText("Read only: your key has not the scope “admin”.").waitFor();
    await until("the form is off", WAIT_MS, () => page.getByRole("button", { name: "Make a key" }).isDisabled());
    await page.goto(`${stack.url}/#/jobs`);
    await page.getByText("has not the scope 'jobs'").waitFor();
    await page.goto(`${stack.url}/#/`);
    await page.locator(".card").first().waitFor();
    await closeClean(page);
  });

  test("the key is in no address, storage of the browser but the tab's, or page", async () => {
    const page = await enter(ADMIN, "#/keys");
    await page.locator("tbody tr").first().waitFor();
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    assert.equal((await page.content()).includes(ADMIN), false);
    assert.equal(page.url().includes(ADMIN), false);
    await closeClean(page);
  });
});
