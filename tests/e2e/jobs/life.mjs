// One job: submit, wait, watch, cancel, its deadline and its Idempotency-Key.
import assert from 'node:assert/strict';
import { fnv1a, steer, suite, until } from '../lib/stand.mjs';
import { Jobs, chatJob } from './requests.mjs';

const ONE_PLACE = { models: [{ name: '*', rpm: 60000, max_parallel_requests: 1 }] };

// Takes the only place for `ms`.
async function hold(stand, jobs, ms) {
  const job = await jobs.submit(chatJob(steer(`latency_ms=${ms}`)));
  await stand.untilLoad('one runs', (load) => load.running === 1);
  return job;
}

suite('jobs: submit and wait', {}, (stand, test) => {
  const jobs = new Jobs(stand);

  test('a job is accepted with its place, and ends with its answer', async () => {
    const prompt = steer('output=7 latency_ms=50');
    const { status, headers, body } = await jobs.post(chatJob(prompt, { metadata: { row: 17 } }));
    assert.equal(status, 202);
    assert.equal(headers.get('location'), `/v1/jobs/${body.id}`);
    assert.equal(body.object, 'job');
    assert.match(body.id, /^job_[0-9a-f]{32}$/);
    assert.ok(['queued', 'running'].includes(body.status), body.status);
    const job = await jobs.end(body.id);
    assert.equal(job.status, 'succeeded');
    assert.equal(job.endpoint, '/v1/chat/completions');
    assert.equal(job.model, 'gpt-4o');
    assert.equal(job.priority, 'normal');
    assert.deepEqual(job.metadata, { row: 17 });
    assert.equal(job.response.status_code, 200);
    assert.ok(job.response.body.choices[0].message.content.startsWith(`echo${fnv1a(prompt)}`));
    assert.equal(job.usage.output_tokens, 7);
    assert.equal(job.error, null);
    assert.equal(job.attempts, 1);
    assert.ok(job.created_at <= job.started_at && job.started_at <= job.finished_at);
    assert.ok(Math.abs(Date.now() / 1000 - job.created_at) < 60);
  });

  const input = steer('output=3');
  const bodies = {
    '/v1/completions': { model: 'davinci', prompt: input },
    '/v1/responses': { model: 'gpt-4o', input },
    '/v1/embeddings': { model: 'text-embedding-3-small', input },
    '/v1/messages': { model: 'claude-test', max_tokens: 9,
      messages: [{ role: 'user', content: input }] },
  };
  for (const [endpoint, body] of Object.entries(bodies)) {
    test(`a job for ${endpoint}`, async () => {
      const job = await jobs.end((await jobs.submit({ endpoint, body })).id);
      assert.equal(job.status, 'succeeded', JSON.stringify(job));
      assert.equal((await stand.lastCall()).body_hash, fnv1a(JSON.stringify(body)));
      assert.equal((await stand.lastCall()).path, endpoint);
    });
  }

  test('a wait that is over tells how it is now', async () => {
    const { id } = await jobs.submit(chatJob(steer('latency_ms=1500')));
    const before = Date.now();
    const job = await jobs.wait(id, 0.2);
    assert.ok(Date.now() - before < 1400);
    assert.equal(job.status, 'running');
    assert.equal(job.response, null);
    assert.equal(job.finished_at, null);
    assert.equal((await jobs.end(id)).status, 'succeeded');
  });

  test('many may wait for one job', async () => {
    const { id } = await jobs.submit(chatJob(steer('latency_ms=200')));
    const seen = await Promise.all(Array.from({ length: 20 }, () => jobs.end(id)));
    assert.ok(seen.every((one) => one.status === 'succeeded'));
  });

  test('what is no job is 400 with the field, or 404', async () => {
    const bad = [
      ['{', /JSON/], ['[]', /object/], [{}, /endpoint/],
      [chatJob('x', { endpoint: '/v1/nothing' }), /endpoint/],
      [chatJob('x', { body: 'x' }), /body/],
      [chatJob('x', { priority: 'now' }), /priority/],
      [chatJob('x', { deadline_ms: -5 }), /deadline_ms/],
      [chatJob('x', { metadata: 'x' }), /metadata/],
      [chatJob('x', { metadata: { x: 'y'.repeat(17000) } }), /metadata/],
      [chatJob('x', { body: { model: 'gpt-4o', messages: [], stream: true } }), /stream/],
      [chatJob('x', { body: { messages: [] } }), /model/],
    ];
    for (const [job, words] of bad) {
      const { status, body } = await jobs.post(job);
      assert.equal(status, 400, JSON.stringify(body));
      assert.match(body.error.message, words);
    }
    for (const id of ['job_0123456789abcdef0123456789abcdef', 'x', 'x'.repeat(60), '%7Bid%7D']) {
      assert.equal((await jobs.look(id)).status, 404, id);
      assert.equal((await jobs.cancel(id)).status, 404, id);
      assert.equal((await jobs.look(id, '/events')).status, 404, id);
    }
    for (const wait of ['-1', 'x', '301', '', 'nan']) {
      assert.equal((await jobs.look('x', `?wait=${wait}`)).status, 400, wait);
    }
  });
});

suite('jobs: watch and cancel', ONE_PLACE, (stand, test) => {
  const jobs = new Jobs(stand);

  test('the events of a job are its changes, and end with it', async () => {
    await hold(stand, jobs, 400);
    const { id } = await jobs.submit(chatJob(steer('latency_ms=100')));
    const events = await jobs.events(id);
    assert.deepEqual(events.map((one) => one.status), ['queued', 'running', 'succeeded']);
    assert.equal(events[0].position, 1);
    assert.equal(events[0].binding_limit, 'max_parallel_requests');
    assert.ok(events.at(-1).response.body);
    const late = await jobs.events(id);
    assert.deepEqual(late.map((one) => one.status), ['succeeded']);
  });

  test('a job that waits is cancelled and never sent', async () => {
    await hold(stand, jobs, 500);
    const calls = (await stand.calls()).length;
    const { id } = await jobs.submit(chatJob('Hello'));
    const watched = jobs.events(id);
    const { status, body } = await jobs.cancel(id);
    assert.equal(status, 200);
    assert.equal(body.status, 'cancelled');
    assert.ok(body.finished_at);
    assert.equal((await watched).at(-1).status, 'cancelled');
    await stand.untilIdle();
    assert.equal((await stand.calls()).length, calls);
    assert.equal((await jobs.look(id)).body.status, 'cancelled');
  });

  test('a job that runs is cancelled, and its place is free', async () => {
    const { id } = await hold(stand, jobs, 20000);
    assert.equal((await jobs.cancel(id)).status, 200);
    assert.equal((await jobs.wait(id, 5)).status, 'cancelled');
    await stand.untilIdle(1000);
    await until('the provider sees it', 1000,
      async () => (await stand.lastCall()).outcome === 'gone');
  });

  test('a job that has ended stays as it is', async () => {
    const { id } = await jobs.submit(chatJob(steer('output=2')));
    const ended = await jobs.end(id);
    const { status, body } = await jobs.cancel(id);
    assert.equal(status, 200);
    assert.deepEqual(body, ended);
    assert.equal((await jobs.cancel(id)).body.status, 'succeeded');
  });

  test('a deadline that passes in the queue ends it as expired, unsent', async () => {
    await hold(stand, jobs, 1500);
    const calls = (await stand.calls()).length;
    const { id } = await jobs.submit(chatJob('Hello', { deadline_ms: 300 }));
    const job = await jobs.end(id);
    assert.equal(job.status, 'expired');
    await stand.untilIdle();
    assert.equal((await stand.calls()).length, calls);
  });

  test('a deadline that is kept changes nothing', async () => {
    const { id } = await jobs.submit(chatJob(steer('output=2'), { deadline_ms: 60000 }));
    assert.equal((await jobs.end(id)).status, 'succeeded');
  });

  test('priorities decide who is next', async () => {
    await hold(stand, jobs, 500);
    const order = [];
    const made = [];
    for (const priority of ['batch', 'normal', 'interactive']) {
      made.push(await jobs.submit(chatJob(steer('output=2'), { priority })));
    }
    await Promise.all(made.map(async ({ id, priority }) => {
      await jobs.end(id);
      order.push(priority);
    }));
    const calls = (await stand.calls()).slice(-3);
    assert.equal(calls.length, 3);
    assert.deepEqual(order, ['interactive', 'normal', 'batch']);
  });
});

suite('jobs: Idempotency-Key', {}, (stand, test) => {
  const jobs = new Jobs(stand);
  const key = (name) => ({ 'idempotency-key': name });

  test('the same request under the same key is the same job', async () => {
    const first = await jobs.post(chatJob('Hello'), key('one'));
    const again = await jobs.post(chatJob('Hello'), key('one'));
    assert.equal(first.headers.get('idempotent-replayed'), null);
    assert.equal(again.status, 202);
    assert.equal(again.body.id, first.body.id);
    assert.equal(again.headers.get('idempotent-replayed'), 'true');
    await jobs.end(first.body.id);
    const late = await jobs.post(chatJob('Hello'), key('one'));
    assert.equal(late.body.id, first.body.id);
    assert.equal(late.body.status, 'succeeded');
    assert.equal((await stand.calls()).length, 1);
  });

  test('at the same moment, too', async () => {
    await stand.reset();
    const made = await Promise.all(Array.from({ length: 20 },
      () => jobs.submit(chatJob('Hello'), key('race'))));
    assert.equal(new Set(made.map((one) => one.id)).size, 1);
    await jobs.end(made[0].id);
    assert.equal((await stand.calls()).length, 1);
  });

  test('another request under the same key is 422', async () => {
    await jobs.submit(chatJob('Hello'), key('two'));
    for (const other of [chatJob('Goodbye'),
      chatJob('Hello', { endpoint: '/v1/completions' }), chatJob('Hello', { priority: 'batch' }),
      chatJob('Hello', { deadline_ms: 60000 }), chatJob('Hello', { metadata: { a: 1 } })]) {
      const { status, body } = await jobs.post(other, key('two'));
      assert.equal(status, 422, JSON.stringify(body));
      assert.equal(body.error.code, 'idempotency_key_reused');
    }
  });

  test('a request that was refused leaves its key free', async () => {
    assert.equal((await jobs.post(chatJob('x', { endpoint: '/x' }), key('three'))).status, 400);
    await jobs.submit(chatJob('Hello'), key('three'));
  });

  test('a key that is too long is 400', async () => {
    assert.equal((await jobs.post(chatJob('Hello'), key('x'.repeat(5000)))).status, 400);
  });

  test('one key for many lines', async () => {
    const lines = ['a', 'b', 'c'].map((one) => chatJob(one));
    const first = await jobs.submitLines(lines, key('lines'));
    const again = await jobs.submitLines(lines, key('lines'));
    assert.deepEqual(again.map((one) => one.id), first.map((one) => one.id));
    await jobs.ends(first);
  });
});
