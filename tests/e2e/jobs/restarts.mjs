// The service is ended in the middle, in both ways, and started again: every job ends.
import assert from 'node:assert/strict';
import { fnv1a, steer, suite, until } from '../lib/stand.mjs';
import { Jobs, chatJob } from './requests.mjs';

const COUNT = 40;
const PARALLEL = 4;
const OPTIONS = {
  models: [{ name: '*', rpm: 60000, max_parallel_requests: PARALLEL }],
  simulate: ['--latency-ms', '150'],
  config: { queue: { lease_ms: 1000 } },
};

async function inTheMiddle(stand, jobs) {
  await stand.reset();
  const prompts = Array.from({ length: COUNT }, (_, i) => steer('output=5', `Job ${i}`));
  const made = await jobs.submitLines(prompts.map((one) => chatJob(one)));
  await until('some have ended', 10000, async () => (await stand.ledger()).answered >= PARALLEL);
  return { prompts, made };
}

async function allSucceed(jobs, { prompts, made }) {
  for (const [i, { id }] of made.entries()) {
    const job = await jobs.end(id);
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.ok(job.response.body.choices[0].message.content.startsWith(`echo${fnv1a(prompts[i])}`));
  }
}

suite('jobs: restarts', OPTIONS, (stand, test) => {
  const jobs = new Jobs(stand);

  test('SIGTERM: what runs ends, what waits stays, nothing is sent twice', async () => {
    const given = await inTheMiddle(stand, jobs);
    await stand.restart();
    await allSucceed(jobs, given);
    const { calls, answered } = await stand.ledger();
    assert.equal(answered, COUNT);
    assert.equal(calls, COUNT);
  });

  test('SIGKILL: nothing is lost, and only what ran is sent again', async () => {
    const given = await inTheMiddle(stand, jobs);
    await stand.restart('SIGKILL');
    await allSucceed(jobs, given);
    const { calls } = await stand.ledger();
    assert.ok(calls >= COUNT && calls <= COUNT + PARALLEL, `${calls} calls`);
  });

  test('SIGTERM while a caller waits: its answer still comes, and nothing new is taken', async () => {
    const waiting = fetch(`${stand.url}/v1/chat/completions`, {
      method: 'POST', body: JSON.stringify(chatJob(steer('latency_ms=1000')).body),
    });
    await stand.untilLoad('one runs', (load) => load.running === 1);
    const ended = stand.service.end('SIGTERM');
    // A kept connection is told 503 and closed; new ones are refused, so that others get them.
    await until('it takes nothing', 900, async () => {
      const answer = await fetch(`${stand.url}/readyz`).catch(() => null);
      return answer?.status !== 200;
    });
    for (const path of ['/v1/jobs', '/v1/chat/completions']) {
      const late = await fetch(`${stand.url}${path}`, {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify(chatJob('x')),
      }).catch(() => ({ status: 'refused' }));
      assert.ok(late.status === 'refused' || late.status === 503, `${path}: ${late.status}`);
    }
    assert.equal((await waiting).status, 200);
    assert.equal((await ended)[0], 0);
    await stand.startService();
  });

  test('a result outlives the service that made it', async () => {
    const { id } = await jobs.submit(chatJob(steer('output=5')));
    const before = await jobs.end(id);
    await stand.restart();
    assert.deepEqual((await jobs.look(id)).body, before);
    const { body } = await jobs.list('?limit=1');
    assert.equal(body.data[0].id, id);
  });

  test('an Idempotency-Key outlives it as well', async () => {
    const headers = { 'idempotency-key': 'over the restart' };
    const { id } = await jobs.submit(chatJob('Hello'), headers);
    await jobs.end(id);
    await stand.restart();
    assert.equal((await jobs.submit(chatJob('Hello'), headers)).id, id);
  });
});
