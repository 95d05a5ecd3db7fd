// A provider that is stricter than the configuration says: its refusals never reach a caller.
import assert from 'node:assert/strict';
import { steer, suite } from '../lib/stand.mjs';
import { OpenAI, anthropic, chat, collect, failure, message, openai } from './clients.mjs';

const PROMPT = steer('output=4');

function crowd(stand, size) {
  return Promise.all(Array.from({ length: size }, async (_, i) => {
    if (i % 4 === 0) return openai(stand).chat.completions.create(chat(PROMPT));
    if (i % 4 === 1) return anthropic(stand).messages.create(message(PROMPT));
    if (i % 4 === 2) {
      return collect(await openai(stand).chat.completions.create(chat(PROMPT, { stream: true })));
    }
    return anthropic(stand).messages.stream(message(PROMPT)).finalMessage();
  }));
}

suite('limits: requests a minute',
  { simulate: ['--rpm', '300', '--request-slice-ms', '1000'] }, (stand, test) => {
    test('429s stay inside', async () => {
      await crowd(stand, 32);
      const { calls, answered, refused } = await stand.ledger();
      assert.equal(answered, 32);
      assert.ok(refused.total > 0, 'the provider was stricter');
      assert.equal(calls, 32 + refused.total);
      assert.equal((await stand.stats()).totals.counts.provider_429, refused.total);
    });
  });

suite('limits: requests at a time', { simulate: ['--concurrency', '3', '--latency-ms', '20'] },
  (stand, test) => {
    test('429s stay inside', async () => {
      await crowd(stand, 24);
      const { answered, refused } = await stand.ledger();
      assert.equal(answered, 24);
      assert.ok(refused.total > 0, 'the provider was stricter');
    });
  });

suite('limits: within the configuration', {
  simulate: ['--rpm', '1200', '--request-slice-ms', '3000', '--tpm', '100000', '--concurrency', '4',
    '--latency-ms', '20'],
  models: [{ name: '*', pool: 'all', rpm: 60, tpm: 100000, max_parallel_requests: 4 }],
}, (stand, test) => {
  test('a provider as strict as configured refuses nothing', async () => {
    await crowd(stand, 24);
    const { answered, refused } = await stand.ledger();
    assert.equal(answered, 24);
    assert.equal(refused.total, 0);
  });
});

suite('limits: single refusals', {}, (stand, test) => {
  const refusal = (more, headers) => ({
    status: 429, headers: { 'retry-after-ms': '200', ...headers },
    body: { error: { message: 'Rate limit reached', type: 'requests', ...more } },
  });

  test('a 429 with its wait is waited out', async () => {
    await stand.script({ ...refusal({ code: 'rate_limit_exceeded' }), times: 2 });
    const { response } = await openai(stand).chat.completions.create(chat(PROMPT)).withResponse();
    assert.equal(response.headers.get('x-sluice-attempts'), '3');
    assert.equal(response.headers.get('x-sluice-decision'), 'delayed');
  });

  test('a 429 in the middle of many calls is one that nobody sees', async () => {
    await stand.script(refusal({ code: 'rate_limit_exceeded' }));
    await crowd(stand, 16);
  });

  test('a 429 about money is no matter of waiting: it is told as it is, once', async () => {
    await stand.reset();
    await stand.script(refusal({ code: 'insufficient_quota', message: 'Check your plan' }));
    const error = await failure(openai(stand).chat.completions.create(chat(PROMPT)));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.match(error.message, /Check your plan/);
    assert.equal((await stand.calls()).length, 1);
  });
});
