// Many jobs at once, and their list.
import assert from 'node:assert/strict';
import { fnv1a, steer, suite } from '../lib/stand.mjs';
import { Jobs, chatJob } from './requests.mjs';

const COUNT = 200;
const BAD = new Map([
  [7, 'this is no JSON'],
  [50, '{"endpoint":"/v1/chat/completions"}'],
  [51, '{"endpoint":"/v1/nothing","body":{}}'],
  [199, '{"endpoint":"/v1/chat/completions","body":{"model":"gpt-4o","messages":[]'],
]);

suite('jobs: many', { simulate: ['--latency-ms', '5'] }, (stand, test) => {
  const jobs = new Jobs(stand);
  const prompt = (i) => steer('output=6', `Line ${i}`);

  test('200 lines are answered in their order, and bad ones fail alone', async () => {
    const lines = Array.from({ length: COUNT }, (_, i) => BAD.get(i) ?? chatJob(prompt(i)));
    const data = await jobs.submitLines(lines);
    assert.equal(data.length, COUNT);
    for (const [i, one] of data.entries()) {
      assert.equal(one.object, BAD.has(i) ? 'error' : 'job', `line ${i + 1}`);
      if (!BAD.has(i)) continue;
      assert.equal(one.line, i + 1);
      assert.equal(one.error.status, 400);
      assert.ok(one.error.message);
    }
    const good = data.filter((one) => one.object === 'job');
    const ended = new Map((await jobs.ends(good)).map((one) => [one.id, one]));
    for (const [i, one] of data.entries()) {
      if (BAD.has(i)) continue;
      const { status, response } = ended.get(one.id);
      assert.equal(status, 'succeeded');
      const text = response.body.choices[0].message.content;
      assert.ok(text.startsWith(`echo${fnv1a(prompt(i))}`), `line ${i + 1} has another's answer`);
    }
    assert.equal((await stand.calls()).length, COUNT - BAD.size);
  });

  test('the list has all of them on its pages, newest first, none twice', async () => {
    const all = await jobs.all(37);
    assert.equal(all.length, COUNT - BAD.size);
    assert.equal(new Set(all.map((one) => one.id)).size, all.length);
    const times = all.map((one) => one.created_at);
    assert.deepEqual(times, [...times].sort((a, b) => b - a));
    const { body } = await jobs.list();
    assert.equal(body.object, 'list');
    assert.equal(body.data.length, 20);
    assert.equal(body.has_more, true);
    assert.deepEqual(body.data.map((one) => one.id), all.slice(0, 20).map((one) => one.id));
  });

  test('a page after the last one is empty', async () => {
    const all = await jobs.all(100);
    const { body } = await jobs.list(`?after=${all.at(-1).id}`);
    assert.deepEqual(body.data, []);
    assert.equal(body.has_more, false);
  });

  test('pages stay where they are while new jobs come', async () => {
    const first = (await jobs.list('?limit=10')).body;
    await jobs.ends(await jobs.submitLines([chatJob('new'), chatJob('newer')]));
    const second = (await jobs.list(`?limit=10&after=${first.data.at(-1).id}`)).body;
    const seen = new Set(first.data.map((one) => one.id));
    assert.ok(second.data.every((one) => !seen.has(one.id)));
  });

  test('limits and cursors that are none are told', async () => {
    for (const query of ['?limit=0', '?limit=101', '?limit=x', '?limit=-1', '?limit=1e1']) {
      assert.equal((await jobs.list(query)).status, 400, query);
    }
    for (const query of ['?after=x', '?after=job_0123456789abcdef0123456789abcdef']) {
      const { status, body } = await jobs.list(query);
      assert.ok(status === 400 || status === 404, query);
      assert.ok(body.error.message);
    }
  });

  test('blank lines are none, and a file without a line has no jobs', async () => {
    assert.deepEqual(await jobs.submitLines(['', '  ', '']), []);
    const data = await jobs.submitLines(['', chatJob('x'), '', '\r', chatJob('y'), '']);
    assert.equal(data.length, 2);
    await jobs.ends(data);
  });
});
