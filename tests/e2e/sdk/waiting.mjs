// Requests that wait in the queue: heartbeats keep their streams alive, then comes what came.
import assert from 'node:assert/strict';
import { fnv1a, steer, suite } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, collect, failure, message, openai } from './clients.mjs';

const OPTIONS = {
  models: [{ name: '*', rpm: 60000, tpm: 1000000, max_parallel_requests: 1 }],
  provider: { max_attempts: 1 },
  config: { http: { heartbeat_ms: 100 } },
};
const HOLD = steer('latency_ms=600');
const PING = /^: waiting$/gm;

const text = (chunks) => chunks.map((one) => one.choices[0]?.delta.content ?? '').join('');

// Runs send() while the only place of both pools is taken for longer than some heartbeats.
async function behindOthers(stand, send) {
  const holders = [openai(stand).chat.completions.create(chat(HOLD)),
    anthropic(stand).messages.create(message(HOLD))];
  await stand.untilLoad('two run', (load) => load.running === 2);
  const value = await send();
  await Promise.all(holders);
  return value;
}

function post(stand, path, body, headers) {
  return fetch(`${stand.url}${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

suite('waiting', OPTIONS, (stand, test) => {
  test('a plain call waits its turn and says so', async () => {
    const { data, response } = await behindOthers(stand, () =>
      openai(stand).chat.completions.create(chat(steer('output=5'))).withResponse());
    assert.equal(data.usage.completion_tokens, 5);
    assert.equal(response.headers.get('x-sluice-decision'), 'delayed');
    assert.ok(Number(response.headers.get('x-sluice-queue-ms')) > 0);
  });

  test('a stream that waits gets comments, and then its answer', async () => {
    for (const [path, body, last] of [
      ['/v1/chat/completions', chat(steer('output=5'), { stream: true }), 'data: [DONE]\n\n'],
      ['/v1/messages', message(steer('output=5'), { stream: true }), 'message_stop"}\n\n']]) {
      const raw = await behindOthers(stand, async () => {
        const answer = await post(stand, path, body);
        assert.equal(answer.status, 200);
        assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
        return answer.text();
      });
      assert.ok(raw.match(PING).length >= 2, raw);
      assert.ok(raw.startsWith(': waiting\n\n'));
      assert.ok(raw.endsWith(last), raw.slice(-100));
    }
  });

  test('the SDKs read over the comments', async () => {
    const prompt = steer('output=30');
    const chunks = await behindOthers(stand, async () => collect(
      await openai(stand).chat.completions.create(chat(prompt, { stream: true }))));
    assert.ok(text(chunks).startsWith(`echo${fnv1a(prompt)}`));
    const answer = await behindOthers(stand, () =>
      anthropic(stand).messages.stream(message(prompt)).finalMessage());
    assert.ok(answer.content[0].text.startsWith(`echo${fnv1a(prompt)}`));
    const events = await behindOthers(stand, async () => collect(
      await openai(stand).responses.create({ model: 'gpt-4o', input: prompt, stream: true })));
    assert.equal(events.at(-1).type, 'response.completed');
  });

  test('a provider that is slow with its first byte is waited for in the same way', async () => {
    const answer = await post(stand, '/v1/chat/completions',
      chat(steer('latency_ms=500 output=5'), { stream: true }));
    const raw = await answer.text();
    assert.ok(raw.match(PING).length >= 2);
    assert.ok(raw.endsWith('data: [DONE]\n\n'));
  });

  test('comments stand between events, never inside one', async () => {
    const answer = await post(stand, '/v1/chat/completions',
      chat(steer('output=8 ms_per_token=150'), { stream: true }));
    const raw = await answer.text();
    assert.ok(raw.match(PING).length >= 2);
    for (const block of raw.trimEnd().split('\n\n')) {
      assert.ok(block === ': waiting' || /^data: (\{.*\}|\[DONE\])$/.test(block), block);
    }
  });

  for (const status of [400, 401, 500]) {
    test(`an error ${status} of the provider after heartbeats is an error of the SDK`, async () => {
      const prompt = steer(`status=${status}`);
      const error = await behindOthers(stand, () => failure((async () => collect(
        await openai(stand).chat.completions.create(chat(prompt, { stream: true }))))()));
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.ok(error.message.length > 10);
      const other = await behindOthers(stand, () => failure((async () => collect(
        await anthropic(stand).messages.create(message(prompt, { stream: true }))))()));
      assert.ok(other instanceof Anthropic.APIError, String(other));
      const third = await behindOthers(stand, () => failure((async () => collect(
        await openai(stand).responses.create(
          { model: 'gpt-4o', input: prompt, stream: true })))()));
      assert.ok(third instanceof OpenAI.APIError, String(third));
    });
  }

  test('a wait that is over after heartbeats is an error of the SDK with its reason', async () => {
    const headers = { 'x-sluice-max-wait-ms': '350' };
    const error = await behindOthers(stand, () => failure((async () => collect(
      await openai(stand).chat.completions.create(
        chat('Hello', { stream: true }), { headers })))()));
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.match(error.message, /x-sluice-max-wait-ms/);
    const other = await behindOthers(stand, () => failure((async () => collect(
      await anthropic(stand).messages.create(
        message('Hello', { stream: true }), { headers })))()));
    assert.ok(other instanceof Anthropic.APIError, String(other));
    assert.match(other.message, /x-sluice-max-wait-ms/);
  });

  test('a caller that leaves after heartbeats is noticed', async () => {
    await behindOthers(stand, async () => {
      const controller = new AbortController();
      const answer = await fetch(`${stand.url}/v1/chat/completions`, {
        method: 'POST', signal: controller.signal,
        body: JSON.stringify(chat('Hello', { stream: true })),
      });
      await answer.body.getReader().read();
      await stand.untilLoad('one waits', (load) => load.waiting === 1);
      controller.abort();
      await stand.untilLoad('nobody waits', (load) => load.waiting === 0, 1000);
    });
    await stand.untilIdle();
  });

  test('classes go by their priority', async () => {
    const order = [];
    const send = (priority) => openai(stand).chat.completions
      .create(chat(steer('output=2')), { headers: { 'x-sluice-priority': priority } })
      .then(() => order.push(priority));
    await behindOthers(stand, async () => {
      const batch = send('batch');
      await stand.untilLoad('one waits', (load) => load.waiting === 1);
      await Promise.all([batch, send('interactive')]);
    });
    assert.deepEqual(order, ['interactive', 'batch']);
  });
});
