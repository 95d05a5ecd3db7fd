// Chat jobs and calls that are joined: see ./run --help.
import assert from 'node:assert/strict';
import { suite, until } from '../lib/stand.mjs';
import { allRight, call, group, groupEnds, label, review, submit } from './requests.mjs';

const long = Boolean(process.env.TEST_LONG);
const RPM = long ? 20 : 60;
const JOBS = long ? 800 : 520;
const WRONG = long ? 800 : 240;
const KILLED = long ? 200 : 80;
const KILLS = long ? 3 : 1;
const FASTER = 6;
const END_MS = long ? 400000 : 50000;
const SIMULATE = ['--rpm', '0', '--output-tokens', '5'];
const ECHO = ['--latency-ms', '20'];

function texts(count, what) {
  return Array.from({ length: count }, (_, i) => `${what} ${i}: "fine" </item-1>, no?\nYes.`);
}

suite('jobs that are joined', {
  testMs: END_MS + 20000,
  // Two models have two budgets: one for those that are joined, one for those that go alone.
  models: [{ name: 'joined', rpm: RPM }, { name: 'alone', rpm: RPM }],
  simulate: [...SIMULATE, ...ECHO, '--limit', `model=joined,rpm=${RPM}`, '--limit',
    `model=alone,rpm=${RPM}`],
}, (stand, test) => {
  test(`${JOBS} at ${RPM} requests a minute end ${FASTER} times as fast as alone`, async () => {
    const all = texts(JOBS, 'review');
    const begun = Date.now();
    const joined = await submit(stand, all.map((one) => review('joined', one)), true);
    const alone = await submit(stand, all.map((one) => review('alone', one)), false);
    await groupEnds(stand, joined.group, END_MS);
    const seconds = (Date.now() - begun) / 1000;
    const { counts } = await group(stand, alone.group);
    const requests = (await stand.calls()).filter((one) => one.model === 'joined').length;
    const ledger = await stand.ledger();
    const faster = JOBS / Math.max(counts.succeeded, 1);
    console.log(`joined: ${JOBS} jobs in ${seconds.toFixed(1)} s by ${requests} requests ` +
      `(${(JOBS * 60 / seconds).toFixed(0)} jobs/min); alone in the same time: ` +
      `${counts.succeeded} (${(counts.succeeded * 60 / seconds).toFixed(0)} jobs/min); ` +
      `${faster.toFixed(1)} times as fast`);
    assert.equal(ledger.refused.total, 0, `the provider refuses nothing: ${JSON.stringify(ledger.refused)}`);
    assert.ok(faster >= FASTER, `${faster} times as fast`);
    await allRight(stand, joined.ids, all);
    const cancelled = await call(stand, {}, {}, `/v1/job-groups/${alone.group}/cancel`);
    assert.equal(cancelled.body.status, 'finished');
  });
});

suite('items that come back wrong', {
  models: [{ name: '*', rpm: 6000 }],
  simulate: [...SIMULATE, ...ECHO, '--joint-drop', '0.05', '--joint-garble', '0.05'],
}, (stand, test) => {
  test('are asked again alone, and all are right', async () => {
    const all = texts(WRONG, 'review');
    const { group: id, ids } = await submit(stand, all.map((one) => review('m', one)), 'reviews');
    const { counts } = await groupEnds(stand, id, 50000);
    assert.equal(counts.succeeded, WRONG);
    await allRight(stand, ids, all);
    const { joint } = await stand.stats();
    const [kind] = joint;
    console.log(`${kind.items} items in ${kind.requests} requests, ${kind.alone} of them alone; ` +
      `size now ${kind.size}, breaker ${kind.breaker}`);
    assert.equal(kind.group, 'reviews');
    assert.ok(kind.alone > 0 && kind.alone < kind.items);
    assert.ok(kind.size < kind.max_items, 'the breaker lets fewer be joined');
  });
});

const PARALLEL = 3;

suite('joined jobs over kills', {
  models: [{ name: '*', rpm: 60000, max_parallel_requests: PARALLEL }],
  simulate: [...SIMULATE, '--latency-ms', '250'],
  config: { queue: { lease_ms: 1000 } },
}, (stand, test) => {
  test('SIGKILL: none is lost, and each ends once', async () => {
    const all = texts(KILLED, 'review');
    const { group: id, ids } = await submit(stand, all.map((one) => review('m', one)), true);
    for (let i = 0; i < KILLS; i++) {
      const before = (await stand.ledger()).calls;
      await until('some are on their way', 20000,
        async () => (await stand.ledger()).calls >= before + PARALLEL);
      await stand.restart('SIGKILL');
    }
    const { counts } = await groupEnds(stand, id, 50000);
    assert.equal(counts.total, KILLED);
    assert.equal(counts.succeeded, KILLED, JSON.stringify(counts));
    await allRight(stand, ids, all);
    await stand.untilIdle(20000);
  });

  test('one that is cancelled takes none with it', async () => {
    const all = texts(24, 'cancelled');
    const { group: id, ids } = await submit(stand, all.map((one) => review('c', one)), true);
    await until('they run', 10000, async () => (await group(stand, id)).counts.running >= 2);
    const answer = await fetch(`${stand.url}/v1/jobs/${ids[1]}`, { method: 'DELETE' });
    assert.equal(answer.status, 200);
    const { counts } = await groupEnds(stand, id, 30000);
    assert.equal(counts.cancelled, 1, JSON.stringify(counts));
    assert.equal(counts.succeeded, 23);
  });
});

suite('calls that are joined', {
  models: [{ name: '*', rpm: 6000 }],
  simulate: [...SIMULATE, ...ECHO],
  config: { batcher: { chat: { groups: [{ name: 'large', max_items: 10, wait_ms: 1000 }] } } },
}, (stand, test) => {
  const joinedCalls = async (count, model, name, more = {}) => {
    const all = texts(count, model);
    const answers = await Promise.all(all.map((one) => call(stand, review(model, one, more),
      { 'x-sluice-batch': name })));
    answers.forEach((answer, i) => {
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.body.choices[0].message.content, label(all[i]));
    });
    return answers;
  };
  const requestsOf = async (model) => (await stand.calls()).filter((one) => one.model === model);

  test('each gets an ordinary completion, and its share of the usage', async () => {
    const answers = await joinedCalls(8, 'eight', 'g');
    const [request, ...others] = await requestsOf('eight');
    assert.equal(others.length, 0);
    assert.equal(new Set(answers.map((one) => one.body.id)).size, 8);
    for (const { headers } of answers) {
      assert.equal(headers.get('x-sluice-decision'), 'batched');
      assert.equal(headers.get('x-sluice-batch-size'), '8');
    }
    const sum = (name) => answers.reduce((all, one) => all + one.body.usage[name], 0);
    assert.equal(sum('prompt_tokens'), request.input_tokens);
    assert.equal(sum('completion_tokens'), request.output_tokens);
  });

  test('a group may be larger and wait longer', async () => {
    await joinedCalls(10, 'ten', 'large');
    assert.equal((await requestsOf('ten')).length, 1);
  });

  test('what cannot be joined goes alone', async () => {
    const answers = await joinedCalls(3, 'stop', 'g', { stop: ['x'] });
    for (const { headers } of answers) {
      assert.equal(headers.get('x-sluice-decision'), 'admitted');
      assert.equal(headers.get('x-sluice-batch-size'), null);
    }
    assert.equal((await requestsOf('stop')).length, 3);
  });

  test('other parameters are not mixed', async () => {
    await Promise.all([joinedCalls(4, 'mixed', 'g'), joinedCalls(4, 'mixed', 'g', { seed: 1 }),
      joinedCalls(4, 'mixed', 'h')]);
    assert.equal((await requestsOf('mixed')).length, 3);
  });

  test('messages are joined by a tool that must be called', async () => {
    const all = texts(5, 'message');
    const answers = await Promise.all(all.map((one) => call(stand, {
      model: 'claude', max_tokens: 20, system: 's', messages: [{ role: 'user', content: one }],
    }, { 'x-sluice-batch': 'g', 'anthropic-version': '2023-06-01' }, '/v1/messages')));
    answers.forEach(({ status, body }, i) => {
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual(body.content, [{ type: 'text', text: label(all[i]) }]);
      assert.equal(body.stop_reason, 'end_turn');
    });
    assert.equal((await requestsOf('claude')).length, 1);
  });

  test('a caller who leaves takes nobody with him', async () => {
    const stop = new AbortController();
    const gone = fetch(`${stand.url}/v1/chat/completions`, {
      method: 'POST', signal: stop.signal,
      headers: { 'content-type': 'application/json', 'x-sluice-batch': 'large' },
      body: JSON.stringify(review('left', 'gone')),
    }).catch(() => null);
    const others = joinedCalls(3, 'left', 'large');
    setTimeout(() => stop.abort(), 200);
    await gone;
    for (const { headers } of await others) assert.equal(headers.get('x-sluice-batch-size'), '3');
  });

  test('one that the provider refuses as a whole is sent in parts', async () => {
    await stand.script({ status: 400, body: { error: { message: 'no json_schema here' } } });
    const answers = await joinedCalls(4, 'refused', 'g');
    for (const { headers } of answers) assert.equal(headers.get('x-sluice-batch-size'), null);
  });
});
