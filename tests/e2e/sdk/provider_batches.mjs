// Batches that are handed to the provider's own batch endpoint, with the SDKs' own calls. Between
// the service and the simulated provider stands a gate that holds one request, so that the service
// is killed at exactly this step. PROVIDER_BATCH_KILLS=all kills at every one of them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { toFile } from 'openai';
import { PROVIDER_KEY, Stand, getJson, steer, suite, until } from '../lib/stand.mjs';
import { anthropic, chat, failure, message, openai } from './clients.mjs';

const LINES = 40;
const END_MS = 30000;
const POLL_MS = 200;
const FINAL = ['completed', 'failed', 'expired', 'cancelled'];

class Gate {
  // stand: the requests go to its simulator.
  async open(stand) {
    this.server = http.createServer((request, answer) => {
      this.#pass(stand, request, answer).catch(() => answer.destroy());
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  // The next request that fits is held: before it reaches the provider, or its answer after.
  hold(method, path, when) {
    let tell;
    const held = new Promise((done) => { tell = done; });
    this.trap = { method, path, when, tell };
    return held;
  }

  async #pass(stand, request, answer) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const fits = this.trap && this.trap.method === request.method
      && this.trap.path.test(request.url) ? this.trap : null;
    if (fits) this.trap = null;
    if (fits?.when === 'before') {
      fits.tell();
      return;
    }
    const headers = { ...request.headers };
    delete headers.host;
    delete headers['content-length'];
    const reply = await fetch(`${stand.simulator.url}${request.url}`, {
      method: request.method, headers, body: chunks.length ? Buffer.concat(chunks) : undefined,
    });
    const body = Buffer.from(await reply.arrayBuffer());
    if (fits) {
      fits.tell();
      return;
    }
    answer.writeHead(reply.status, { 'content-type': 'application/json' });
    answer.end(body);
  }
}

function options(simulate, more) {
  const gate = new Gate();
  return {
    gate,
    simulate: ['--output-tokens', '4', ...simulate],
    prepare: (stand) => gate.open(stand),
    finish: () => gate.close(),
    config: () => ({
      queue: { lease_ms: 1000 },
      batches: { provider_poll_ms: POLL_MS },
      providers: [
        { name: 'openai', format: 'openai', base_url: `${gate.url}/v1`, api_key: PROVIDER_KEY,
          models: Stand.MODELS },
        { name: 'anthropic', format: 'anthropic', base_url: gate.url, api_key: PROVIDER_KEY,
          models: Stand.MODELS },
      ],
      ...more,
    }),
  };
}

const isBad = (i) => i % 10 === 7;
const text = (i) => steer(isBad(i) ? 'status=400' : 'output=4', `Line ${i}`);
const line = (i, body) => ({ custom_id: `own id ${i}`, method: 'POST', url: '/v1/chat/completions',
  body: body ?? chat(text(i)) });

async function create(stand, lines, more) {
  const client = openai(stand);
  const body = lines.map((one) => JSON.stringify(one)).join('\n');
  const file = await client.files.create({ purpose: 'batch',
    file: await toFile(Buffer.from(body), 'in.jsonl') });
  return client.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions',
    completion_window: '24h', provider_batch: true, ...more });
}

async function ended(stand, id) {
  let batch;
  await until(`${id} ends`, END_MS, async () => {
    batch = await openai(stand).batches.retrieve(id);
    return FINAL.includes(batch.status);
  });
  return batch;
}

async function content(stand, id) {
  if (!id) return [];
  const all = await (await openai(stand).files.content(id)).text();
  return all.split('\n').filter((one) => one).map((one) => JSON.parse(one));
}

async function checkWhole(stand, batch) {
  assert.equal(batch.status, 'completed', JSON.stringify(batch));
  const good = await content(stand, batch.output_file_id);
  const bad = await content(stand, batch.error_file_id);
  const ids = [...good, ...bad].map((one) => one.custom_id);
  assert.deepEqual(new Set(ids), new Set(Array.from({ length: LINES }, (_, i) => `own id ${i}`)));
  assert.equal(ids.length, LINES);
  assert.equal(bad.length, LINES / 10);
  assert.ok(bad.every((one) => one.response.status_code === 400));
  assert.ok(good.every((one) => one.response.body.choices[0].message.content));
  assert.deepEqual(batch.request_counts,
    { total: LINES, completed: good.length, failed: bad.length });
}

const lines = () => Array.from({ length: LINES }, (_, i) => line(i));
const made = async (stand, path) => (await getJson(`${stand.simulator.url}${path}`)).data.length;

// A kill costs the seconds until the lease of the dead one has ended.
const isWanted = (what, when) => process.env.PROVIDER_BATCH_KILLS === 'all'
  || (what === 'the batch is made' && when === 'after');

const STEPS = [
  ['POST', /^\/v1\/files$/, 'the file goes up'],
  ['POST', /^\/v1\/batches$/, 'the batch is made'],
  ['GET', /^\/v1\/batches\/[^/]+$/, 'it is looked at'],
  ['GET', /^\/v1\/files\/[^/]+\/content$/, 'results are fetched'],
];

const here = options(['--batch-delay-ms', '300']);
suite('sdk: openai batches at the provider', here, (stand, test) => {
  test('results come in the same shape, at half the price', async () => {
    const batch = await create(stand, lines());
    const end = await ended(stand, batch.id);
    await checkWhole(stand, end);
    assert.equal(end.x_sluice.provider_batch.provider, 'openai');
    assert.equal(end.usage.output_tokens, 36 * 4);
    assert.ok(end.x_sluice.cost_usd > 0);
    assert.equal((await stand.calls()).length, 0, 'no line went by itself');
    await until('its cost is counted', END_MS, async () => {
      const [total] = [(await getJson(`${stand.url}/v1/costs`)).total];
      return total.saved_usd.batch > 0 && total.saved_usd.batch === total.cost_usd;
    });
  });

  for (const [method, path, what] of STEPS) {
    for (const when of ['before', 'after'].filter((one) => isWanted(what, one))) {
      test(`a kill ${when} ${what} leaves one batch, each line once`, async () => {
        const before = await made(stand, '/v1/batches');
        const held = here.gate.hold(method, path, when);
        const batch = await create(stand, lines());
        await held;
        await stand.restart('SIGKILL');
        await checkWhole(stand, await ended(stand, batch.id));
        assert.equal(await made(stand, '/v1/batches'), before + 1);
      });
    }
  }

  test('a line that the provider lost is told as an error', async () => {
    const all = [line(0), line(1, chat(steer('disconnect', 'Lost')))];
    const end = await ended(stand, (await create(stand, all)).id);
    const [bad] = await content(stand, end.error_file_id);
    assert.equal(bad.custom_id, 'own id 1');
    assert.equal(bad.error.code, 'provider_batch_lost');
    assert.deepEqual(end.request_counts, { total: 2, completed: 1, failed: 1 });
  });

  test('what the provider refuses fails the batch with its words', async () => {
    await stand.script({ path: '/v1/batches', status: 400,
      body: { error: { message: 'Billing hard limit has been reached' } } });
    const end = await ended(stand, (await create(stand, [line(0)])).id);
    assert.equal(end.status, 'failed');
    assert.equal(end.errors.data[0].code, 'provider_refused_batch');
    assert.match(end.errors.data[0].message, /Billing hard limit/);
  });

  test('429 and 5xx are waited for', async () => {
    const before = await made(stand, '/v1/batches');
    await stand.script(
      { path: '/v1/files', status: 503, body: {} },
      { path: '/v1/batches', status: 429, headers: { 'retry-after': '0' }, body: {} },
      { path: '/v1/batches', status: 500, body: {} },
      { path: '/v1/batches', disconnect: true },
    );
    await checkWhole(stand, await ended(stand, (await create(stand, lines())).id));
    assert.equal(await made(stand, '/v1/batches'), before + 1);
  });

  test('provider_batch must be true or false, and may come as a header', async () => {
    assert.equal((await failure(create(stand, [line(0)], { provider_batch: 'yes' }))).status, 400);
    const client = openai(stand, { defaultHeaders: { 'x-sluice-provider-batch': 'true' } });
    const file = await client.files.create({ purpose: 'batch',
      file: await toFile(Buffer.from(JSON.stringify(line(0))), 'in.jsonl') });
    const batch = await client.batches.create({ input_file_id: file.id,
      endpoint: '/v1/chat/completions', completion_window: '24h' });
    assert.ok((await ended(stand, batch.id)).x_sluice.provider_batch.batch_id);
  });
});

const slow = options(['--batch-delay-ms', '600000', '--batch-queue', '3']);
suite('sdk: openai batches that wait at the provider', slow, (stand, test) => {
  test('a cancel is passed on, and no room is waited for', async () => {
    const first = await create(stand, [line(0), line(1)]);
    const sent = async (id) => (await openai(stand).batches.retrieve(id)).x_sluice
      ?.provider_batch;
    await until('it is there', END_MS, async () => (await sent(first.id))?.batch_id);
    const second = await create(stand, [line(2), line(3)]);
    await until('there is no room', END_MS,
      async () => /token_limit_exceeded/.test((await sent(second.id))?.waits_for));
    await openai(stand).batches.cancel(first.id);
    const end = await ended(stand, first.id);
    assert.equal(end.status, 'cancelled');
    const all = await content(stand, end.error_file_id);
    assert.deepEqual(all.map((one) => one.error.code), ['batch_cancelled', 'batch_cancelled']);
    await until('there is room now', END_MS, async () => (await sent(second.id))?.batch_id);
    await openai(stand).batches.cancel(second.id);
    assert.equal((await ended(stand, second.id)).status, 'cancelled');
  });
});

const ANTHROPIC_STEPS = [
  ['POST', /^\/v1\/messages\/batches$/, 'the batch is made'],
  ['GET', /^\/v1\/messages\/batches\/[^/]+$/, 'it is looked at'],
  ['GET', /^\/v1\/messages\/batches\/[^/]+\/results$/, 'results are fetched'],
];

const other = options(['--batch-delay-ms', '300']);
suite('sdk: anthropic batches at the provider', other, (stand, test) => {
  const requests = () => Array.from({ length: LINES }, (_, i) => (
    { custom_id: `line-${i}`, params: message(text(i)) }));
  const start = () => anthropic(stand).messages.batches.create(
    { requests: requests(), provider_batch: true });

  async function check(id) {
    await until(`${id} ends`, END_MS, async () => (
      await anthropic(stand).messages.batches.retrieve(id)).processing_status === 'ended');
    const all = [];
    for await (const one of await anthropic(stand).messages.batches.results(id)) all.push(one);
    assert.deepEqual(new Set(all.map((one) => one.custom_id)),
      new Set(requests().map((one) => one.custom_id)));
    assert.equal(all.length, LINES);
    assert.equal(all.filter((one) => one.result.type === 'errored').length, LINES / 10);
    assert.ok(all.every((one) => one.result.type === 'errored'
      || one.result.message.type === 'message'));
  }

  test('each request is answered once', async () => {
    await check((await start()).id);
  });

  test('what cannot go to one account is told at once', async () => {
    const error = await failure(anthropic(stand).messages.batches.create({ provider_batch: true,
      requests: [{ custom_id: 'a', params: { ...message('Hello'), stream: true } }] }));
    assert.equal(error.status, 400);
    assert.match(error.message, /requests\.0: /);
  });

  for (const [method, path, what] of ANTHROPIC_STEPS) {
    for (const when of ['before', 'after'].filter((one) => isWanted(what, one))) {
      test(`a kill ${when} ${what} leaves one batch, each line once`, async () => {
        const before = await made(stand, '/v1/messages/batches');
        const held = other.gate.hold(method, path, when);
        const { id } = await start();
        await held;
        await stand.restart('SIGKILL');
        await check(id);
        assert.equal(await made(stand, '/v1/messages/batches'), before + 1);
      });
    }
  }
});
