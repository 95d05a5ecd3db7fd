// A simulated provider, services in front of it, callers, and a browser.
import { once, setMaxListeners } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Program, sleep } from "../../support/program.mjs";
import { Random } from "../../support/random.mjs";

export const DEFAULT_MODELS = `
      - {name: gpt-4o, rpm: 600, tpm: 90000, max_parallel_requests: 24}
      - {name: gpt-4o-mini, rpm: 1200, tpm: 150000}
      - {name: "o3*", pool: o3, rpm: 40, tpm: 20000, max_parallel_requests: 4}`;

// Stands before the simulator and keeps what is sent to it.
class Recorder {
  static async start(target) {
    const recorder = new Recorder();
    recorder.bodies = [];
    recorder.server = createServer(async (request, answer) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      const body = Buffer.concat(parts);
      if (body.length > 0) recorder.bodies.push(JSON.parse(body));
      const { host: _, ...headers } = request.headers;
      const there = ask(target + request.url, { method: request.method, headers }, (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      there.on("error", () => answer.destroy());
      there.end(body);
    });
    recorder.server.listen(0, "127.0.0.1");
    await once(recorder.server, "listening");
    return recorder;
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export class Stack {
  // recorded: what is sent to the simulator is kept in recorder.bodies.
  static async start({ models = DEFAULT_MODELS, more = "", sim = [], recorded = false } = {}) {
    const stack = new Stack();
    stack.folder = mkdtempSync(join(tmpdir(), "sluice-dashboard-"));
    stack.programs = [];
    stack.simulator = await stack.program(["simulate", "--listen", "127.0.0.1:0", "--rpm", "100000",
      "--tpm", "100000000", "--latency-ms", "400", ...sim]);
    if (recorded) stack.recorder = await Recorder.start(stack.simulator.url);
    stack.config = join(stack.folder, "sluice.yaml");
    writeFileSync(stack.config, `data_dir: ${stack.folder}/data
drain_timeout_ms: 2000
providers:
  - name: openai
    format: openai
    base_url: ${(stack.recorder ?? stack.simulator).url}/v1
    api_key: sk-of-the-simulator
    models:${models}
${more}`);
    stack.service = await stack.serve("127.0.0.1:0");
    return stack;
  }

  async program(args) {
    const program = await Program.start(args, join(this.folder, `${args[0]}.log`));
    this.programs.unshift(program);
    return program;
  }

  serve(listen) {
    return this.program(["serve", "--config", this.config, "--listen", listen]);
  }

  get url() {
    return this.service.url;
  }

  async stop() {
    for (const program of this.programs) await program.end();
    this.recorder?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function post(base, path, body, headers = {}, signal = undefined) {
  const answer = await fetch(base + path, {
    method: "POST", body: JSON.stringify(body), signal,
    headers: { "content-type": "application/json", ...headers },
  });
  return { status: answer.status, body: await answer.json() };
}

export const chat = (model, extra = {}) =>
  ({ model, max_tokens: 300, messages: [{ role: "user", content: "Say something." }], ...extra });

const MANY = [
  ...Array.from({ length: 14 }, () => ["gpt-4o", "interactive", 500]),
  ...Array.from({ length: 20 }, () => ["gpt-4o", "batch", 1500]),
  ...Array.from({ length: 12 }, () => ["gpt-4o", "normal", 900]),
  ...Array.from({ length: 8 }, () => ["gpt-4o-mini", "normal", 400]),
  ...Array.from({ length: 10 }, () => ["o3-mini", "normal", 700]),
];

// Callers (model, class, most words), each with one call after the other until it is stopped, in
// turn for the tenants.
export class Load {
  constructor(base, seed, callers = MANY, tenants = []) {
    this.base = base;
    this.left = new AbortController();
    setMaxListeners(0, this.left.signal); // every call listens
    callers.forEach((caller, i) => this.call(...caller, new Random(seed + i),
      tenants.length > 0 ? { "x-sluice-tenant": tenants[i % tenants.length] } : {}));
  }

  async call(model, priority, size, random, more) {
    await sleep(random.below(1500));
    while (!this.left.signal.aborted) {
      const body = chat(model, {
        messages: [{ role: "user", content: "many words ".repeat(random.between(10, size)) }],
        max_tokens: random.between(50, 400),
      });
      await post(this.base, "/v1/chat/completions", body, { "x-sluice-priority": priority, ...more },
        this.left.signal).catch(() => {});
      await sleep(random.below(600));
    }
  }

  stop() {
    this.left.abort();
  }
}

export async function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
}
