// One request to the provider for many that are the same, and none for those that were answered.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { suite, steer, until } from '../lib/stand.mjs';
import { Program, binary, getJson } from '../../support/program.mjs';
import { RedisServer } from '../../support/redis_server.mjs';
import { close, embed, isOf } from '../batcher/embed.mjs';

const MANY = 500;
const CHAT = '/v1/chat/completions';
const DIMS = 16;

after(close);

function body(words, more = {}) {
  return JSON.stringify({
    model: 'gpt-4o', max_tokens: 64, temperature: 0,
    messages: [{ role: 'user', content: steer(words) }], ...more,
  });
}

async function ask(url, text, headers = {}) {
  const answer = await fetch(`${url}${CHAT}`, {
    method: 'POST', body: text, headers: { 'content-type': 'application/json', ...headers },
  });
  return {
    status: answer.status, text: await answer.text(), cache: answer.headers.get('x-sluice-cache'),
    decision: answer.headers.get('x-sluice-decision'), age: answer.headers.get('age'),
    type: answer.headers.get('content-type'),
  };
}

function count(list, of) {
  return list.reduce((sums, one) => ({ ...sums, [of(one)]: (sums[of(one)] ?? 0) + 1 }), {});
}

// The vectors of these texts, in order; how many of them were kept, and the tokens billed.
async function vectors(url, input, more = {}, headers = {}) {
  const answer = await embed(url,
    { model: 'text-embedding-3-small', dimensions: DIMS, input, ...more }, headers);
  assert.equal(answer.status, 200, JSON.stringify(answer.body).slice(0, 300));
  assert.equal(answer.body.data.length, input.length);
  answer.body.data.forEach((item, i) => {
    assert.equal(item.index, i);
    assert.ok(isOf(item, input[i], DIMS), `a vector of another text than ${input[i]}`);
  });
  return {
    cache: answer.headers['x-sluice-cache'], inputs: answer.headers['x-sluice-cache-inputs'],
    tokens: answer.body.usage.prompt_tokens,
  };
}

suite('memory', {
  config: { cache: { enabled: true }, auth: { trust_tenant_header: true } },
}, (stand, test) => {
  for (const stream of [false, true]) {
    test(`${MANY} equal requests at once are one, ${stream ? 'streamed' : 'plain'}`, async () => {
      await stand.reset();
      const text = body('latency_ms=400 output=20 ms_per_token=10', { stream, seed: Number(stream) });
      const all = await Promise.all(Array.from({ length: MANY }, () => ask(stand.url, text)));
      assert.equal((await stand.calls()).length, 1);
      const words = count(all, (one) => one.cache);
      assert.equal(words.miss, 1, JSON.stringify(words));
      assert.equal((words.shared ?? 0) + (words['hit-memory'] ?? 0), MANY - 1, JSON.stringify(words));
      for (const one of all) {
        assert.equal(one.status, 200);
        assert.equal(one.text, all[0].text);
        assert.equal(one.type, all[0].type);
      }
      assert.ok(!stream || all[0].text.endsWith('data: [DONE]\n\n'));
      const again = await ask(stand.url, text);
      assert.equal(again.cache, 'hit-memory');
      assert.equal(again.decision, 'cached');
      assert.equal(again.text, all[0].text);
    });
  }

  test('tenants never share', async () => {
    await stand.reset();
    const text = body('latency_ms=200 output=3 id=tenants');
    const tenants = ['ann', 'bob', 'cid'];
    for (let round = 0; round < 2; round++) {
      await Promise.all(tenants.flatMap((tenant) => Array.from({ length: 5 },
        () => ask(stand.url, text, { 'x-sluice-tenant': tenant }))));
    }
    assert.equal((await stand.calls()).length, tenants.length);
  });

  test('who leaves first takes nobody along', async () => {
    await stand.reset();
    const text = body('latency_ms=600 output=5 id=leaves', { stream: true });
    const leaving = new AbortController();
    const first = fetch(`${stand.url}${CHAT}`, {
      method: 'POST', body: text, signal: leaving.signal,
      headers: { 'content-type': 'application/json' },
    }).catch(() => null);
    await until('the provider has it', 5000, async () => (await stand.load()).running === 1);
    const others = Array.from({ length: 5 }, () => ask(stand.url, text));
    await until('the others have joined', 5000,
      async () => (await stand.stats()).totals.requests_open_here >= 7);
    leaving.abort();
    await first;
    for (const one of await Promise.all(others)) {
      assert.equal(one.status, 200);
      assert.ok(one.text.endsWith('data: [DONE]\n\n'));
    }
    assert.equal((await stand.calls()).length, 1);
  });

  test('a provider that fails is asked anew, not by everybody', async () => {
    await stand.reset();
    const text = body('latency_ms=150 status=500 id=fails');
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(stand.url, text)));
    for (const one of all) assert.ok(one.status >= 500, `${one.status}`);
    // Each of three that lead tries as often as a provider's max_attempts says (4).
    assert.ok((await stand.calls()).length <= 12);
    assert.equal((await ask(stand.url, body('output=3 id=fails'))).cache, 'miss');
  });

  test('Cache-Control and x-sluice-cache are heard', async () => {
    const text = body('output=3 id=control');
    assert.equal((await ask(stand.url, text)).cache, 'miss');
    assert.equal((await ask(stand.url, text)).cache, 'hit-memory');
    assert.equal((await ask(stand.url, text, { 'cache-control': 'no-cache' })).cache, 'miss');
    assert.equal((await ask(stand.url, text, { 'x-sluice-cache': 'off' })).cache, 'bypass');
    assert.equal((await ask(stand.url, text, { 'cache-control': 'max-age=1000' })).cache, 'hit-memory');
    const warm = body('output=3 id=warm', { temperature: 1 });
    assert.equal((await ask(stand.url, warm)).cache, 'bypass');
    assert.equal((await ask(stand.url, warm, { 'x-sluice-cache': 'on' })).cache, 'miss');
    assert.equal((await ask(stand.url, warm, { 'x-sluice-cache': 'on' })).cache, 'hit-memory');
    const wrong = await ask(stand.url, text, { 'x-sluice-cache': 'yes' });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /x-sluice-cache/);
  });

  for (const form of ['float', 'base64']) {
    test(`only embeddings that are missing are sent, as ${form}`, async () => {
      await stand.reset();
      const more = { encoding_format: form };
      const texts = Array.from({ length: 100 }, (_, i) => `text ${i} of ${form}`);
      const first = await vectors(stand.url, texts.slice(0, 60), more);
      assert.deepEqual([first.cache, first.inputs], ['miss', '0/60']);
      const mixed = await vectors(stand.url, texts.toReversed(), more);
      assert.deepEqual([mixed.cache, mixed.inputs], ['partial', '60/100']);
      assert.ok(mixed.tokens > 0 && mixed.tokens < first.tokens);
      const all = await vectors(stand.url, [...texts, texts[0]], more);
      assert.deepEqual(all, { cache: 'hit-memory', inputs: '101/101', tokens: 0 });
      assert.equal((await stand.calls()).length, 2);
      const other = await vectors(stand.url, texts.slice(0, 3), more, { 'x-sluice-tenant': 'other' });
      assert.equal(other.cache, 'miss');
    });
  }

  test('large equal requests for embeddings at once are one', async () => {
    await stand.reset();
    const texts = Array.from({ length: 400 }, (_, i) => `text ${i} of many`);
    const all = await Promise.all(Array.from({ length: 20 }, () => vectors(stand.url, texts)));
    assert.equal((await stand.calls()).length, 1);
    assert.equal(all.filter((one) => one.cache === 'miss').length, 1);
  });

  test('an administrator sees and purges', async () => {
    const text = body('output=3 id=purge');
    await ask(stand.url, text);
    const before = await getJson(`${stand.url}/v1/admin/cache`);
    assert.ok(before.entries > 0 && before.bytes > 0 && before.hits_memory > 0);
    const other = await fetch(`${stand.url}/v1/admin/cache?model=other`, { method: 'DELETE' });
    assert.equal(other.status, 200);
    assert.equal((await ask(stand.url, text)).cache, 'hit-memory');
    const purged = await fetch(`${stand.url}/v1/admin/cache?model=gpt-4o&tenant=default`,
      { method: 'DELETE' });
    assert.deepEqual(await purged.json(),
      { object: 'cache', purged: true, tenant: 'default', model: 'gpt-4o' });
    assert.equal((await ask(stand.url, text)).cache, 'miss');
    assert.equal((await ask(stand.url, text)).cache, 'hit-memory');
    const sluice = (...args) => promisify(execFile)(binary(), ['cache', ...args, '--url', stand.url]);
    assert.match((await sluice('show')).stdout, /hits_memory +[1-9]/);
    await sluice('purge', '--model', 'gpt-4o', '--tenant', 'a b&c');
    assert.equal((await ask(stand.url, text)).cache, 'hit-memory');
    await sluice('purge', '--model', 'gpt-4o');
    assert.equal((await ask(stand.url, text)).cache, 'miss');
    const empty = await fetch(`${stand.url}/v1/admin/cache?model=`, { method: 'DELETE' });
    assert.equal(empty.status, 400);
    assert.ok((await stand.stats()).cache.purged > 0);
  });
});

suite('redis', {
  prepare: async (stand) => { stand.redis = await RedisServer.start(stand.folder); },
  finish: (stand) => stand.redis.end(),
  config: (stand) => ({
    redis: { url: stand.redis.url, max_instances: 2 }, cache: { enabled: true, redis: true },
  }),
}, (stand, test) => {
  test('an answer survives a restart', async () => {
    await stand.reset();
    for (const stream of [false, true]) {
      const text = body(`output=3 id=restart${stream}`, { stream });
      const first = await ask(stand.url, text);
      assert.equal(first.cache, 'miss');
      await stand.restart();
      const again = await ask(stand.url, text);
      assert.equal(again.cache, 'hit-redis');
      assert.equal(again.text, first.text);
      assert.equal((await ask(stand.url, text)).cache, 'hit-memory');
    }
    assert.equal((await stand.calls()).length, 2);
  });

  test('embeddings survive a restart', async () => {
    await stand.reset();
    const texts = ['one', 'two', 'three'];
    assert.equal((await vectors(stand.url, texts.slice(0, 2))).cache, 'miss');
    await stand.restart();
    assert.equal((await vectors(stand.url, ['two'])).cache, 'hit-redis');
    assert.equal((await vectors(stand.url, texts)).inputs, '2/3');
    assert.equal((await stand.calls()).length, 2);
  });

  test('a purge holds on all instances', async () => {
    const second = await Program.start(['serve', '--config', stand.configPath],
      join(stand.folder, 'second.log'));
    try {
      await until('the second is ready', 10000,
        async () => (await fetch(`${second.url}/readyz`)).ok);
      const text = body('output=3 id=both');
      assert.equal((await ask(stand.url, text)).cache, 'miss');
      assert.equal((await ask(second.url, text)).cache, 'hit-redis');
      assert.equal((await ask(second.url, text)).cache, 'hit-memory');
      assert.equal((await fetch(`${stand.url}/v1/admin/cache`, { method: 'DELETE' })).status, 200);
      await until('the second has heard of it', 5000,
        async () => (await getJson(`${second.url}/v1/admin/cache`)).entries === 0);
      assert.equal((await ask(second.url, text)).cache, 'miss');
    } finally {
      await second.end();
    }
  });
});
