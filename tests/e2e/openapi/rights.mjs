// Every operation of the document x no key, an unknown one, one without its scope, one with it,
// and, where something has an owner, a key of another tenant.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { withStack } from "./stack.mjs";

const SCOPES = ["proxy", "jobs", "permits", "stats", "admin"];
const OWNED = /^\/v1\/(jobs|job-groups|files|batches|messages\/batches|sessions|permits|webhooks)/;
const METHODS = ["get", "put", "post", "delete"];

const document = parse(readFileSync(`${process.env.SLUICE_SOURCE}/api/www/openapi.yaml`, "utf8"));

const keyOf = (name) => `sk-sluice-${name}`.padEnd(40, "0");
const keys = [
  ...SCOPES.map((scope) => ({ key: keyOf(`only-${scope}`), tenant: "owner", scopes: scope })),
  ...SCOPES.map((scope) => ({
    key: keyOf(`without-${scope}`), tenant: "owner",
    scopes: SCOPES.filter((other) => other !== scope && other !== "admin").join(","), // admin may all
  })),
  { key: keyOf("stranger"), tenant: "stranger", scopes: "proxy,jobs,permits,stats" },
];
const config = `auth: ${JSON.stringify({ keys })}\n`;

const chat = { model: "gpt-4o", max_tokens: 5, messages: [{ role: "user", content: "hello" }] };

// The status, and of a stream no more than its head.
async function ask(url, method, path, { key, body, type } = {}) {
  const stop = new AbortController();
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  if (body !== undefined) headers["content-type"] = type ?? "application/json";
  const reply = await fetch(url + path, {
    method: method.toUpperCase(), headers, signal: stop.signal,
    body: body === undefined || typeof body !== "object" || body instanceof FormData
      ? body : JSON.stringify(body),
  });
  const stream = (reply.headers.get("content-type") ?? "").startsWith("text/event-stream");
  const text = stream ? "" : await reply.text();
  stop.abort();
  return { status: reply.status, text };
}

// One of each kind of thing that has an owner; by the start of its path.
async function make(url) {
  const owner = { key: keyOf("only-jobs") };
  const created = async (path, options) => {
    const answer = await ask(url, "post", path, options);
    assert.ok([200, 201, 202].includes(answer.status), `${path}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  };
  const job = await created("/v1/jobs", { ...owner, body: { endpoint: "/v1/chat/completions", body: chat } });
  const line = JSON.stringify({ custom_id: "1", method: "POST", url: "/v1/chat/completions", body: chat });
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new Blob([line]), "lines.jsonl");
  const upload = await fetch(`${url}/v1/files`,
    { method: "POST", body: form, headers: { authorization: `Bearer ${owner.key}` } });
  const file = await upload.json();
  const batch = await created("/v1/batches", { ...owner,
    body: { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" } });
  const message = await created("/v1/messages/batches", { ...owner,
    body: { requests: [{ custom_id: "1", params: { ...chat, model: "claude-sonnet" } }] } });
  const session = await created("/v1/sessions", { key: keyOf("only-proxy"), body: { model: "gpt-4o" } });
  const permit = await created("/v1/permits",
    { key: keyOf("only-permits"), body: { model: "gpt-4o", input_tokens: 10, max_output_tokens: 5 } });
  return {
    "/v1/jobs/": job.id, "/v1/files/": file.id, "/v1/batches/": batch.id,
    "/v1/messages/batches/": message.id, "/v1/sessions/": session.id, "/v1/permits/": permit.id,
  };
}

const concrete = (path, made) => {
  const start = Object.keys(made).filter((one) => path.startsWith(one)).sort((a, b) => b.length - a.length)[0];
  return path.replace("{id}", start ? made[start] : "none").replace(/\{[^}]+\}/g, "none");
};

function operations() {
  const all = [];
  for (const [path, item] of Object.entries(document.paths))
    for (const method of METHODS.filter((one) => item[one])) all.push({ path, method, ...item[method] });
  return all;
}

test("every operation asks for its scope, and keeps tenants apart", async (t) => {
  await withStack(async ({ url }) => {
    const made = await make(url);
    for (const o of operations()) {
      const scope = o["x-sluice-scope"];
      const path = concrete(o.path, made);
      const body = o.method === "get" || o.method === "delete" ? undefined : { instance: "none" };
      await t.test(`${o.method} ${o.path} (${scope})`, async () => {
        assert.ok(scope === "open" || SCOPES.includes(scope), `x-sluice-scope is ${scope}`);
        if (scope === "open") {
          assert.ok(![401, 403].includes((await ask(url, o.method, path, { body })).status));
          return;
        }
        const none = await ask(url, o.method, path, { body });
        assert.equal(none.status, 401, none.text);
        assert.ok(JSON.parse(none.text).error, none.text);
        const bad = await ask(url, o.method, path, { body, key: "sk-sluice-nobody" });
        assert.equal(bad.status, 401, bad.text);
        const wrong = await ask(url, o.method, path, { body, key: keyOf(`without-${scope}`) });
        assert.equal(wrong.status, 403, wrong.text);
        assert.match(wrong.text, new RegExp(scope));
        if (OWNED.test(o.path) && o.path.includes("{id}")) {
          const stranger = await ask(url, o.method, path, { body, key: keyOf("stranger") });
          const refused = stranger.status === 404 || (stranger.status === 400 && body !== undefined);
          assert.ok(refused, `${path} for another tenant: ${stranger.status} ${stranger.text}`);
        }
      });
    }
    await t.test("a list holds nothing of another tenant", async () => {
      for (const [start, id] of Object.entries(made)) {
        if (start === "/v1/permits/") continue; // they are not listed
        const mine = await ask(url, "get", start.slice(0, -1),
          { key: keyOf(start === "/v1/sessions/" ? "only-proxy" : "only-jobs") });
        const theirs = await ask(url, "get", start.slice(0, -1), { key: keyOf("stranger") });
        assert.deepEqual([mine.status, theirs.status], [200, 200]);
        assert.ok(mine.text.includes(id), `${start} of its owner`);
        assert.ok(!theirs.text.includes(id), `${start} of a stranger`);
      }
    });
    // Last, as some of these end what was made.
    for (const o of operations().filter((one) => one["x-sluice-scope"] !== "open")) {
      await t.test(`${o.method} ${o.path} with its scope alone`, async () => {
        const body = o.method === "get" || o.method === "delete" ? undefined : { instance: "none" };
        const right = await ask(url, o.method, concrete(o.path, made),
          { body, key: keyOf(`only-${o["x-sluice-scope"]}`) });
        assert.ok(![401, 403].includes(right.status), `${right.status} ${right.text}`);
        assert.ok(right.status < 500, `${right.status} ${right.text}`);
      });
    }
  }, config);
});
