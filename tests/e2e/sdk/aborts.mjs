// A caller that leaves gives its place free within a second, wherever its request is.
import assert from 'node:assert/strict';
import { steer, suite, until } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, failure, message, openai } from './clients.mjs';

const FREE_MS = 1000;
const OPTIONS = {
  models: [{ name: '*', rpm: 60000, tpm: 100000, max_parallel_requests: 1 }],
};

const KINDS = [
  {
    kind: 'openai', Abort: OpenAI.APIUserAbortError, pool: 'openai:default:*',
    plain: (stand, text, options) => openai(stand).chat.completions.create(chat(text), options),
    stream: (stand, text, options) => openai(stand).chat.completions.create(
      chat(text, { stream: true }), options),
  },
  {
    kind: 'anthropic', Abort: Anthropic.APIUserAbortError, pool: 'anthropic:default:*',
    plain: (stand, text, options) => anthropic(stand).messages.create(message(text), options),
    stream: (stand, text, options) => anthropic(stand).messages.create(
      message(text, { stream: true }), options),
  },
];

// The provider sees that nobody listens any more.
async function left(stand) {
  const call = await until('the connection to the provider is closed', FREE_MS, async () => {
    const last = await stand.lastCall();
    return last.outcome !== 'running' && last;
  });
  assert.equal(call.outcome, 'gone');
  return call;
}

suite('aborts', OPTIONS, (stand, test) => {
  for (const { kind, Abort, pool, plain, stream } of KINDS) {
    test(`${kind}: in the middle of a stream`, async () => {
      const controller = new AbortController();
      const running = await stream(stand, steer('output=2000 ms_per_token=20'),
        { signal: controller.signal });
      let seen = 0;
      for await (const _ of running) if (++seen === 5) controller.abort();
      await stand.untilIdle(FREE_MS);
      const call = await left(stand);
      assert.ok(call.output_tokens < 2000);
    });

    test(`${kind}: while the provider has not answered`, async () => {
      const controller = new AbortController();
      const running = failure(plain(stand, steer('latency_ms=20000'), { signal: controller.signal }));
      await stand.untilLoad('one runs', (load) => load.running === 1);
      controller.abort();
      assert.ok(await running instanceof Abort);
      await stand.untilIdle(FREE_MS);
      await left(stand);
    });

    test(`${kind}: in the queue, and nothing is charged`, async () => {
      const holding = new AbortController();
      const held = failure(plain(stand, steer('latency_ms=20000'), { signal: holding.signal }));
      await stand.untilLoad('one runs', (load) => load.running === 1);
      const reserved = (await stand.pool(pool)).counts;
      const calls = (await stand.calls()).length;
      for (const send of [plain, stream]) {
        const controller = new AbortController();
        const waiting = failure(send(stand, steer(''), { signal: controller.signal }));
        await stand.untilLoad('one waits', (load) => load.waiting === 1);
        controller.abort();
        assert.ok(await waiting instanceof Abort);
        await stand.untilLoad('nobody waits', (load) => load.waiting === 0, FREE_MS);
      }
      const after = (await stand.pool(pool)).counts;
      assert.equal(after.admitted, reserved.admitted);
      assert.equal(after.cancelled, reserved.cancelled + 2);
      assert.equal((await stand.calls()).length, calls, 'the provider was not asked');
      holding.abort();
      await held;
      await stand.untilIdle(FREE_MS);
    });

    test(`${kind}: the place that came free goes to the next one`, async () => {
      const controller = new AbortController();
      const running = failure(plain(stand, steer('latency_ms=20000'), { signal: controller.signal }));
      await stand.untilLoad('one runs', (load) => load.running === 1);
      const waiting = plain(stand, steer('output=3'));
      await stand.untilLoad('one waits', (load) => load.waiting === 1);
      controller.abort();
      await running;
      await waiting;
    });
  }

  test('fifty that leave at once, some of them in the same moment as they come', async () => {
    await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      const controller = new AbortController();
      const { plain, stream } = KINDS[i % 2];
      const ended = (i % 3 ? plain : stream)(stand, steer('latency_ms=20000'),
        { signal: controller.signal }).catch(() => {});
      setTimeout(() => controller.abort(), i % 5 * 4);
      await ended;
    }));
    await stand.untilIdle(FREE_MS);
    const answer = await openai(stand).chat.completions.create(chat(steer('output=3')));
    assert.equal(answer.usage.completion_tokens, 3);
  });
});
