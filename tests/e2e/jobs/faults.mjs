// Jobs whose provider fails: they are repeated, and in the end they tell what happened.
import assert from 'node:assert/strict';
import { steer, suite } from '../lib/stand.mjs';
import { Jobs, chatJob } from './requests.mjs';

const ERROR = { error: { message: 'from the script', type: 'server_error' } };

suite('jobs: faults of the provider', {}, (stand, test) => {
  const jobs = new Jobs(stand);

  for (const [name, reply] of Object.entries({
    'a 500': { status: 500, body: ERROR, times: 2 },
    'a 529': { status: 529, body: ERROR },
    'a closed connection': { disconnect: true },
    'half a body': { status: 200, body: '{"choices":[', cut_after: 5 },
    'a 429': { status: 429, body: ERROR, headers: { 'retry-after-ms': '100' }, times: 2 },
  })) {
    test(`${name}, then success`, async () => {
      await stand.reset();
      await stand.script(reply);
      const { id } = await jobs.submit(chatJob(steer('output=4')));
      const job = await jobs.end(id);
      assert.equal(job.status, 'succeeded', JSON.stringify(job));
      assert.equal(job.usage.output_tokens, 4);
      assert.equal((await stand.calls()).length, (reply.times ?? 1) + 1);
      assert.equal(job.attempts, (reply.times ?? 1) + 1);
    });
  }

  test('a job between two attempts is told as retrying, and may be cancelled', async () => {
    await stand.reset();
    await stand.script({ status: 503, body: ERROR, headers: { 'retry-after': '30' } });
    const { id } = await jobs.submit(chatJob('Hello'));
    let job;
    do job = await jobs.wait(id, 0.05); while (job.status === 'queued' || job.status === 'running');
    assert.equal(job.status, 'retrying');
    assert.equal((await jobs.cancel(id)).body.status, 'cancelled');
    await stand.untilIdle();
  });

  test('what the provider refuses fails the job with its answer, at once', async () => {
    await stand.reset();
    const { id } = await jobs.submit(chatJob(steer('status=400')));
    const job = await jobs.end(id);
    assert.equal(job.status, 'failed');
    assert.equal(job.response.status_code, 400);
    assert.ok(job.response.body.error.message);
    assert.equal((await stand.calls()).length, 1);
  });

  test('a provider that keeps failing fails the job, after max_attempts', async () => {
    await stand.reset();
    const { id } = await jobs.submit(chatJob(steer('status=500')));
    const job = await jobs.end(id);
    assert.equal(job.status, 'failed');
    assert.equal(job.response.status_code, 500);
    assert.equal((await stand.calls()).length, 4);
  });

  test('a provider that never answers whole fails it with a reason', async () => {
    await stand.reset();
    const { id } = await jobs.submit(chatJob(steer('disconnect')));
    const job = await jobs.end(id);
    assert.equal(job.status, 'failed');
    assert.equal(job.error.status, 502);
    assert.match(job.error.message, /closed the connection/);
  });

  test('what can never fit is refused at once', async () => {
    const { status, body } = await jobs.post(chatJob('x', {
      body: { model: 'gpt-4o', max_tokens: 90000000, messages: [{ role: 'user', content: 'x' }] },
    }), { 'x-sluice-shrink': 'never' });
    assert.equal(status, 413);
    assert.match(body.error.message, /tpm/);
  });
});
