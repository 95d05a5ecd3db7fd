// A request that the queue would hold past its deadline: a smaller form of it, or 504 at once.
import assert from 'node:assert/strict';
import { suite } from '../lib/stand.mjs';
import { Jobs } from '../jobs/requests.mjs';
import { FORMATS, post, text } from './talk.mjs';

const NEVER = { 'x-sluice-shrink': 'never' };
const large = (max) => ['/v1/chat/completions', { model: 'gpt-4o', max_tokens: max,
  messages: [{ role: 'user', content: text(60) }] }];

suite('preflight: deadlines', {
  models: [{ name: '*', tpm: 60000, min_output_tokens: 16 }],
}, (stand, test) => {
  // 1,000 tokens a second: 10,000 more than are there are 10 s away.
  const drain = async () => {
    const { status } = await post(stand.url, large(55000), NEVER);
    assert.equal(status, 200);
  };

  test('never: 504 at once, with the time it would take', async () => {
    await drain();
    const begun = Date.now();
    const answer = await post(stand.url, large(20000), { ...NEVER, 'x-sluice-deadline-ms': '3000' });
    assert.equal(answer.status, 504);
    assert.ok(Date.now() - begun < 2500, 'it was told at once');
    assert.match(answer.body.error.message, /would wait about \d+ ms .*tpm.*may wait/);
    assert.ok(Number(answer.retryAfter) >= 1000, answer.retryAfter);
    await stand.untilIdle();
  });

  test('a smaller form is in time', async () => {
    const before = (await stand.calls()).length;
    const answer = await post(stand.url, large(20000), { 'x-sluice-deadline-ms': '3000' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.decision, 'shrunk');
    assert.ok(Number(answer.maxTokens) < 20000, answer.maxTokens);
    assert.equal((await stand.calls()).length, before + 1, 'one form of it was sent');
    await stand.untilIdle();
  });

  test('a conversation is cut for its deadline', async () => {
    const answer = await post(stand.url, FORMATS.chat(30, 400, { max_tokens: 20 }),
      { 'x-sluice-deadline-ms': '6000' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.decision, 'shrunk');
    assert.ok(answer.trimmed > 0);
    await stand.untilIdle();
  });

  test('when no form is early enough, 504 at once', async () => {
    const body = ['/v1/chat/completions', { model: 'gpt-4o', max_tokens: 20,
      messages: [{ role: 'user', content: text(20000) }] }];
    const begun = Date.now();
    const answer = await post(stand.url, body, { 'x-sluice-deadline-ms': '2000' });
    assert.equal(answer.status, 504, JSON.stringify(answer.body));
    assert.ok(Date.now() - begun < 1900, 'it was told at once');
    await stand.untilIdle();
    assert.equal((await stand.load()).waiting, 0);
  });
});

suite('preflight: deadlines of jobs', {
  models: [{ name: '*', tpm: 60000, min_output_tokens: 16 }],
}, (stand, test) => {
  const job = (max, deadline) => ({ endpoint: '/v1/chat/completions', deadline_ms: deadline,
    body: { model: 'gpt-4o', max_tokens: max, messages: [{ role: 'user', content: text(60) }] } });

  test('a job is made smaller for its deadline, and its record says so', async () => {
    const jobs = new Jobs(stand);
    const first = await jobs.end((await jobs.submit(job(55000, 60000))).id);
    assert.equal(first.status, 'succeeded');
    assert.equal(first.trim, null);
    const second = await jobs.end((await jobs.submit(job(20000, 5000))).id);
    assert.equal(second.status, 'succeeded', JSON.stringify(second));
    assert.equal(second.decision, 'shrunk');
    assert.ok(second.trim.max_tokens < 20000);
  });

  test('never: 504 when it is submitted', async () => {
    const { status, body } = await new Jobs(stand).post(job(50000, 1000), NEVER);
    assert.equal(status, 504, JSON.stringify(body));
    assert.match(body.error.message, /deadline of 1000 ms/);
  });
});
