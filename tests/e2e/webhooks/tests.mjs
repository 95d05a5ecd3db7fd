// Every event arrives, whatever its receiver does and whenever the service dies.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { suite, steer, getJson, until } from '../lib/stand.mjs';
import { Receiver } from './receiver.mjs';

const SOON_MS = 20000;
const secret = `whsec_${randomBytes(32).toString('base64')}`;
const older = `whsec_${randomBytes(24).toString('base64')}`;
const json = { 'content-type': 'application/json' };

const config = (more = {}) => () => ({
  webhooks: {
    secret: `${secret} ${older}`,
    allow_private: true,
    first_retry_ms: 2,
    timeout_ms: 1000,
    max_in_flight: 8,
    max_per_endpoint: 4,
    ...more,
  },
  queue: { lease_ms: 1000 }, // a killed service's jobs are run again after so long
});

const body = (words) => ({
  model: 'gpt-4o',
  max_tokens: 10,
  messages: [{ role: 'user', content: steer(words) }],
});

async function post(url, value, headers = {}) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { ...json, ...headers },
    body: typeof value === 'string' ? value : JSON.stringify(value),
  });
  return { status: answer.status, value: await answer.json() };
}

async function submit(stand, webhook, words = 'output=3') {
  const { status, value } = await post(`${stand.url}/v1/jobs`, {
    endpoint: '/v1/chat/completions',
    body: body(words),
    metadata: { mine: 1 },
    webhook,
  });
  assert.equal(status, 202, JSON.stringify(value));
  return value;
}

const deliveries = async (stand, query) =>
  (await getJson(`${stand.url}/v1/webhooks/deliveries?${query}`)).data;

const ended = (stand, job, status) =>
  until(`the delivery of ${job.id} is ${status}`, SOON_MS, async () => {
    const [one] = await deliveries(stand, `job=${job.id}`);
    return one?.status === status && one;
  });

suite('events of jobs', {
  config: config(),
  models: [
    { name: '*', rpm: 60000, tpm: 10000000 },
    { name: 'one-at-a-time', rpm: 60000, tpm: 10000000, max_parallel_requests: 1 },
  ],
  secrets: [secret, older],
}, (stand, test) => {
  let receiver;
  before(async () => { receiver = await Receiver.start(secret); });
  after(async () => {
    await receiver.stop();
    assert.deepEqual(receiver.wrong, []);
  });

  test('a job that succeeds is told with its answer, signed by both secrets', async () => {
    const job = await submit(stand, `${receiver.url}/plain?token=hidden`);
    assert.equal(job.webhook.url, `${receiver.url}/plain?token=hidden`);
    const [got] = await until('it arrives', SOON_MS, () => {
      const all = receiver.of_object(job.id);
      return all.length > 0 && all;
    });
    assert.equal(got.event.type, 'job.succeeded');
    assert.equal(got.signatures, 2);
    assert.equal(got.id, `msg_${job.id}`);
    assert.ok(!Number.isNaN(Date.parse(got.event.timestamp)));
    const { explain, ...rest } = await getJson(`${stand.url}/v1/jobs/${job.id}`);
    assert.ok(explain);
    assert.deepEqual(got.event.data, rest);
    assert.equal(got.event.data.response.status_code, 200);
    const one = await ended(stand, job, 'delivered');
    assert.equal(one.attempts.length, 1);
    assert.equal(one.attempts[0].status, 204);
    assert.equal(one.url, `${receiver.url}/plain?...`);
    assert.ok(!stand.logged(0).includes('token=hidden'));
  });

  test('the older secret still verifies', async () => {
    const other = await Receiver.start(older);
    const job = await submit(stand, other.url);
    await until('it arrives', SOON_MS, () => other.of_object(job.id).length > 0);
    await other.stop();
    assert.deepEqual(other.wrong, []);
    assert.throws(() => new Webhook(`whsec_${randomBytes(32).toString('base64')}`)
      .verify('{}', {}));
  });

  test('failed, cancelled and expired jobs are told as such', async () => {
    const type = (job) => until(`${job.id} is told`, SOON_MS, () =>
      receiver.of_object(job.id)[0]?.event.type);
    const ask = async (words, more = {}) => (await post(`${stand.url}/v1/jobs`, {
      endpoint: '/v1/chat/completions',
      body: { ...body(words), model: 'one-at-a-time' },
      webhook: receiver.url,
      ...more,
    })).value;
    const running = await ask('latency_ms=1500 output=3');
    await until('it runs', SOON_MS, async () =>
      (await getJson(`${stand.url}/v1/jobs/${running.id}`)).status === 'running');
    const cancelled = await ask('output=3');
    const expired = await ask('output=3', { deadline_ms: 100 });
    const answer = await fetch(`${stand.url}/v1/jobs/${cancelled.id}`, { method: 'DELETE' });
    assert.equal(answer.status, 200);
    assert.equal(await type(cancelled), 'job.cancelled');
    assert.equal(await type(expired), 'job.expired');
    assert.equal(await type(running), 'job.succeeded');
    const failed = await ask('disconnect');
    const { status } = await getJson(`${stand.url}/v1/jobs/${failed.id}?wait=20`);
    assert.equal(await type(failed), `job.${status}`);
  });

  test('timestamps tell the order in which jobs ended, not that of arrival', async () => {
    const late = receiver.at('/late', (to, n) => to.writeHead(n < 4 ? 503 : 200).end());
    const first = await submit(stand, late);
    await getJson(`${stand.url}/v1/jobs/${first.id}?wait=20`);
    const second = await submit(stand, `${receiver.url}/prompt`);
    await ended(stand, first, 'delivered');
    const of = (path) => receiver.of(path).at(-1);
    const arrived = (one) => receiver.seen.indexOf(one);
    assert.ok(arrived(of('/prompt')) < arrived(of('/late')));
    assert.ok(of('/late').event.timestamp < of('/prompt').event.timestamp);
    assert.equal(of('/prompt').event.data.id, second.id);
  });

  test('only the events that were asked for are sent', async () => {
    const quiet = await submit(stand, { url: `${receiver.url}/quiet`, events: ['job.failed'] });
    const loud = await submit(stand, { url: `${receiver.url}/loud`, events: ['job.succeeded'] });
    await until('the second arrives', SOON_MS, () => receiver.of_object(loud.id).length > 0);
    await until('the first has ended', SOON_MS, async () =>
      (await getJson(`${stand.url}/v1/jobs/${quiet.id}`)).status === 'succeeded');
    assert.deepEqual(await deliveries(stand, `job=${quiet.id}`), []);
  });

  test('a receiver that fails gets it again, and the log tells of each attempt', async () => {
    const url = receiver.at('/fails', (to, n) => to.writeHead(n < 4 ? 500 : 200).end('x'.repeat(9999)));
    const job = await submit(stand, url);
    const one = await ended(stand, job, 'delivered');
    assert.deepEqual(one.attempts.map((a) => a.status), [500, 500, 500, 200]);
    assert.equal(one.attempts[0].error, 'it answered 500');
    assert.equal(one.attempts[3].error, null);
    const [first, ...others] = receiver.of('/fails');
    for (const other of others) assert.equal(other.id, first.id);
  });

  test('redirects are not followed, and 410 ends it at once', async () => {
    const moved = receiver.at('/moved', (to, n) =>
      to.writeHead(n < 2 ? 302 : 200, { location: `${receiver.url}/elsewhere` }).end());
    const gone = receiver.at('/gone', (to) => to.writeHead(410).end());
    const [a, b] = [await submit(stand, moved), await submit(stand, gone)];
    const first = await ended(stand, a, 'delivered');
    assert.match(first.attempts[0].error, /redirects/);
    assert.equal(receiver.of('/elsewhere').length, 0);
    const second = await ended(stand, b, 'failed');
    assert.equal(second.attempts.length, 1);
    assert.equal(second.attempts[0].status, 410);
    assert.equal(receiver.of('/gone').length, 1);
  });

  test('a receiver that hangs does not hold up the others', async () => {
    const hung = await Receiver.start(secret);
    try {
      hung.at('/', () => {});
      const jobs = [];
      for (let i = 0; i < 12; i++) jobs.push(await submit(stand, `${hung.url}/`));
      await until('all its places are taken', SOON_MS, () => hung.of('/').length >= 4);
      const job = await submit(stand, `${receiver.url}/other`);
      await ended(stand, job, 'delivered');
      const waiting = await deliveries(stand, 'status=waiting&limit=100');
      assert.ok(waiting.length >= 8, `${waiting.length} wait`);
      hung.at('/', (to) => to.writeHead(200).end());
      for (const one of jobs) await ended(stand, one, 'delivered');
      const late = (await deliveries(stand, `job=${jobs[0].id}`))[0];
      assert.match(late.attempts[0].error, /timeout_ms/);
    } finally {
      await hung.stop();
    }
  });

  test('one that ended is sent again by hand, under the same id', async () => {
    const job = await submit(stand, `${receiver.url}/again`);
    const one = await ended(stand, job, 'delivered');
    const { status, value } = await post(
      `${stand.url}/v1/webhooks/deliveries/${one.id}/redeliver`, '');
    assert.equal(status, 200);
    assert.equal(value.id, one.id);
    await until('it comes a second time', SOON_MS, () => receiver.of('/again').length === 2);
    assert.equal((await ended(stand, job, 'delivered')).attempts.length, 2);
    const none = await post(`${stand.url}/v1/webhooks/deliveries/msg_none/redeliver`, '');
    assert.equal(none.status, 404);
    assert.equal(none.value.error.code, 'delivery_not_found');
  });

  test('pages of the list follow each other, the newest first', async () => {
    const all = await deliveries(stand, 'limit=100');
    const seen = [];
    let after = '';
    for (;;) {
      const page = await getJson(`${stand.url}/v1/webhooks/deliveries?limit=3${after}`);
      seen.push(...page.data);
      if (!page.has_more) break;
      after = `&after=${page.data.at(-1).id}`;
    }
    assert.deepEqual(seen.map((one) => one.id), all.map((one) => one.id));
    const bad = await fetch(`${stand.url}/v1/webhooks/deliveries?status=lost`);
    assert.equal(bad.status, 400);
  });

  test('the numbers are in the statistics', async () => {
    const { webhooks } = await stand.stats();
    assert.ok(webhooks.delivered > 0 && webhooks.attempts_failed > 0);
    assert.equal(webhooks.waiting, 0);
    const text = await (await fetch(`${stand.url}/metrics`)).text();
    assert.match(text, /^sluice_webhook_deliveries_total\{status="delivered"\} [1-9]/m);
    assert.match(text, /^sluice_webhook_failed_attempts_total [1-9]/m);
  });

  test('URLs and fields that cannot be right are refused at once', async () => {
    const refused = async (webhook, what) => {
      const { status, value } = await post(`${stand.url}/v1/jobs`, {
        endpoint: '/v1/chat/completions', body: body('output=3'), webhook,
      });
      assert.equal(status, 400, JSON.stringify(webhook));
      assert.equal(value.error.param, 'webhook');
      assert.match(value.error.message, what);
    };
    await refused('ftp://example.com/', /https:\/\/ or http/);
    await refused('https://user:secret@example.com/', /user/);
    await refused({ events: ['job.failed'] }, /url is missing/);
    await refused({ url: receiver.url, events: ['job.done'] }, /events\[0\]/);
    await refused({ url: receiver.url, secret: 'x' }, /unknown field/);
    await refused(7, /must be a URL/);
  });

  test('an event outlives a kill between the end of its job and its delivery', async () => {
    let open = false;
    const url = receiver.at('/killed', (to) => (open ? to.writeHead(200).end() : to.destroy()));
    for (let round = 0; round < (process.env.TEST_LONG ? 10 : 1); round++) {
      open = false;
      const jobs = [];
      for (let i = 0; i < 5; i++) jobs.push(await submit(stand, url, 'latency_ms=20 output=3'));
      await until('one has ended', SOON_MS, async () =>
        (await getJson(`${stand.url}/v1/jobs/${jobs[0].id}`)).status === 'succeeded');
      await stand.stopService('SIGKILL');
      open = true;
      await stand.startService();
      for (const job of jobs) {
        await until(`the event of ${job.id} arrives`, 2 * SOON_MS, () =>
          receiver.of_object(job.id).some((one) => one.path === '/killed'));
      }
    }
  });
});

suite('a URL for all', {
  config: (stand) => config({ url: `${stand.receiver.url}/all`, first_retry_ms: 2 })(),
  prepare: async (stand) => { stand.receiver = await Receiver.start(secret); },
  finish: (stand) => stand.receiver.stop(),
  secrets: [secret, older],
}, (stand, test) => {
  const upload = async (lines) => {
    const form = new FormData();
    form.set('purpose', 'batch');
    form.set('file', new Blob([lines.join('\n')]), 'in.jsonl');
    return (await fetch(`${stand.url}/v1/files`, { method: 'POST', body: form })).json();
  };
  const line = (id) => JSON.stringify({
    custom_id: id, method: 'POST', url: '/v1/chat/completions', body: body('output=3'),
  });
  const batch = async (lines, more = {}) => (await post(`${stand.url}/v1/batches`, {
    input_file_id: (await upload(lines)).id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...more,
  })).value;
  const told = (id) => until(`${id} is told`, 2 * SOON_MS, () =>
    stand.receiver.of_object(id)[0]);

  test('jobs that name none are told there, and those that want nothing are not', async () => {
    const quiet = await submit(stand, false);
    const job = await submit(stand, undefined);
    assert.equal((await told(job.id)).path, '/all');
    await until('the other has ended', SOON_MS, async () =>
      (await getJson(`${stand.url}/v1/jobs/${quiet.id}`)).status === 'succeeded');
    assert.deepEqual(await deliveries(stand, `job=${quiet.id}`), []);
  });

  test('a batch is told once it has ended, and its lines are not', async () => {
    const one = await batch([line('a'), line('b')]);
    const got = await told(one.id);
    assert.equal(got.event.type, 'batch.completed');
    assert.equal(got.event.data.status, 'completed');
    assert.ok(got.event.data.output_file_id);
    assert.deepEqual(got.event.data.request_counts, { total: 2, completed: 2, failed: 0 });
    const [log] = await deliveries(stand, `batch=${one.id}`);
    assert.equal(log.batch, one.id);
    const jobs = await getJson(`${stand.url}/v1/jobs?limit=100`);
    const lines = jobs.data.filter((job) => job.priority === 'batch').map((job) => job.id);
    assert.equal(lines.length, 2);
    for (const id of lines) assert.equal(stand.receiver.of_object(id).length, 0);
  });

  test('a batch may name its own, and one that fails is told as failed', async () => {
    const one = await batch(['no JSON'], { webhook: `${stand.receiver.url}/own` });
    const got = await told(one.id);
    assert.equal(got.path, '/own');
    assert.equal(got.event.type, 'batch.failed');
    const bad = await batch([line('a')], { webhook: 'gopher://x/' });
    assert.equal(bad.error.code, 'invalid_value');
  });

  test('a batch in the shape of Anthropic is told in that shape', async () => {
    const { value } = await post(`${stand.url}/v1/messages/batches`, {
      requests: [{
        custom_id: 'a',
        params: { model: 'claude-x', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] },
      }],
    });
    const got = await told(value.id);
    assert.equal(got.event.type, 'batch.completed');
    assert.equal(got.event.data.processing_status, 'ended');
  });
});

suite('private addresses', {
  config: () => ({ webhooks: { secret, first_retry_ms: 2, timeout_ms: 1000 } }),
  secrets: [secret],
}, (stand, test) => {
  test('a URL with one is refused at once', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0', '10.1.2.3', '169.254.169.254', '[::1]', '0x7f.1',
      '[::ffff:10.0.0.1]', 'localhost', 'a.localhost.', '100.64.0.1', '[fd00::1]']) {
      const { status, value } = await post(`${stand.url}/v1/jobs`, {
        endpoint: '/v1/chat/completions', body: body('output=3'), webhook: `http://${host}/hook`,
      });
      assert.equal(status, 400, host);
      assert.match(value.error.message, /private, local or reserved/);
    }
  });
});

const keys = Object.fromEntries(['a', 'b', 'admin'].map((name) =>
  [name, `sk-test-${name}-${randomBytes(12).toString('hex')}`]));

suite('tenants', {
  config: () => ({
    ...config()(),
    auth: {
      keys: [
        { key: keys.a, tenant: 'a', scopes: 'jobs' },
        { key: keys.b, tenant: 'b', scopes: 'jobs' },
        { key: keys.admin, tenant: 'ops' },
      ],
    },
    tenants: [{ name: 'b', webhook: { secret: older } }],
  }),
  secrets: [secret, older, ...Object.values(keys)],
}, (stand, test) => {
  test('see and repeat their own deliveries only, and sign with their own secret', async () => {
    const receivers = { a: await Receiver.start(secret), b: await Receiver.start(older) };
    const of = (name) => ({ authorization: `Bearer ${keys[name]}` });
    const jobs = {};
    for (const name of ['a', 'b']) {
      const { status, value } = await post(`${stand.url}/v1/jobs`, {
        endpoint: '/v1/chat/completions', body: body('output=3'), webhook: receivers[name].url,
      }, of(name));
      assert.equal(status, 202);
      jobs[name] = value;
      await until('it arrives', SOON_MS, () => receivers[name].of_object(value.id)[0]);
    }
    const listed = async (name, query = '') =>
      (await getJson(`${stand.url}/v1/webhooks/deliveries?limit=100${query}`, of(name))).data;
    assert.deepEqual((await listed('a')).map((one) => one.job), [jobs.a.id]);
    assert.deepEqual(await listed('a', `&job=${jobs.b.id}`), []);
    assert.equal((await listed('a'))[0].tenant, undefined);
    assert.deepEqual((await listed('admin')).map((one) => one.tenant).sort(), ['a', 'b']);
    const again = (name, job) => post(
      `${stand.url}/v1/webhooks/deliveries/msg_${job.id}/redeliver`, '', of(name));
    assert.equal((await again('a', jobs.b)).status, 404);
    assert.equal((await again('admin', jobs.b)).status, 200);
    await until('it comes again', SOON_MS, () => receivers.b.seen.length === 2);
    for (const one of Object.values(receivers)) {
      await one.stop();
      assert.deepEqual(one.wrong, []);
    }
  });
});

suite('alerts of budgets', {
  config: (stand) => ({
    ...config({ url: `${stand.receiver.url}/alerts` })(),
    tenants: [{ name: 'default', max_budget: '0.000001', budget_duration: '1d' }],
  }),
  prepare: async (stand) => { stand.receiver = await Receiver.start(secret); },
  finish: (stand) => stand.receiver.stop(),
  secrets: [secret, older],
}, (stand, test) => {
  test('go to the configured URL', async () => {
    await submit(stand, false);
    const got = await until('it arrives', SOON_MS, () => stand.receiver.of('/alerts')[0]);
    assert.equal(got.event.type, 'budget.alert');
    assert.equal(got.event.data.object, 'budget_alert');
    assert.equal(got.event.data.tenant, 'default');
    const [one] = await deliveries(stand, 'status=delivered');
    assert.equal(one.type, 'budget.alert');
    assert.equal(one.job, null);
  });
});

suite('alerts of what is spent in a month', {
  config: (stand) => ({
    ...config({ url: `${stand.receiver.url}/alerts` })(),
    costs: { alert_usd: '0.000001' },
  }),
  prepare: async (stand) => { stand.receiver = await Receiver.start(secret); },
  finish: (stand) => stand.receiver.stop(),
  secrets: [secret, older],
}, (stand, test) => {
  test('are signed, and come once in it', async () => {
    const spent = (requests) => until(`${requests} are counted`, SOON_MS, async () =>
      (await getJson(`${stand.url}/v1/costs`)).total.requests === requests);
    await submit(stand, false);
    const got = await until('it arrives', SOON_MS, () => stand.receiver.of('/alerts')[0]);
    assert.equal(got.event.data.whose, 'all');
    assert.equal(got.event.data.percent, 100);
    await spent(1);
    await submit(stand, false, 'output=4');
    await spent(2); // what it adds to the month is sent sooner than what it adds to the day
    assert.equal((await deliveries(stand, 'limit=100')).length, 1);
    assert.equal(stand.receiver.of('/alerts').length, 1);
    assert.deepEqual(stand.receiver.wrong, []); // signatures
  });
});
