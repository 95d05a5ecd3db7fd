// Embedding calls that are joined: see ./run --help.
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { after } from 'node:test';
import { sleep, suite, until } from '../lib/stand.mjs';
import { close, embed, isOf } from './embed.mjs';

const long = Boolean(process.env.TEST_LONG);
const JOINED = long ? 2000 : 1400;
const ALONE = long ? 2000 : 80;
const RPM = 60;
const DIMS = 16;
const FEWER = 20;
const SOONER = 10;
// Two models have two budgets: one for those that are joined, one for those that go alone.
const MODELS = [
  { name: 'joined', rpm: RPM }, { name: 'alone', rpm: RPM }, { name: '*', rpm: 60000 }];

after(close);

function own(answer, text) {
  assert.equal(answer.status, 200, JSON.stringify(answer.body).slice(0, 300));
  assert.equal(answer.body.data.length, 1);
  assert.equal(answer.body.data[0].index, 0);
  assert.ok(isOf(answer.body.data[0], text, DIMS), `a vector of another text than ${text}`);
}

// All at once. {seconds, done, waiting} of those that were answered before `stop` was.
async function many(url, model, count, headers, stop = new AbortController()) {
  setMaxListeners(0, stop.signal);
  const begun = Date.now();
  const seen = { done: 0, sizes: [], tokens: 0 };
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const input = `text number ${i} of ${model}`;
    const request = { model, input, dimensions: DIMS };
    if (i % 2) request.encoding_format = 'base64';
    try {
      const answer = await embed(url, request, headers, stop.signal);
      own(answer, input);
      seen.done++;
      seen.tokens += answer.body.usage.prompt_tokens;
      seen.sizes.push(Number(answer.headers['x-sluice-batch-size'] ?? 0));
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  }));
  seen.seconds = (Date.now() - begun) / 1000;
  return seen;
}

async function callsOf(stand, model) {
  return (await stand.calls()).filter((call) => call.model === model);
}

const options = {
  models: MODELS,
  testMs: long ? 300000 : 120000,
  simulate: ['--rpm', '0', '--limit', `model=joined,rpm=${RPM}`, '--limit', `model=alone,rpm=${RPM}`,
    '--latency-ms', '20', '--refuse-input', 'poison'],
  config: { queue: { max_wait_ms: 7200000 } }, // those that go alone wait longer than the default
};

suite('embeddings that are joined', options, (stand, test) => {
  test(`${JOINED} calls take ${FEWER} times fewer requests and end ${SOONER} times sooner`,
    async () => {
      const stop = new AbortController();
      const alone = many(stand.url, 'alone', ALONE, { 'x-sluice-batch': 'off' }, stop);
      alone.catch(() => {});
      const joined = await many(stand.url, 'joined', JOINED, {});
      const calls = await callsOf(stand, 'joined');
      assert.equal(joined.done, JOINED);
      assert.ok(joined.sizes.every((size) => size >= 0));
      if (long) {
        await Promise.race([alone, sleep(joined.seconds * 1000 * SOONER)]);
        stop.abort();
      }
      const other = await alone;
      const ledger = await stand.ledger();
      const faster = (joined.done / joined.seconds) / (other.done / other.seconds);
      console.log(`joined: ${joined.done} calls, ${calls.length} requests ` +
        `(${(JOINED / calls.length).toFixed(1)} times fewer), ${joined.seconds.toFixed(1)} s; ` +
        `alone: ${other.done} of ${ALONE} in ${other.seconds.toFixed(1)} s; rate ` +
        `${faster.toFixed(0)} times; largest batch ${Math.max(...joined.sizes)}`);
      assert.equal(ledger.refused.total, 0, 'the provider refuses nothing');
      assert.ok(JOINED >= FEWER * calls.length, `${calls.length} requests`);
      assert.ok(faster >= SOONER, `${faster} times the rate`);
      if (long) assert.ok(other.seconds >= SOONER * joined.seconds || other.done < ALONE);
      const billed = calls.reduce((sum, call) => sum + call.input_tokens, 0);
      assert.equal(joined.tokens, billed, 'shares of the usage add up to what was billed');
    });

  test('an array of 5,000 is sent in parts and put together again', async () => {
    const input = Array.from({ length: 5000 }, (_, i) => `part ${i}`);
    const answer = await embed(stand.url, { model: 'wide', input, dimensions: DIMS });
    const calls = await callsOf(stand, 'wide');
    assert.equal(answer.status, 200);
    assert.equal(calls.length, 3);
    assert.deepEqual(answer.body.data.map((one) => one.index), input.map((_, i) => i));
    answer.body.data.forEach((one, i) => {
      assert.ok(isOf(one, input[i], DIMS), `a vector of another text than ${input[i]}`);
    });
    assert.equal(answer.body.usage.prompt_tokens,
      calls.reduce((sum, call) => sum + call.input_tokens, 0));
  });

  test('only the guilty are refused', async () => {
    const texts = Array.from({ length: 64 }, (_, i) => (i === 11 || i === 40 ? 'poison' : `good ${i}`));
    const answers = await Promise.all(texts.map((input) => embed(stand.url,
      { model: 'strict', input, dimensions: DIMS })));
    answers.forEach((answer, i) => {
      if (texts[i] !== 'poison') own(answer, texts[i]);
      else assert.equal(answer.status, 400);
      if (texts[i] === 'poison') assert.match(answer.body.error.message, /is not accepted/);
    });
  });

  test('equal inputs are sent once', async () => {
    const before = (await stand.pool('openai:default:*')).counts;
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => embed(stand.url,
      { model: 'equal', input: `one of ${i % 4}`, dimensions: DIMS })));
    answers.forEach((answer, i) => own(answer, `one of ${i % 4}`));
    const after2 = await until('the counters are told', 10000, async () => {
      const { counts } = await stand.pool('openai:default:*');
      return counts.inputs_deduplicated > before.inputs_deduplicated && counts;
    });
    assert.ok(after2.batched > before.batched);
    assert.ok(after2.batches > before.batches);
  });

  test('tenants and other parameters are not mixed', async () => {
    const answers = await Promise.all([8, 16, 8, 16].map((dimensions, i) => embed(stand.url,
      { model: 'mixed', input: `mixed ${i}`, dimensions })));
    answers.forEach((answer, i) => {
      assert.ok(isOf(answer.body.data[0], `mixed ${i}`, [8, 16, 8, 16][i]));
    });
  });
});
