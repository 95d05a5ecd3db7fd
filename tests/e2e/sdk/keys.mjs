// Whose key the provider sees, and who may call at all.
import assert from 'node:assert/strict';
import { PROVIDER_KEY, fnv1a, steer, suite } from '../lib/stand.mjs';
import { Anthropic, CALLER_KEY, OpenAI, anthropic, chat, failure, message, openai }
  from './clients.mjs';

const PROMPT = steer('output=3');
const ask = (stand, apiKey) => openai(stand, { apiKey }).chat.completions.create(chat(PROMPT));
const tell = (stand, apiKey) => anthropic(stand, { apiKey }).messages.create(message(PROMPT));

suite('keys: the provider has one in the configuration', { secrets: [CALLER_KEY] },
  (stand, test) => {
    test('it is the only one that the provider ever sees', async () => {
      await ask(stand, CALLER_KEY);
      await tell(stand, CALLER_KEY);
      const { keys } = await stand.ledger();
      assert.deepEqual(Object.keys(keys), [fnv1a(PROVIDER_KEY)]);
    });
  });

suite('keys: the caller brings one',
  { provider: { api_key: null }, simulate: ['--latency-ms', '300'], secrets: [CALLER_KEY],
    models: [{ name: '*', rpm: 600, max_parallel_requests: 1 }] }, (stand, test) => {
    test('it is passed on, in the way of the format', async () => {
      await ask(stand, CALLER_KEY);
      assert.equal((await stand.lastCall()).key, fnv1a(CALLER_KEY));
      await tell(stand, 'sk-ant-of-the-caller');
      assert.equal((await stand.lastCall()).key, fnv1a('sk-ant-of-the-caller'));
    });

    test('two keys are two accounts, with limits of their own', async () => {
      const one = ask(stand, 'sk-one');
      const two = ask(stand, 'sk-two');
      await stand.untilLoad('both run', (load) => load.running === 2);
      await Promise.all([one, two]);
    });

    test('without any, the answer is 401 and nothing is sent', async () => {
      await stand.reset();
      const answer = await fetch(`${stand.url}/v1/chat/completions`,
        { method: 'POST', body: JSON.stringify(chat(PROMPT)) });
      assert.equal(answer.status, 401);
      assert.equal((await answer.json()).error.code, 'invalid_api_key');
      assert.deepEqual(await stand.calls(), []);
    });
  });

const FIRST = 'sluice-key-of-the-first';
const SECOND = 'sluice-key-of-the-second';

suite('keys: the service has some of its own', {
  secrets: [FIRST, SECOND],
  headers: { authorization: `Bearer ${FIRST}` },
  config: {
    auth: { keys: [{ key: FIRST, tenant: 'first' }, { key: SECOND, tenant: 'second' }] },
    tenants: [{ name: 'first', weight: 2 }],
  },
}, (stand, test) => {
  test('without one of them, or with another one, the SDKs get 401', async () => {
    for (const key of ['sk-wrong', `${FIRST}x`, FIRST.slice(1)]) {
      assert.ok(await failure(ask(stand, key)) instanceof OpenAI.AuthenticationError);
      assert.ok(await failure(tell(stand, key)) instanceof Anthropic.AuthenticationError);
    }
    for (const path of ['/v1/models', '/v1/stats', '/v1/jobs', '/v1/chat/completions']) {
      const method = path.endsWith('completions') ? 'POST' : 'GET';
      const answer = await fetch(`${stand.url}${path}`, { method });
      assert.equal(answer.status, 401, path);
      assert.ok(!(await answer.text()).includes(FIRST));
    }
    assert.deepEqual(await stand.calls(), []);
  });

  test('health needs none', async () => {
    for (const path of ['/healthz', '/readyz']) {
      assert.equal((await fetch(`${stand.url}${path}`)).status, 200);
    }
  });

  test('with one of them all goes, as a bearer token and as x-api-key', async () => {
    await ask(stand, FIRST);
    await tell(stand, SECOND);
    await openai(stand, { apiKey: SECOND }).models.list();
    const answer = await fetch(`${stand.url}/v1/chat/completions`, {
      method: 'POST', headers: { 'x-api-key': SECOND }, body: JSON.stringify(chat(PROMPT)),
    });
    assert.equal(answer.status, 200);
  });

  test('they never reach the provider', async () => {
    const { keys } = await stand.ledger();
    assert.deepEqual(Object.keys(keys), [fnv1a(PROVIDER_KEY)]);
  });

  test("a tenant's jobs are its own", async () => {
    const as = (key) => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });
    const body = JSON.stringify({ endpoint: '/v1/chat/completions', body: chat(PROMPT) });
    const made = await fetch(`${stand.url}/v1/jobs`,
      { method: 'POST', headers: as(FIRST), body });
    assert.equal(made.status, 202);
    const { id } = await made.json();
    const look = (key, more = '') => fetch(`${stand.url}/v1/jobs/${id}${more}`, { headers: as(key) });
    assert.equal((await look(FIRST, '?wait=20')).status, 200);
    assert.equal((await look(SECOND)).status, 404);
    const list = async (key) => (await (await fetch(`${stand.url}/v1/jobs`,
      { headers: as(key) })).json()).data.map((one) => one.id);
    assert.deepEqual(await list(FIRST), [id]);
    assert.deepEqual(await list(SECOND), []);
    const cancel = await fetch(`${stand.url}/v1/jobs/${id}`, { method: 'DELETE', headers: as(SECOND) });
    assert.equal(cancel.status, 404);
  });
});
