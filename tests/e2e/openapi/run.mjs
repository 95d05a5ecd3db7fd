// The served document is valid OpenAPI 3.1, and what the service answers is what it says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { parse } from "yaml";
import { contract } from "./contract.mjs";
import { withStack } from "./stack.mjs";

const chat = (model, extra = {}) => ({
  model,
  max_tokens: 10,
  messages: [{ role: "user", content: "hello" }],
  ...extra,
});
const job = (model, extra = {}) => ({ endpoint: "/v1/chat/completions", body: chat(model), ...extra });

async function ask(url, method, path, { body, headers, type = "application/json" } = {}) {
  const options = { method: method.toUpperCase(), headers: { ...headers } };
  if (body !== undefined) {
    options.body = typeof body === "string" ? body : JSON.stringify(body);
    options.headers["content-type"] = type;
  }
  const reply = await fetch(url + path, options);
  const text = await reply.text();
  const answer = {
    status: reply.status,
    type: (reply.headers.get("content-type") ?? "").split(";")[0],
    headers: [...reply.headers.keys()],
    text,
  };
  if (answer.type === "application/json") answer.body = JSON.parse(text);
  return answer;
}

// [method, described path, asked path, status, options]
const plain = [
  ["get", "/healthz", "/healthz", 200],
  ["get", "/health/liveliness", "/health/liveliness", 200],
  ["get", "/readyz", "/readyz", 200],
  ["get", "/health/readiness", "/health/readiness", 200],
  ["get", "/v1/models", "/v1/models", 200],
  ["get", "/openapi.yaml", "/openapi.yaml", 200],
  ["get", "/", "/", 200],
  ["get", "/ui/{id}", "/ui/app.js", 200],
  ["get", "/ui/{id}", "/ui/style.css", 200],
  ["get", "/ui/{id}", "/ui/nothing.js", 404],
  ["get", "/metrics", "/metrics", 200],
  ["get", "/v1/stats/history", "/v1/stats/history", 200],
  ["get", "/v1/stats/history", "/v1/stats/history?tenant=default&step=3600&metrics=requests,wait_p95", 200],
  ["get", "/v1/stats/history", "/v1/stats/history?from=60&to=200000", 400],
  ["post", "/v1/chat/completions", "/v1/chat/completions", 200, { body: chat("gpt-4o") }],
  ["post", "/v1/chat/completions", "/v1/chat/completions", 200,
    { body: chat("gpt-4o", { stream: true }) }],
  ["post", "/v1/completions", "/v1/completions", 200,
    { body: { model: "gpt-4o", prompt: "hello", max_tokens: 5 } }],
  ["post", "/v1/responses", "/v1/responses", 200,
    { body: { model: "gpt-4o", input: "hello", max_output_tokens: 20 } }],
  ["post", "/v1/embeddings", "/v1/embeddings", 200, { body: { model: "gpt-4o", input: "hello" } }],
  ["post", "/v1/messages", "/v1/messages", 200, { body: chat("claude-sonnet") }],
  ["post", "/v1/chat/completions", "/v1/chat/completions", 400, { body: "{" }],
  ["post", "/v1/chat/completions", "/v1/chat/completions", 404, { body: chat("nobody's") }],
  ["post", "/v1/chat/completions", "/v1/chat/completions", 413,
    { body: chat("wall", { max_tokens: 5000 }) }],
  ["post", "/v1/messages", "/v1/messages", 400, { body: { model: "claude-sonnet" } }],
  ["post", "/v1/messages", "/v1/messages", 404, { body: chat("gpt-4o") }],
  ["post", "/v1/jobs", "/v1/jobs", 400, { body: {} }],
  ["post", "/v1/jobs", "/v1/jobs", 404, { body: job("nobody's") }],
  ["get", "/v1/jobs", "/v1/jobs?limit=0", 400],
  ["get", "/v1/jobs/{id}", "/v1/jobs/job_0", 404],
  ["get", "/v1/jobs/{id}", "/v1/jobs/job_0?wait=x", 400],
  ["delete", "/v1/jobs/{id}", "/v1/jobs/job_0", 404],
  ["post", "/v1/jobs/{id}/retry", "/v1/jobs/job_0/retry", 404],
  ["get", "/v1/jobs/{id}/events", "/v1/jobs/job_0/events", 404],
  ["post", "/v1/permits", "/v1/permits", 400, { body: {} }],
  ["post", "/v1/permits", "/v1/permits", 404, { body: { model: "nobody's", input_tokens: 1 } }],
  ["post", "/v1/permits", "/v1/permits", 413, { body: { model: "wall", input_tokens: 5000 } }],
  ["get", "/v1/permits/{id}", "/v1/permits/permit_0", 404],
  ["delete", "/v1/permits/{id}", "/v1/permits/permit_0", 404],
  ["post", "/v1/permits/{id}/settle", "/v1/permits/permit_0/settle", 404, { body: {} }],
  ["post", "/v1/permits/{id}/renew", "/v1/permits/permit_0/renew", 400, { body: { ttl_ms: 1 } }],
  ["post", "/v1/admission/check", "/v1/admission/check", 200,
    { body: { endpoint: "/v1/chat/completions", body: chat("gpt-4o") } }],
  ["post", "/v1/admission/check", "/v1/admission/check", 200,
    { body: { model: "wall", input_tokens: 5000 } }],
  ["post", "/v1/admission/check", "/v1/admission/check", 400, { body: {} }],
];

test("the service answers as its document says", async (t) => {
  await withStack(async ({ url }) => {
    const served = await ask(url, "get", "/openapi.yaml");
    assert.equal(served.type, "application/yaml");
    const document = parse(served.text);
    const { check } = contract(document);

    await t.test("the document is valid OpenAPI 3.1", async () => {
      assert.equal(document.openapi, "3.1.0");
      const result = await new Validator().validate(structuredClone(document));
      assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
    });

    for (const [method, path, asked, status, options] of plain) {
      await t.test(`${method} ${asked} ${status}`, async () => {
        const answer = await ask(url, method, asked, options);
        assert.equal(answer.status, status, answer.text);
        check(method, path, answer);
      });
    }

    await t.test("jobs: submitted, replayed, waited for, listed, cancelled, watched", async () => {
      const headers = { "idempotency-key": "k-1" };
      const body = job("gpt-4o", { metadata: { a: [1] }, deadline_ms: 60000 });
      const first = await ask(url, "post", "/v1/jobs", { body, headers });
      const again = await ask(url, "post", "/v1/jobs", { body, headers });
      const other = await ask(url, "post", "/v1/jobs", { body: job("slow"), headers });
      assert.deepEqual([first.status, again.status, other.status], [202, 202, 422]);
      assert.equal(first.body.id, again.body.id);
      for (const answer of [first, again, other]) check("post", "/v1/jobs", answer);

      const done = await ask(url, "get", `/v1/jobs/${first.body.id}?wait=60`);
      assert.equal(done.body.status, "succeeded");
      check("get", "/v1/jobs/{id}", done);
      const events = await ask(url, "get", `/v1/jobs/${first.body.id}/events`);
      assert.match(events.text, /^event: job\ndata: \{/);
      check("get", "/v1/jobs/{id}/events", events);

      const lines = [job("slow"), job("slow"), job("slow"), job("slow")].map((j) => JSON.stringify(j));
      const many = await ask(url, "post", "/v1/jobs", {
        body: [...lines, "{", "", '{"endpoint":"/nope"}'].join("\n"),
        type: "application/x-ndjson",
      });
      assert.equal(many.status, 202);
      assert.deepEqual(many.body.data.slice(4).map((error) => error.line), [5, 7]);
      check("post", "/v1/jobs", many);

      const queued = await ask(url, "get", `/v1/jobs/${many.body.data[3].id}`);
      assert.equal(queued.body.status, "queued");
      assert.ok(queued.body.position >= 1);
      check("get", "/v1/jobs/{id}", queued);
      check("get", "/v1/stats", await ask(url, "get", "/v1/stats"));

      const { body: stats } = await ask(url, "get", "/v1/stats");
      assert.ok(stats.tenants.find((row) => row.tenant === "default").queued >= 1);
      assert.ok(stats.models.some((row) => row.model === "gpt-4o" && row.counts.succeeded > 0));

      const cancelled = await ask(url, "delete", `/v1/jobs/${many.body.data[3].id}`);
      assert.equal(cancelled.body.status, "cancelled");
      check("delete", "/v1/jobs/{id}", cancelled);
      const list = await ask(url, "get", "/v1/jobs?limit=2");
      assert.equal(list.body.has_more, true);
      check("get", "/v1/jobs", list);
    });

    await t.test("permits: asked for, renewed, settled, released, refused", async () => {
      const body = { model: "gpt-4o", input_tokens: 10, max_output_tokens: 5, priority: 128 };
      const asked = await ask(url, "post", "/v1/permits", { body });
      const path = `/v1/permits/${asked.body.id}`;
      check("post", "/v1/permits", asked);
      check("get", "/v1/permits/{id}", await ask(url, "get", path));
      const renewed = await ask(url, "post", `${path}/renew`, { body: { ttl_ms: 90000 } });
      check("post", "/v1/permits/{id}/renew", renewed);
      const usage = { input_tokens: 9, output_tokens: 4, cache_read_tokens: 0 };
      const settled = await ask(url, "post", `${path}/settle`, { body: { usage, status: 200 } });
      check("post", "/v1/permits/{id}/settle", settled);
      assert.deepEqual([renewed.body.status, settled.body.status], ["granted", "settled"]);
      for (const [method, described, at] of [["delete", "/v1/permits/{id}", path],
        ["post", "/v1/permits/{id}/renew", `${path}/renew`],
        ["post", "/v1/permits/{id}/settle", `${path}/settle`]]) {
        const late = await ask(url, method, at, { body: method === "post" ? {} : undefined });
        assert.equal(late.status, 409, late.text);
        check(method, described, late);
      }
      const other = await ask(url, "post", "/v1/permits", { body });
      const released = await ask(url, "delete", `/v1/permits/${other.body.id}`);
      assert.equal(released.body.status, "released");
      check("delete", "/v1/permits/{id}", released);
    });

    await t.test("an answer that the document does not describe is found", () => {
      const answer = { status: 200, type: "application/json", headers: [], body: { status: "ok" } };
      check("get", "/healthz", answer);
      assert.throws(() => check("get", "/healthz", { ...answer, body: { status: "ok", x: 1 } }));
      assert.throws(() => check("get", "/healthz", { ...answer, body: {} }));
      assert.throws(() => check("get", "/healthz", { ...answer, status: 503 }));
    });
  });
});
