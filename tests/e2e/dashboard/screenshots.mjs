// Pictures of the dashboard, made on the real thing: `node screenshots.mjs FOLDER`.
import { join } from "node:path";
import { sleep } from "../../support/program.mjs";
import { Load, Stack, chat, openBrowser, post } from "./stack.mjs";

const folder = process.argv[2];
if (!folder) throw new Error("usage: node screenshots.mjs FOLDER");
const LOAD_S = Number(process.env.LOAD_S ?? 150);
const WIDE = { width: 1280, height: 900 }, PHONE = { width: 360, height: 780 };
const TENANTS = ["research", "support", "nightly"];
const CONFIG = `auth: {trust_tenant_header: true}
tenants:
  - {name: research, weight: 2}
  - {name: support, weight: 1}
  - {name: nightly, weight: 1}
`;
const LIMITED = `
      - {name: gpt-4o, rpm: 240, tpm: 300000, max_parallel_requests: 24}
      - {name: gpt-4o-mini, rpm: 400, tpm: 400000}
      - {name: "o3*", pool: o3, rpm: 40, tpm: 20000, max_parallel_requests: 4}`;

class Camera {
  constructor(browser) {
    this.browser = browser;
  }

  // steps: what is done with the page before the picture; height: of what is shown, else all of it.
  async shoot(url, name, { viewport = WIDE, colorScheme = "light", wait = 4000, height, steps } = {}) {
    const page = await this.browser.newPage({ viewport, colorScheme });
    await page.goto(url);
    await sleep(wait);
    await steps?.(page);
    await this.keep(page, name, height);
    await page.close();
  }

  keep(page, name, height) {
    const path = join(folder, `${name}.png`), { width } = page.viewportSize();
    return page.screenshot(height ? { path, clip: { x: 0, y: 0, width, height }, fullPage: true } : { path, fullPage: true });
  }
}

const job = (model, extra) => ({ endpoint: "/v1/chat/completions", body: chat(model), ...extra });

async function fillWithJobs(url, count) {
  const ids = [];
  for (let i = 0; i < count; i++)
    ids.push((await post(url, "/v1/jobs", job(i % 3 ? "gpt-4o" : "o3", {
      priority: ["batch", "normal", "interactive"][i % 3], metadata: { document: `report ${i}` },
    }))).body.id);
  return ids;
}

async function fillWithSessions(url) {
  for (const [i, preset] of ["aggressive", "balanced", "conservative"].entries()) {
    const { body } = await post(url, "/v1/sessions", { model: "gpt-4o-mini", preset, system: "You are brief." });
    for (let turn = 0; turn < 4 + 3 * i; turn++)
      await post(url, `/v1/sessions/${body.id}/messages`,
        { content: `What does line ${turn} of the report mean, and who wrote it?`, max_tokens: 100 });
  }
}

async function changeSettings(page) {
  await page.getByRole("button", { name: "balanced" }).click();
  await page.getByRole("slider", { name: "Max output tokens", exact: true }).focus();
  for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
  await sleep(1500);
}

async function empty(camera) {
  const stack = await Stack.start({ models: `
      - {name: "*", rpm: 500, tpm: 30000, max_parallel_requests: 16}` });
  try {
    await camera.shoot(stack.url, "empty", { height: 620 });
    await camera.shoot(`${stack.url}/#/jobs`, "jobs-empty");
    await camera.shoot(`${stack.url}/#/keys`, "keys");
  } finally {
    await stack.stop();
  }
}

// A provider that allows a quarter of what is configured, and says so only by refusing.
async function throttled(camera) {
  const stack = await Stack.start({ models: LIMITED, sim: ["--rpm", "60", "--tpm", "60000"] });
  const load = new Load(stack.url, 3);
  try {
    await camera.shoot(stack.url, "throttled", { wait: 45000, height: 960 });
  } finally {
    load.stop();
    await stack.stop();
  }
}

async function busy(camera) {
  const stack = await Stack.start({ models: LIMITED, more: CONFIG });
  const load = new Load(stack.url, 7, undefined, TENANTS);
  try {
    const ids = await fillWithJobs(stack.url, 12);
    await fillWithSessions(stack.url);
    const pages = await Promise.all(["light", "dark"].map((colorScheme) => camera.browser.newPage({ viewport: WIDE, colorScheme })));
    for (const page of pages) await page.goto(stack.url);
    await sleep(LOAD_S * 1000);
    for (const [i, name] of ["light", "dark"].entries()) {
      await camera.keep(pages[i], `full-${name}`);
      await camera.keep(pages[i], `overview-${name}`, 840);
      await camera.shoot(`${stack.url}/#/settings/openai/gpt-4o`, `settings-${name}`, { colorScheme: name, steps: changeSettings });
    }
    await pages[0].locator(".chart .plot").first().hover();
    await camera.keep(pages[0], "cursor");
    await camera.shoot(stack.url, "phone", { viewport: PHONE, colorScheme: "dark", height: 1080, wait: 25000 });
    await fillWithJobs(stack.url, 9);
    for (const name of ["pools", "jobs", "sessions", "costs"]) await camera.shoot(`${stack.url}/#/${name}`, name, { wait: 2500 });
    await camera.shoot(`${stack.url}/#/jobs/${ids[0]}`, "job", { colorScheme: "dark" });
    load.stop();
    await stack.service.end("SIGKILL");
    await sleep(4000);
    await camera.keep(pages[0], "gone");
  } finally {
    load.stop();
    await stack.stop();
  }
}

const browser = await openBrowser();
try {
  const camera = new Camera(browser);
  for (const one of [empty, throttled, busy]) await one(camera);
} finally {
  await browser.close();
}
