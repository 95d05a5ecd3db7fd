// Jobs and calls that ask to be joined, and the answers that the simulator must give.
import assert from 'node:assert/strict';
import { fnv1a, getJson, until } from '../lib/stand.mjs';

const SYSTEM = 'Say in one word what the review thinks of the product.';

export function review(model, text, more = {}) {
  return {
    model,
    max_tokens: 10,
    messages: [{ role: 'system', content: SYSTEM }, { role: 'user', content: text }],
    ...more,
  };
}

export async function call(stand, body, headers = {}, path = '/v1/chat/completions') {
  const answer = await fetch(`${stand.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

// All lines as one group: its id, and the ids of its jobs.
export async function submit(stand, bodies, batchable) {
  const lines = bodies.map((body) => JSON.stringify(
    { endpoint: '/v1/chat/completions', body, ...(batchable ? { batchable } : {}) }));
  const answer = await fetch(`${stand.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  });
  const { group, data } = await answer.json();
  assert.equal(answer.status, 202);
  assert.equal(data.length, bodies.length);
  return { group, ids: data.map((one) => one.id) };
}

export function group(stand, id) {
  return getJson(`${stand.url}/v1/job-groups/${id}`);
}

export function groupEnds(stand, id, ms) {
  return until(`group ${id} has ended`, ms, async () => {
    const now = await group(stand, id);
    return now.status === 'finished' && now;
  });
}

// As `label` of a text: what a call of it alone is answered, too.
export function label(text) {
  return `echo${fnv1a(text)}`;
}

const AT_ONCE = 20;

export async function allRight(stand, ids, texts) {
  const jobs = [];
  while (jobs.length < ids.length) {
    jobs.push(...await Promise.all(ids.slice(jobs.length, jobs.length + AT_ONCE)
      .map((id) => getJson(`${stand.url}/v1/jobs/${id}`))));
  }
  for (const [i, job] of jobs.entries()) {
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.equal(job.response.body.object, 'chat.completion');
    assert.equal(job.response.body.choices[0].message.content, label(texts[i]));
    assert.equal(job.response.body.choices[0].finish_reason, 'stop');
  }
}
