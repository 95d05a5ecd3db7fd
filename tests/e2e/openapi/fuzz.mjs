// Requests made from the document, most of them wrong in one place: no answer may be a 5xx (but for
// those that a request can ask for), HTML, or none at all, and the service is well afterwards.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { Random } from "../../support/random.mjs";
import { withStack } from "./stack.mjs";

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 1000000);
const CASES = Number(process.env.FUZZ_CASES ?? 25);
const ANSWER_MS = 20000;

const document = parse(readFileSync(`${process.env.SLUICE_SOURCE}/api/www/openapi.yaml`, "utf8"));
const random = new Random(SEED);
const pick = (list) => list[random.below(list.length)];
const chance = (percent) => random.below(100) < percent;

const deref = (node) =>
  node?.$ref ? deref(node.$ref.slice(2).split("/").reduce((at, key) => at[key], document)) : node;

const TEXTS = ["", "a", "gpt-4o", "claude-sonnet", "../../etc/passwd", "\u0000", "😀".repeat(40),
  "<script>alert(1)</script>", "%00", "null", "x".repeat(5000), "[[sim output=3]] hi", "sluice:{a}:b"];
const NUMBERS = [0, 1, -1, 0.5, 255, 1e9, -1e18, 1e308, 2 ** 53, 9007199254740993n];

function anything() {
  return pick([null, true, [], {}, pick(TEXTS), Number(pick(NUMBERS)), [[[[[]]]]], { a: { b: [1] } }]);
}

function value(node, depth = 0) {
  const schema = deref(node) ?? {};
  if (depth > 6 || chance(4)) return anything();
  const of = schema.oneOf ?? schema.anyOf;
  if (of) return value(pick(of), depth + 1);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => value(part, depth + 1)));
  if (schema.enum && chance(90)) return pick(schema.enum);
  if (schema.const !== undefined) return schema.const;
  const type = Array.isArray(schema.type) ? pick(schema.type) : schema.type;
  switch (type ?? (schema.properties ? "object" : "any")) {
    case "object": {
      const made = {};
      for (const [name, part] of Object.entries(schema.properties ?? {})) {
        if (chance((schema.required ?? []).includes(name) ? 95 : 40)) made[name] = value(part, depth + 1);
      }
      if (chance(10)) made[pick(TEXTS) || "extra"] = anything();
      return made;
    }
    case "array":
      return Array.from({ length: random.below(4) }, () => value(schema.items, depth + 1));
    case "integer":
    case "number": {
      const edges = [schema.minimum, schema.maximum, (schema.maximum ?? 10) + 1, (schema.minimum ?? 0) - 1];
      return Number(chance(60) ? pick(edges.filter((one) => one !== undefined)) : pick(NUMBERS));
    }
    case "boolean":
      return chance(50);
    case "string":
      return schema.examples && chance(50) ? pick(schema.examples) : pick(TEXTS);
    case "null":
      return null;
    default:
      return anything();
  }
}

// Text of a body, now and then cut or with a byte changed.
function spoiled(text) {
  if (chance(85) || text.length === 0) return text;
  const at = random.below(text.length);
  return chance(50) ? text.slice(0, at) : text.slice(0, at) + pick(["{", "\"", "\\", "\u0001", ","]) + text.slice(at + 1);
}

function bodyOf(operation) {
  const content = deref(operation.requestBody)?.content;
  if (!content) return {};
  const type = pick(Object.keys(content));
  if (type === "multipart/form-data") {
    const form = new FormData();
    form.set("purpose", pick(["batch", "x", ""]));
    form.set("file", new Blob([pick(TEXTS)]), pick(["a.jsonl", "../a", ""]));
    return { body: form };
  }
  const made = value(content[type].schema);
  // Else the service would wait for what is asked for.
  const text = JSON.stringify(made, (key, part) => (typeof part === "bigint" ? Number(part) : part));
  const lines = type === "application/x-ndjson" ? Array(1 + random.below(3)).fill(text).join("\n") : text;
  return { type: chance(95) ? type : "text/plain", body: spoiled(lines ?? "") };
}

const encode = (text) => encodeURIComponent(String(text).slice(0, 300).toWellFormed());

function request(path, method, operation) {
  const headers = {};
  const query = [];
  let target = path.replace(/\{[^}]+\}/g, () => encode(pick([...TEXTS, "none"]) || "none"));
  for (const one of operation.parameters ?? []) {
    const parameter = deref(one);
    if (parameter.in === "path" || chance(60)) continue;
    const given = value(parameter.schema);
    const text = typeof given === "object" ? JSON.stringify(given) : String(given);
    if (parameter.in === "query") query.push(`${parameter.name}=${encode(text)}`);
    else headers[parameter.name] = text.slice(0, 300).replace(/[^\x20-\x7e]/g, "?");
  }
  headers["x-sluice-max-wait-ms"] = "50";
  if (query.length > 0) target += `?${query.join("&")}`;
  const { type, body } = bodyOf(operation);
  if (type) headers["content-type"] = type;
  return { target, options: { method: method.toUpperCase(), headers, body } };
}

// 502 and 504 tell of the provider and of a wait that was asked to be short; 503 of a full queue.
const MAY = new Set([502, 503, 504]);

async function send(url, { target, options }) {
  const stop = AbortSignal.timeout(ANSWER_MS);
  const reply = await fetch(url + target, { ...options, signal: stop });
  const type = reply.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) {
    await reply.body?.cancel();
    return;
  }
  const text = await reply.text();
  assert.ok(reply.status < 500 || MAY.has(reply.status), `${reply.status} ${text.slice(0, 300)}`);
  if (reply.status < 400) return;
  assert.match(type, /^application\/json/, text.slice(0, 200));
  if (options.method === "HEAD") return;
  const { error } = JSON.parse(text);
  assert.ok(error.message.length > 0, text);
}

test(`requests made from the document (FUZZ_SEED=${SEED}) have an answer`, async (t) => {
  await withStack(async ({ url }) => {
    for (const [path, item] of Object.entries(document.paths)) {
      for (const method of ["get", "put", "post", "delete"].filter((one) => item[one])) {
        if (path === "/v1/admin/drain") continue; // it would do as it is told
        await t.test(`${method} ${path}`, async () => {
          for (let i = 0; i < CASES; i++) {
            const made = request(path, method, item[method]);
            try {
              await send(url, made);
            } catch (error) {
              throw new Error(`${made.options.method} ${made.target} ${JSON.stringify(made.options.headers)} ` +
                `${String(made.options.body).slice(0, 600)}: ${error.message}`, { cause: error });
            }
          }
        });
      }
    }
    const after = await fetch(`${url}/readyz`);
    assert.equal(after.status, 200);
    await after.text();
  });
});
