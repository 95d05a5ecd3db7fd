// A page whose every complaint is kept: errors, violations of its policy, requests elsewhere.
import assert from "node:assert/strict";
import { openBrowser } from "./stack.mjs";

export const WAIT_MS = 20000;

// Names that would act if any of them were taken for markup, a script or an address.
export const CORPUS = [
  "<img src=x onerror=window.pwned=1>", "<script>window.pwned=1</script>",
  "\"><svg onload=window.pwned=1>", "'><iframe srcdoc='<script>parent.pwned=1</script>'>",
  "javascript:window.pwned=1", "${window.pwned=1}", "{{constructor.constructor('pwned=1')()}}",
  "</title><script>window.pwned=1</script>", "<a href=javascript:window.pwned=1>x</a>",
  "&lt;b&gt;", "<style>*{display:none}</style>", "\u202e\u0000<b>x</b>", "<details open ontoggle=pwned=1>",
];

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.program = await openBrowser();
    return browser;
  }

  stop() {
    return this.program.close();
  }

  // origin: of what the page may ask, where it is not that of its first address.
  async open(url, options = {}, origin = new URL(url).origin) {
    const page = await this.program.newPage(options);
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(`error: ${error.message}`));
    page.on("console", (message) => {
      if (/Content.Security.Policy|violates/i.test(message.text())) page.complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:"))
        page.complaints.push(`asked ${request.url()}`);
    });
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`violates ${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.goto(url);
    return page;
  }
}

export async function closeClean(page) {
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(page.complaints, []);
  await page.close();
}

export const isLive = (page) =>
  page.waitForFunction(() => document.getElementById("state").textContent === "live");
