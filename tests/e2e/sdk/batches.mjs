// Files and batches with the SDKs' own calls; the service is killed in the middle.
// BATCH_LINES and BATCH_KILLS make it longer (5000 and 5).
import assert from 'node:assert/strict';
import { toFile } from 'openai';
import { steer, suite, until } from '../lib/stand.mjs';
import { anthropic, chat, failure, message, openai } from './clients.mjs';

const LINES = Number(process.env.BATCH_LINES ?? 500);
const KILLS = Number(process.env.BATCH_KILLS ?? 2);
const LATENCY_MS = 40;
const PARALLEL = Math.max(8, LINES / 50);
const END_MS = 50000;
const OPTIONS = {
  models: [{ name: '*', rpm: 600000, tpm: 1000000000, max_parallel_requests: PARALLEL }],
  simulate: ['--latency-ms', String(LATENCY_MS)],
  config: { queue: { lease_ms: 1000 } },
};
const FINAL = ['completed', 'failed', 'expired', 'cancelled'];

const isBad = (i) => i % 10 === 7;
const text = (i) => steer(isBad(i) ? 'status=400' : 'output=4', `Line ${i}`);

function line(i, more) {
  return { custom_id: `line-${i}`, method: 'POST', url: '/v1/chat/completions',
    body: chat(text(i)), ...more };
}

async function upload(client, lines) {
  const body = lines.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
  return client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(body), 'in.jsonl') });
}

function run(client, file, more) {
  return client.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions',
    completion_window: '24h', ...more });
}

async function ended(stand, id, ms = END_MS) {
  let batch;
  await until(`${id} ends`, ms, async () => {
    batch = await openai(stand).batches.retrieve(id);
    return FINAL.includes(batch.status);
  });
  return batch;
}

async function content(client, id) {
  if (!id) return [];
  const all = await (await client.files.content(id)).text();
  return all.split('\n').filter((one) => one).map((one) => JSON.parse(one));
}

async function killed(stand, done) {
  for (let i = 1; i <= KILLS; i++) {
    await until(`a part of it is done (${i})`, END_MS,
      async () => await done() >= i * LINES / (KILLS + 2));
    await stand.restart('SIGKILL');
  }
}

suite('sdk: openai batches', OPTIONS, (stand, test) => {
  test('files are kept, listed, fetched and deleted', async () => {
    const client = openai(stand);
    const file = await upload(client, [line(0), line(1)]);
    assert.equal(file.object, 'file');
    assert.equal(file.purpose, 'batch');
    assert.equal(file.filename, 'in.jsonl');
    assert.deepEqual(await client.files.retrieve(file.id), file);
    const page = await client.files.list({ purpose: 'batch' });
    assert.deepEqual(page.data, [file]);
    assert.deepEqual(await content(client, file.id), [line(0), line(1)]);
    assert.deepEqual(await client.files.delete(file.id),
      { id: file.id, object: 'file', deleted: true });
    assert.equal((await failure(client.files.retrieve(file.id))).status, 404);
    assert.equal((await failure(client.files.content(file.id))).status, 404);
  });

  test('each line is answered once, though the service is killed', async () => {
    await stand.reset();
    const file = await upload(openai(stand), Array.from({ length: LINES }, (_, i) => line(i)));
    const batch = await run(openai(stand), file, { metadata: { night: '7' } });
    assert.equal(batch.object, 'batch');
    assert.equal(batch.status, 'validating');
    await killed(stand, async () => (await stand.ledger()).answered);
    const end = await ended(stand, batch.id, END_MS);
    const client = openai(stand);
    const good = await content(client, end.output_file_id);
    const bad = await content(client, end.error_file_id);
    const ids = [...good, ...bad].map((one) => one.custom_id);
    assert.equal(end.status, 'completed', JSON.stringify(end));
    assert.equal(ids.length, LINES);
    assert.equal(new Set(ids).size, LINES);
    assert.equal(bad.length, LINES / 10);
    assert.ok(bad.every((one) => one.response.status_code === 400 && one.error === null));
    for (const one of good) {
      assert.equal(one.response.status_code, 200);
      assert.ok(one.response.body.choices[0].message.content);
    }
    assert.deepEqual(end.request_counts, { total: LINES, completed: good.length, failed: bad.length });
    assert.deepEqual(end.metadata, { night: '7' });
    const { calls } = await stand.ledger();
    assert.ok(calls <= LINES + KILLS * PARALLEL, `${calls} calls for ${LINES} lines`);
    assert.equal((await client.batches.list()).data[0].id, batch.id);
  });

  test('a file that is wrong fails the batch with the numbers of its lines', async () => {
    const client = openai(stand);
    const file = await upload(client, [line(0), '{"custom_id":', line(2, { url: '/v1/other' }),
      line(3, { method: 'GET' }), line(4, { custom_id: undefined }), line(0)]);
    const end = await ended(stand, (await run(client, file)).id);
    assert.equal(end.status, 'failed');
    assert.deepEqual(end.errors.data.map((one) => [one.line, one.code]), [
      [2, 'invalid_json_line'], [3, 'invalid_url'], [4, 'invalid_method'],
      [5, 'missing_required_parameter'], [6, 'duplicate_custom_id']]);
    assert.equal(end.output_file_id, null);
  });

  test('a cancelled batch ends, and tells of what was done', async () => {
    const client = openai(stand);
    const file = await upload(client, Array.from({ length: LINES }, (_, i) => line(i)));
    const batch = await run(client, file);
    await until('some are done', END_MS,
      async () => (await client.batches.retrieve(batch.id)).request_counts.completed > 0);
    assert.equal((await client.batches.cancel(batch.id)).status, 'cancelling');
    const end = await ended(stand, batch.id);
    assert.equal(end.status, 'cancelled');
    const all = [...await content(client, end.output_file_id),
      ...await content(client, end.error_file_id)];
    assert.equal(new Set(all.map((one) => one.custom_id)).size, LINES);
    assert.ok(end.request_counts.completed < LINES);
    assert.equal((await failure(client.batches.cancel(batch.id))).status, 409);
  });

  test('what is not there is told so, and what is wrong', async () => {
    const client = openai(stand);
    assert.equal((await failure(run(client, { id: 'file-none' }))).status, 404);
    assert.equal((await failure(client.batches.retrieve('batch_none'))).status, 404);
    const file = await upload(client, [line(0)]);
    assert.equal((await failure(run(client, file, { endpoint: '/v1/other' }))).status, 400);
    const other = client.files.create({ purpose: 'vision', file: await toFile(Buffer.from('x'), 'x') });
    assert.equal((await failure(other)).status, 400);
  });
});

suite('sdk: anthropic batches', OPTIONS, (stand, test) => {
  const requests = () => Array.from({ length: LINES }, (_, i) => (
    { custom_id: `line-${i}`, params: message(text(i)) }));

  async function end(id) {
    let batch;
    await until(`${id} ends`, END_MS, async () => {
      batch = await anthropic(stand).messages.batches.retrieve(id);
      return batch.processing_status === 'ended';
    });
    return batch;
  }

  async function results(id) {
    const all = [];
    for await (const one of await anthropic(stand).messages.batches.results(id)) all.push(one);
    return all;
  }

  test('each request is answered once, though the service is killed', async () => {
    await stand.reset();
    const made = await anthropic(stand).messages.batches.create({ requests: requests() });
    assert.equal(made.type, 'message_batch');
    assert.equal(made.processing_status, 'in_progress');
    assert.equal(made.request_counts.processing, LINES);
    assert.equal(made.results_url, null);
    await killed(stand, async () => (await stand.ledger()).answered);
    const batch = await end(made.id);
    const all = await results(made.id);
    assert.equal(all.length, LINES);
    assert.equal(new Set(all.map((one) => one.custom_id)).size, LINES);
    const good = all.filter((one) => one.result.type === 'succeeded');
    const bad = all.filter((one) => one.result.type === 'errored');
    assert.equal(bad.length, LINES / 10);
    assert.ok(good.every((one) => one.result.message.type === 'message'));
    assert.ok(bad.every((one) => one.result.error.type === 'error'));
    assert.deepEqual(batch.request_counts, { processing: 0, succeeded: good.length,
      errored: bad.length, canceled: 0, expired: 0 });
    const page = await anthropic(stand).messages.batches.list();
    assert.deepEqual(page.data.map((one) => one.id), [made.id]);
    const gone = await anthropic(stand).messages.batches.delete(made.id);
    assert.deepEqual(gone, { id: made.id, type: 'message_batch_deleted' });
    assert.equal((await failure(anthropic(stand).messages.batches.retrieve(made.id))).status, 404);
  });

  test('a cancelled batch tells which requests were not run', async () => {
    const { id } = await anthropic(stand).messages.batches.create({ requests: requests() });
    assert.equal((await anthropic(stand).messages.batches.cancel(id)).processing_status, 'canceling');
    const batch = await end(id);
    const all = await results(id);
    assert.equal(all.length, LINES);
    const canceled = all.filter((one) => one.result.type === 'canceled').length;
    assert.ok(canceled > 0);
    assert.equal(batch.request_counts.canceled, canceled);
  });

  test('what is wrong is told at once, with its place', async () => {
    const twice = [0, 0].map(() => ({ custom_id: 'same', params: message('Hello') }));
    const error = await failure(anthropic(stand).messages.batches.create({ requests: twice }));
    assert.equal(error.status, 400);
    assert.match(error.message, /requests\.1/);
  });
});

const KEYS = { one: 'sk-tenant-one-3f77a1', two: 'sk-tenant-two-9b20c4' };

suite('sdk: batches of tenants', {
  config: { auth: { keys: Object.entries(KEYS).map(([tenant, key]) => ({ key, tenant })) } },
  secrets: Object.values(KEYS),
}, (stand, test) => {
  test('a tenant does not meet the files and batches of another', async () => {
    const one = openai(stand, { apiKey: KEYS.one });
    const two = openai(stand, { apiKey: KEYS.two });
    const file = await upload(one, [line(0)]);
    const batch = await run(one, file);
    const made = await anthropic(stand, { apiKey: KEYS.one }).messages.batches.create({
      requests: [{ custom_id: 'a', params: message('Hello') }] });
    const other = anthropic(stand, { apiKey: KEYS.two }).messages.batches;
    const refused = await Promise.all([two.files.retrieve(file.id), two.files.content(file.id),
      two.files.delete(file.id), run(two, file), two.batches.retrieve(batch.id),
      two.batches.cancel(batch.id), other.retrieve(made.id), other.cancel(made.id),
      other.delete(made.id), other.results(made.id)].map(failure));
    assert.deepEqual(refused.map((one) => one.status), Array(refused.length).fill(404));
    assert.deepEqual((await two.files.list()).data, []);
    assert.deepEqual((await two.batches.list()).data, []);
    assert.deepEqual((await other.list()).data, []);
    assert.equal((await one.batches.list()).data.length, 1);
  });
});

suite('sdk: files that expire, and no room for more', {
  models: OPTIONS.models, config: { batches: { output_ttl_s: 1, max_files: 3, max_bytes: 2000 } },
}, (stand, test) => {
  test('results expire, and are gone then', async () => {
    const client = openai(stand);
    const file = await upload(client, [line(0)]);
    const end = await ended(stand, (await run(client, file)).id);
    assert.ok(end.usage.total_tokens > 0);
    assert.ok(end.x_sluice.cost_usd > 0);
    await until('the results have expired', 10000, async () => (
      await client.files.retrieve(end.output_file_id).then(() => null, (e) => e))?.status === 404);
    assert.equal((await failure(client.files.content(end.output_file_id))).status, 404);
    await client.files.delete(file.id);
  });

  test('a file may be given its end', async () => {
    const client = openai(stand);
    const make = (seconds) => toFile(Buffer.from(JSON.stringify(line(0))), 'in.jsonl').then(
      (file) => client.files.create({ purpose: 'batch', file,
        expires_after: { anchor: 'created_at', seconds } }));
    const file = await make(3600);
    assert.equal(file.expires_at, file.created_at + 3600);
    assert.equal((await failure(make(3599))).status, 400);
    assert.equal((await failure(make(2592001))).status, 400);
    await client.files.delete(file.id);
  });

  test('a tenant has so many files and bytes, and is told', async () => {
    const client = openai(stand);
    const large = await failure(upload(client, [line(0, { custom_id: 'x'.repeat(2000) })]));
    assert.equal(large.status, 413);
    assert.equal(large.code, 'storage_limit_exceeded');
    const have = (await client.files.list()).data.length;
    for (let i = have; i < 3; i++) await upload(client, [line(0)]);
    const full = await failure(upload(client, [line(0)]));
    assert.equal(full.status, 413);
    assert.match(full.message, /batches\.max_files/);
  });
});
