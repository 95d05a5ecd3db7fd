// Keys that the provider refuses, money that ran out, and fallbacks: see ./run --help.
import assert from 'node:assert/strict';
import { getJson, steer, suite, until } from '../lib/stand.mjs';

const GOOD_KEY = 'sk-good-81f0c2d9';
const DEAD_KEY = 'sk-dead-5b2e77aa';
const FINAL = ['succeeded', 'failed', 'cancelled', 'expired'];

function body(model, prompt = 'Hello') {
  return { model, max_tokens: 10, messages: [{ role: 'user', content: steer('output=3', prompt) }] };
}

async function call(stand, model, headers = {}) {
  const answer = await fetch(`${stand.url}/v1/chat/completions`, {
    method: 'POST', body: JSON.stringify(body(model)),
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

async function job(stand, model) {
  const answer = await fetch(`${stand.url}/v1/jobs`, {
    method: 'POST', body: JSON.stringify({ endpoint: '/v1/chat/completions', body: body(model) }),
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(answer.status, 202);
  return (await answer.json()).id;
}

function ended(stand, id) {
  return until('the job ends', 20000, async () => {
    const one = await getJson(`${stand.url}/v1/jobs/${id}`);
    return FINAL.includes(one.status) && one;
  });
}

const failures = (record) => record.explain.failed_attempts.map(({ pool, failure }) => ({ pool, failure }));

suite('routes: one key of two is refused', {
  simulate: ['--require-key', GOOD_KEY],
  secrets: [GOOD_KEY, DEAD_KEY],
  models: [{ name: 'gpt-4o', rpm: 60000 }],
  provider: { api_key: null, keys: [{ name: 'dead', api_key: DEAD_KEY }, { name: 'good', api_key: GOOD_KEY }] },
}, (stand, test) => {
  test('no caller hears of it, and calls explain themselves', async () => {
    const answers = [];
    for (let i = 0; i < 20; i++) answers.push(await call(stand, 'gpt-4o'));
    assert.deepEqual([...new Set(answers.map((one) => one.status))], [200]);
    assert.equal((await stand.ledger()).unauthorized, 1, 'the dead key was tried once');

    const records = await Promise.all(answers.map((one) => until('the call is recorded', 5000, () =>
      getJson(`${stand.url}/v1/jobs/${one.headers.get('x-sluice-job')}`).catch(() => null))));
    for (const record of records) {
      assert.equal(record.object, 'call');
      assert.equal(record.status, 'succeeded');
      assert.equal(record.explain.pool, 'openai:good:gpt-4o');
      assert.equal(record.response.status_code, 200);
    }
    assert.deepEqual(records.flatMap(failures), [{ pool: 'openai:dead:gpt-4o', failure: 'auth' }]);
    assert.equal(answers[0].headers.get('x-sluice-model'), 'gpt-4o');
  });

  test('it is shown as set aside', async () => {
    const dead = await stand.pool('openai:dead:gpt-4o');
    assert.equal(dead.set_aside.reason, 'auth');
    assert.ok(dead.set_aside.ms > 0 && dead.set_aside.ms <= 60000);
    assert.equal((await stand.pool('openai:good:gpt-4o')).set_aside, null);
    const metrics = await (await fetch(`${stand.url}/metrics`)).text();
    assert.match(metrics, /sluice_set_aside_seconds\{provider="openai",account="dead",pool="gpt-4o"\} [1-9]/);
  });

  test('jobs run on the other key, also when many come at once after a restart', async () => {
    await stand.restart();
    const ids = await Promise.all(Array.from({ length: 40 }, () => job(stand, 'gpt-4o')));
    const jobs = await Promise.all(ids.map((id) => ended(stand, id)));
    for (const one of jobs) {
      assert.equal(one.status, 'succeeded');
      assert.equal(one.response.status_code, 200);
    }
    await stand.untilIdle();
  });
});

suite('routes: a model falls back to another', {
  models: [{ name: 'gpt-4o', rpm: 60000, fallbacks: ['gpt-4o-mini'] }, { name: 'gpt-4o-mini', rpm: 60000 }],
}, (stand, test) => {
  const noMoney = { status: 429, body: { error: { message: 'no', type: 'insufficient_quota', code: 'insufficient_quota' } } };

  test('when the money of its key has run out', async () => {
    await stand.script(noMoney);
    const first = await call(stand, 'gpt-4o');
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('x-sluice-model'), 'gpt-4o-mini');
    assert.equal(JSON.parse(first.text).model, 'gpt-4o-mini');
    const second = await call(stand, 'gpt-4o'); // the first model is set aside now
    assert.equal(second.headers.get('x-sluice-model'), 'gpt-4o-mini');
    assert.equal(second.headers.get('x-sluice-attempts'), '1');
    assert.deepEqual((await stand.calls()).map((one) => one.model),
      ['gpt-4o', 'gpt-4o-mini', 'gpt-4o-mini']);
  });

  test('a job tells which model served it', async () => {
    const one = await ended(stand, await job(stand, 'gpt-4o'));
    assert.equal(one.status, 'succeeded');
    assert.equal(one.explain.model, 'gpt-4o-mini');
    assert.equal(one.explain.asked_model, 'gpt-4o');
  });

  test('of many attempts that failed the first eight are remembered', async () => {
    for (const [times, kept] of [[8, 8], [9, 8]]) {
      await stand.script({ status: 429, headers: { 'retry-after-ms': '1' }, times,
        body: { error: { message: 'slow down', code: 'rate_limit_exceeded' } } });
      const { headers, status } = await call(stand, 'gpt-4o-mini');
      assert.equal(status, 200);
      assert.equal(headers.get('x-sluice-attempts'), String(times + 1));
      const record = await until('the call is recorded', 5000, () =>
        getJson(`${stand.url}/v1/jobs/${headers.get('x-sluice-job')}`).catch(() => null));
      assert.equal(record.explain.failed_attempts.length, kept);
    }
  });

  test('but not when the caller forbids it', async () => {
    const one = await call(stand, 'gpt-4o', { 'x-sluice-fallback': 'never' });
    assert.equal(one.status, 200); // it is tried all the same, and works again
    assert.equal(one.headers.get('x-sluice-model'), 'gpt-4o');
    const wrong = await call(stand, 'gpt-4o', { 'x-sluice-fallback': 'sometimes' });
    assert.equal(wrong.status, 400);
    const back = await call(stand, 'gpt-4o');
    assert.equal(back.headers.get('x-sluice-model'), 'gpt-4o', 'what works is no longer set aside');
  });
});
