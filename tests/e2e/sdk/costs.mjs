// Budgets as the SDKs see them: which exception, how often they ask, and when it goes on.
import assert from 'node:assert/strict';
import { toFile } from 'openai';
import { getJson, steer, suite, until } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, collect, failure, message, openai }
  from './clients.mjs';

const tenants = ['poor', 'brief', 'streams', 'batches', 'rich'];
const KEYS = Object.fromEntries(tenants.map((name) => [name, `sluice-key-of-${name}`]));
const PROMPT = steer('output=5'); // half a cent, at a thousand dollars for a million tokens
const WAIT_MS = 20000;

const OPTIONS = {
  secrets: Object.values(KEYS),
  headers: { authorization: `Bearer ${KEYS.rich}` },
  models: [{ name: '*', rpm: 60000, tpm: 10000000, price: { input: 0, output: 1000 } }],
  config: {
    auth: { keys: tenants.map((tenant) => ({ key: KEYS[tenant], tenant })) },
    tenants: [
      ...['poor', 'streams', 'batches'].map((name) => ({ name, max_budget: '0.01' })),
      { name: 'brief', max_budget: '0.01', budget_duration: '3s' },
    ],
  },
};

suite('costs: a tenant has a cent', OPTIONS, (stand, test) => {
  const ask = (tenant, more) =>
    openai(stand, { apiKey: KEYS[tenant], ...more }).chat.completions.create(chat(PROMPT));
  const tell = (tenant, more) =>
    anthropic(stand, { apiKey: KEYS[tenant], ...more }).messages.create(message(PROMPT));

  test('then it is stopped, and no SDK tries again', async () => {
    await ask('poor');
    const told = await openai(stand, { apiKey: KEYS.poor }).chat.completions
      .create(chat(PROMPT)).withResponse();
    assert.equal(told.response.headers.get('x-sluice-cost'), '0.005');
    const before = (await stand.calls()).length;
    const refused = await failure(ask('poor', { maxRetries: 5 }));
    assert.ok(refused instanceof OpenAI.RateLimitError, String(refused));
    assert.equal(refused.code, 'budget_exceeded');
    assert.match(refused.message, /tenant "poor" is used up: \$0\.01 of \$0\.01/);
    assert.equal(refused.headers.get('x-should-retry'), 'false');
    const other = await failure(tell('poor', { maxRetries: 5 }));
    assert.ok(other instanceof Anthropic.RateLimitError, String(other));
    assert.equal(other.error.error.type, 'rate_limit_error');
    assert.match(other.message, /max_budget/);
    assert.equal((await stand.calls()).length, before);
    await ask('rich');
  });

  test('it goes on when the period begins anew', async () => {
    await until('the budget is spent', WAIT_MS, () => ask('brief').then(() => false, () => true));
    await until('it begins anew', WAIT_MS, () => ask('brief').then(() => true, () => false));
  });

  test('streams cost what they say at their end, or what was foreseen of them', async () => {
    const client = openai(stand, { apiKey: KEYS.streams });
    const stream = (words) => client.chat.completions.create(chat(steer(words), { stream: true }));
    await collect(await stream('output=5'));
    const costs = async () => {
      const all = await getJson(`${stand.url}/v1/costs?group_by=tenant`, OPTIONS.headers);
      return all.data.find((one) => one.tenant === 'streams');
    };
    await until('it is counted', WAIT_MS, async () => (await costs())?.cost_nano_usd === 5000000);
    const cut = await stream('output=100 ms_per_token=50');
    for await (const chunk of cut) {
      assert.ok(chunk);
      break; // leaves before the usage is told
    }
    await until('it is counted too', WAIT_MS, async () => (await costs()).requests === 2);
    assert.ok((await costs()).cost_nano_usd > 5000000);
  });

  test("a batch's lines fail with the same error", async () => {
    const client = openai(stand, { apiKey: KEYS.batches });
    await ask('batches');
    await ask('batches');
    const line = JSON.stringify({ custom_id: 'one', method: 'POST', url: '/v1/chat/completions',
      body: chat(PROMPT) });
    const file = await client.files.create({ purpose: 'batch',
      file: await toFile(Buffer.from(line), 'in.jsonl') });
    const { id } = await client.batches.create({ input_file_id: file.id,
      endpoint: '/v1/chat/completions', completion_window: '24h' });
    let batch;
    await until('it ends', WAIT_MS, async () => {
      batch = await client.batches.retrieve(id);
      return batch.status === 'completed' || batch.status === 'failed';
    });
    assert.equal(batch.request_counts.failed, 1);
    const errors = await (await client.files.content(batch.error_file_id)).text();
    assert.match(errors, /budget_exceeded/);
  });
});
