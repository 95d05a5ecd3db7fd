// promtool finds nothing wrong with /metrics under load, nor with what deploy/ makes of it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Program, until } from "../../support/program.mjs";

const deploy = join(process.env.SLUICE_SOURCE, "deploy");
const folder = mkdtempSync(join(tmpdir(), "sluice-metrics-"));
const programs = [];
let url;

const promtool = (args, input) => {
  const run = spawnSync(process.env.PROMTOOL, args, { input, encoding: "utf8" });
  assert.equal(run.status, 0, `promtool ${args.join(" ")}: ${run.stdout}${run.stderr}`);
  return run.stdout + run.stderr;
};

const metrics = async () => (await fetch(`${url}/metrics`)).text();

async function call(model) {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, max_tokens: 20, messages: [{ role: "user", content: "hello" }] }),
  });
  await answer.arrayBuffer();
}

before(async () => {
  const start = async (...args) => {
    programs.unshift(await Program.start(args, join(folder, `${args[0]}.log`)));
    return programs[0].url;
  };
  const provider = await start("simulate", "--listen", "127.0.0.1:0", "--latency-ms", "20");
  writeFileSync(join(folder, "sluice.yaml"), `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: sim
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: 3000, tpm: 300000, max_parallel_requests: 2}
      - {name: "gpt-4o-mini*", pool: "a.b_c:d@e/f-g", rpm: 3000, tpm: 300000}
`);
  url = await start("serve", "--config", join(folder, "sluice.yaml"));
});

after(async () => {
  for (const program of programs) await program.end();
  rmSync(folder, { recursive: true, force: true });
});

test("the page is clean, also under load", async () => {
  const calls = Array.from({ length: 40 }, (_, i) => call(i % 4 ? "gpt-4o" : "gpt-4o-mini"));
  assert.equal(promtool(["check", "metrics"], await metrics()), "");
  await Promise.all(calls);
  const text = await until("all calls are told of", 20000, async () => {
    const page = await metrics();
    const done = [...page.matchAll(/^sluice_requests_total\{.*outcome="succeeded"\} (\d+)$/gm)];
    return done.reduce((sum, [, n]) => sum + Number(n), 0) === 40 && page;
  });
  assert.equal(promtool(["check", "metrics"], text), "");
});

test("the rules are right, and their tests pass", () => {
  promtool(["check", "rules", join(deploy, "prometheus/alerts.yaml")]);
  promtool(["test", "rules", join(deploy, "prometheus/alerts.test.yaml")]);
  promtool(["check", "config", "--syntax-only", join(deploy, "prometheus/scrape.yaml")]);
});

test("rules and the Grafana dashboard ask for metrics that are there", async () => {
  const there = new Set([...(await metrics()).matchAll(/^([a-z_]+)[{ ]/gm)].map(([, name]) => name));
  const board = JSON.parse(readFileSync(join(deploy, "grafana/sluice.json"), "utf8"));
  const asked = board.panels.flatMap((panel) => panel.targets.map((target) => target.expr));
  asked.push(readFileSync(join(deploy, "prometheus/alerts.yaml"), "utf8"));
  const table = readFileSync(join(deploy, "prometheus/opentelemetry.md"), "utf8");
  asked.push(...Array.from(table.matchAll(/^\| `([a-z_]+)/gm), ([, name]) => name));
  for (const name of [...there]) there.add(name.replace(/_bucket$/, ""));
  const names = new Set(asked.join("\n").match(/\b(sluice|process)_[a-z_]+/g));
  assert.ok(names.size > 10);
  for (const name of names) assert.ok(there.has(name), `${name} is not on the page`);
});
