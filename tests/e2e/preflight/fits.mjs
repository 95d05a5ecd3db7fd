// What would not fit its model or its pool is made smaller, or refused where that is not wanted.
import assert from 'node:assert/strict';
import { suite, fnv1a } from '../lib/stand.mjs';
import { Jobs } from '../jobs/requests.mjs';
import { FORMATS, post, text } from './talk.mjs';

const NEVER = { 'x-sluice-shrink': 'never' };
const NONE = { 'x-sluice-trim': 'none' };

suite('preflight: what fits its pool', {
  simulate: ['--strict-roles', '--tpm', '10000'],
  models: [{ name: '*', tpm: 10000, default_output_tokens: 100 },
    { name: 'gpt-4.1', tpm: 10000, default_output_tokens: 100 }],
}, (stand, test) => {
  for (const [name, make] of Object.entries(FORMATS)) {
    test(`${name}: what fits goes out byte for byte`, async () => {
      await stand.reset();
      const answer = await post(stand.url, make(3, 20));
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.trimmed, 0);
      assert.equal(answer.trim, null);
      assert.ok(['admitted', 'delayed'].includes(answer.decision), answer.decision);
      assert.equal((await stand.lastCall()).body_hash, fnv1a(answer.sent));
    });

    test(`${name}: a conversation too large for the pool is trimmed until it fits`, async () => {
      await stand.reset();
      const answer = await post(stand.url, make(30, 400));
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.decision, 'shrunk');
      assert.ok(answer.trimmed > 1000, `${answer.trimmed}`);
      assert.match(answer.trim, /^(conservative|balanced|aggressive) \(/);
      const call = await stand.lastCall();
      assert.ok(call.input_tokens <= 10000, `${call.input_tokens}`);
    });

    test(`${name}: x-sluice-shrink: never refuses it, as does x-sluice-trim: none`, async () => {
      for (const headers of [NEVER, NONE]) {
        const answer = await post(stand.url, make(40, 400), headers);
        assert.equal(answer.status, 413, JSON.stringify(answer.body));
        assert.match(answer.body.error.message, /tpm.*10000/);
      }
    });
  }
});

suite('preflight: the most it may answer', {
  models: [{ name: 'gpt-*', tpm: 20000, min_output_tokens: 64, max_output_tokens: 9000 },
    { name: '*', tpm: 20000 }],
}, (stand, test) => {
  const ask = (more) => ['/v1/chat/completions', {
    model: 'gpt-4o', messages: [{ role: 'user', content: text(50) }], ...more }];

  test('a maximum above the model\'s own is lowered to it', async () => {
    const answer = await post(stand.url, ask({ max_tokens: 12000 }));
    assert.equal(answer.status, 200);
    assert.equal(answer.decision, 'shrunk');
    assert.equal(answer.maxTokens, '9000');
    const call = await stand.lastCall();
    assert.equal(call.charged_tokens, call.input_tokens + 9000);
  });

  test('or refused, in the words of the provider', async () => {
    const answer = await post(stand.url, ask({ max_tokens: 12000 }), NEVER);
    assert.equal(answer.status, 400);
    assert.match(answer.body.error.message, /max_tokens is too large: 12000.*at most 9000/);
    assert.equal(answer.body.error.param, 'max_tokens');
  });

  test('one that the pool could never hold is lowered until it fits', async () => {
    const answer = await post(stand.url, ['/v1/chat/completions', { model: 'other',
      max_tokens: 90000, messages: [{ role: 'user', content: text(500) }] }],
    { 'x-sluice-max-wait-ms': '80000' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.decision, 'shrunk');
    assert.equal(answer.trimmed, 0);
    const call = await stand.lastCall();
    const most = Number(answer.maxTokens);
    assert.ok(most > 10000 && most < 20000, `${most}`);
    assert.equal(call.charged_tokens, call.input_tokens + most);
  });

  test('where the provider does not charge it, it stays', async () => {
    const answer = await post(stand.url, ['/v1/messages', { model: 'claude-x', max_tokens: 64000,
      messages: [{ role: 'user', content: text(20) }] }]);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.maxTokens, null);
    assert.equal((await stand.lastCall()).body_hash, fnv1a(answer.sent));
  });

  test('a job keeps what was cut in its record', async () => {
    const jobs = new Jobs(stand);
    const { id } = await jobs.submit({ endpoint: '/v1/chat/completions',
      body: { model: 'openai/gpt-4o', max_tokens: 10000,
        messages: [{ role: 'user', content: 'x' }] } });
    const job = await jobs.end(id);
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.equal(job.decision, 'shrunk');
    assert.deepEqual(job.trim, { policy: null, stages: [], tokens: 0, max_tokens: 9000, shrunk: true });
    const call = await stand.lastCall();
    assert.equal(call.charged_tokens, call.input_tokens + 9000);
  });
});

suite('preflight: the context window', {
  simulate: ['--context-window', '8000'],
  models: [{ name: '*', tpm: 10000000, context_window: 8000, default_output_tokens: 100 }],
}, (stand, test) => {
  for (const [name, make] of Object.entries(FORMATS)) {
    test(`${name}: a conversation larger than the window is trimmed to fit`, async () => {
      const answer = await post(stand.url, make(30, 400));
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.decision, 'shrunk');
      assert.ok((await stand.lastCall()).input_tokens <= 8000);
    });
  }

  test('or refused in the words of the provider', async () => {
    const chat = await post(stand.url, FORMATS.chat(30, 400), NONE);
    assert.equal(chat.status, 400);
    assert.equal(chat.body.error.code, 'context_length_exceeded');
    assert.match(chat.body.error.message, /maximum context length is 8000 tokens/);
    const messages = await post(stand.url, FORMATS.messages(60, 400), NEVER);
    assert.equal(messages.status, 400);
    assert.equal(messages.body.error.type, 'invalid_request_error');
    assert.match(messages.body.error.message, /prompt is too long: \d+ tokens > 8000 maximum/);
  });

  test('a maximum of output that the window does not hold is lowered', async () => {
    const answer = await post(stand.url, ['/v1/chat/completions', { model: 'gpt-4o',
      max_tokens: 8000, messages: [{ role: 'user', content: text(100) }] }]);
    assert.equal(answer.status, 200);
    assert.ok(Number(answer.maxTokens) > 7000, answer.maxTokens);
  });
});
