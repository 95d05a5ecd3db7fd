// Pictures of the dashboard, made on the real thing: `node screenshots.mjs FOLDER`.
import { join } from "node:path";
import { sleep } from "../../support/program.mjs";
import { Load, Stack, chat, openBrowser, post } from "./stack.mjs";

const folder = process.argv[2];
if (!folder) throw new Error("usage: node screenshots.mjs FOLDER");
const LOAD_S = Number(process.env.LOAD_S ?? 100);
const WIDE = { width: 1280, height: 900 }, README = { x: 0, y: 0, width: 1280, height: 730 };
const PHONE = { width: 390, height: 844 };

async function shoot(browser, url, name, options = {}) {
  const { viewport = WIDE, colorScheme = "light", wait = 4000 } = options;
  const page = await browser.newPage({ viewport, colorScheme });
  await page.goto(url);
  await sleep(wait);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  await page.close();
}

const job = (model, extra) => ({ endpoint: "/v1/chat/completions", body: chat(model), ...extra });

async function main() {
  const empty = await Stack.start({ models: `
      - {name: gpt-4o, rpm: 500, tpm: 30000, max_parallel_requests: 16}` });
  const stack = await Stack.start();
  const browser = await openBrowser();
  try {
    await shoot(browser, empty.url, "idle");
    await shoot(browser, `${empty.url}/#/jobs`, "jobs-empty");
    const load = new Load(stack.url, 7);
    const ids = [];
    for (let i = 0; i < 12; i++)
      ids.push((await post(stack.url, "/v1/jobs", job(i % 3 ? "gpt-4o" : "o3", {
        priority: ["batch", "normal", "interactive"][i % 3], metadata: { document: `report ${i}` },
      }))).body.id);
    const light = await browser.newPage({ viewport: WIDE });
    const dark = await browser.newPage({ viewport: WIDE, colorScheme: "dark" });
    await light.goto(stack.url);
    await dark.goto(stack.url);
    await sleep(LOAD_S * 1000);
    for (const [page, name] of [[light, "light"], [dark, "dark"]]) {
      await page.screenshot({ path: join(folder, `full-${name}.png`), fullPage: true });
      await page.screenshot({ path: join(folder, `overview-${name}.png`), clip: README });
    }
    await light.locator(".chart .plot").first().hover();
    await light.screenshot({ path: join(folder, "cursor.png") });
    await shoot(browser, stack.url, "phone", { viewport: PHONE });
    await shoot(browser, `${stack.url}/#/pools`, "pools");
    for (let i = 0; i < 9; i++)
      await post(stack.url, "/v1/jobs", job(["gpt-4o", "o3", "gpt-4o-mini"][i % 3],
        { priority: i % 2 ? "batch" : "normal" }));
    await shoot(browser, `${stack.url}/#/jobs`, "jobs", { wait: 2500 });
    await shoot(browser, `${stack.url}/#/jobs/${ids[0]}`, "job", { colorScheme: "dark" });
    load.stop();
    await stack.service.end("SIGKILL");
    await sleep(4000);
    await light.screenshot({ path: join(folder, "gone.png") });
  } finally {
    await browser.close();
    await empty.stop();
    await stack.stop();
  }
}

await main();
