// The strategy summarize: a cheap model sums old turns up, once, and when it cannot, results of
// tools are cut instead.
import assert from 'node:assert/strict';
import { suite } from '../lib/stand.mjs';
import { Jobs } from '../jobs/requests.mjs';
import { FORMATS, post } from './talk.mjs';

const SUMS = { 'x-sluice-trim': 'sums' };

suite('preflight: summaries', {
  simulate: ['--strict-roles'],
  models: [{ name: 'gpt-4o-mini', tpm: 10000000 }, { name: '*', tpm: 10000000 }],
  config: {
    trim_policies: [{ name: 'sums', strategies: ['summarize'], keep_turns: 3 }],
    summaries: { model: 'gpt-4o-mini', timeout_ms: 2000, max_tokens: 200 },
  },
}, (stand, test) => {
  for (const [name, make] of Object.entries(FORMATS)) {
    test(`${name}: old turns become their summary, which serves the next request as well`, async () => {
      await stand.reset();
      const first = await post(stand.url, make(20, 200), SUMS);
      assert.equal(first.status, 200, JSON.stringify(first.body));
      assert.match(first.trim, /^sums \(summarize/);
      let calls = await stand.calls();
      assert.deepEqual(calls.map((c) => c.model), ['gpt-4o-mini', make(1, 1)[1].model]);
      assert.ok(calls[1].input_tokens * 2 < calls[0].input_tokens, 'the summary is much smaller');
      const next = await post(stand.url, make(20, 200), SUMS);
      assert.equal(next.status, 200, JSON.stringify(next.body));
      calls = await stand.calls();
      assert.equal(calls.length, 3, 'it was not made again');
      assert.ok(next.trimmed > first.trimmed, 'the first one paid for the summary');
    });
  }

  test('a restarted service has it from Redis', async () => {
    await stand.restart();
    await stand.reset();
    const answer = await post(stand.url, FORMATS.chat(20, 200), SUMS);
    assert.match(answer.trim, /^sums \(summarize/);
    assert.equal((await stand.calls()).length, 1);
  });

  test('who cannot have one gets the results of tools cut', async () => {
    await stand.reset();
    await stand.script({ status: 400, body: { error: { message: 'no' } } });
    const answer = await post(stand.url, FORMATS.chat(21, 201), SUMS);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.match(answer.trim, /^sums \(tool_results/);
  });

  test('as does who would wait too long for it', async () => {
    await stand.reset();
    await stand.script({ status: 200, delay_ms: 10000, body: {} });
    const begun = Date.now();
    const answer = await post(stand.url, FORMATS.chat(22, 202), SUMS);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.match(answer.trim, /^sums \(tool_results/);
    assert.ok(Date.now() - begun < 9000, 'it did not wait for the end');
  });

  test('a client that leaves while it waits leaves nothing behind', async () => {
    await stand.reset();
    await stand.script({ status: 200, delay_ms: 1000, body: {} });
    const [path, body] = FORMATS.chat(23, 203);
    const gone = AbortSignal.timeout(300);
    await assert.rejects(fetch(stand.url + path, { method: 'POST', body: JSON.stringify(body),
      headers: SUMS, signal: gone }));
    await stand.untilIdle();
    assert.deepEqual((await stand.calls()).map((c) => c.model), ['gpt-4o-mini']);
  });

  test('a job waits for its summary before it is queued', async () => {
    await stand.reset();
    const jobs = new Jobs(stand);
    const [endpoint, body] = FORMATS.chat(24, 204);
    const { status, body: made } = await jobs.post({ endpoint, body }, SUMS);
    assert.equal(status, 202, JSON.stringify(made));
    const job = await jobs.end(made.id);
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.equal(job.trim.policy, 'sums');
    assert.ok(job.trim.stages.includes('summarize'));
  });

  test('several who need the same one wait for one', async () => {
    await stand.reset();
    const answers = await Promise.all(Array.from({ length: 5 }, () =>
      post(stand.url, FORMATS.chat(25, 205), SUMS)));
    for (const answer of answers) assert.match(answer.trim, /^sums \(summarize/);
    const models = (await stand.calls()).map((c) => c.model);
    assert.equal(models.filter((m) => m === 'gpt-4o-mini').length, 1);
    assert.equal(models.length, 6);
  });
});
