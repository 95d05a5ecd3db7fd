// What goes wrong at the provider is repeated here, so that callers do not see it; and what was cut
// in the middle never looks whole.
import assert from 'node:assert/strict';
import { steer, suite } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, collect, failure, message, openai } from './clients.mjs';

const ERROR = { error: { message: 'from the script', type: 'server_error' } };
const FAULTS = {
  500: { status: 500, body: ERROR },
  502: { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>bad gateway</html>' },
  503: { status: 503, body: ERROR, headers: { 'retry-after': '1' } },
  504: { status: 504, body: ERROR },
  529: { status: 529, body: { type: 'error', error: { type: 'overloaded_error', message: 'o' } } },
  408: { status: 408, body: ERROR },
  409: { status: 409, body: ERROR },
  'a closed connection': { disconnect: true },
  'half a body': { status: 200, body: '{"id":"chatcmpl-1","choices":[', cut_after: 12 },
  'a stream without an event': {
    status: 200, headers: { 'content-type': 'text/event-stream' }, body: ': hello\n\n', cut_after: 5,
  },
  'a stream that ends before its first event': {
    status: 200, headers: { 'content-type': 'text/event-stream' }, body: ': hello\n\n',
  },
};

suite('faults that pass', {}, (stand, test) => {
  for (const [name, reply] of Object.entries(FAULTS)) {
    test(`${name}, then success`, async () => {
      const prompt = steer('output=6');
      const sends = [
        () => openai(stand).chat.completions.create(chat(prompt)).withResponse(),
        () => openai(stand).chat.completions.create(chat(prompt, { stream: true })).withResponse(),
        () => anthropic(stand).messages.create(message(prompt)).withResponse(),
        () => anthropic(stand).messages.create(message(prompt, { stream: true })).withResponse(),
      ];
      await Promise.all(sends.map(async (send) => {
        await stand.script(reply);
        const { data, response } = await send();
        if (data[Symbol.asyncIterator]) await collect(data);
        assert.equal(response.status, 200);
        assert.ok(Number(response.headers.get('x-sluice-attempts')) >= 1);
      }));
      await stand.untilIdle();
    });
  }

  test('the attempts are told, and all of them were made', async () => {
    await stand.reset();
    await stand.script({ ...FAULTS[500], times: 2 });
    const { response } = await openai(stand).chat.completions.create(chat('Hello')).withResponse();
    assert.equal(response.headers.get('x-sluice-attempts'), '3');
    assert.deepEqual((await stand.calls()).map((one) => one.status), [500, 500, 200]);
  });

  test('what does not pass is told as it came, after max_attempts', async () => {
    await stand.reset();
    const error = await failure(openai(stand).chat.completions.create(chat(steer('status=500'))));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, 500);
    assert.equal((await stand.calls()).length, 4);
  });

  test('answers that are always cut are 502, never half an answer', async () => {
    const error = await failure(openai(stand).chat.completions.create(
      chat(steer('output=40 cut_after=10'))));
    assert.ok(error instanceof OpenAI.InternalServerError, String(error));
    assert.equal(error.status, 502);
    assert.match(error.message, /closed the connection/);
  });
});

// Each gives what the stream brought, and fails as the SDK fails.
const STREAMS = {
  'chat completions': async (stand, prompt, seen) => {
    const stream = await openai(stand).chat.completions.create(chat(prompt, { stream: true }));
    for await (const one of stream) seen.push(one);
  },
  completions: async (stand, prompt, seen) => {
    const stream = await openai(stand).completions.create(
      { model: 'davinci', prompt, stream: true });
    for await (const one of stream) seen.push(one);
  },
  responses: async (stand, prompt, seen) => {
    const stream = await openai(stand).responses.create(
      { model: 'gpt-4o', input: prompt, stream: true });
    for await (const one of stream) seen.push(one);
  },
  messages: async (stand, prompt, seen) => {
    const stream = await anthropic(stand).messages.create(message(prompt, { stream: true }));
    for await (const one of stream) seen.push(one);
  },
};
const API_ERRORS = [OpenAI.APIError, Anthropic.APIError];

suite('faults in a stream', { provider: { idle_ms: 400, first_byte_ms: 400, max_attempts: 2 } },
  (stand, test) => {
    for (const [name, run] of Object.entries(STREAMS)) {
      test(`${name}: a stream that is cut is an error, never a clean end`, async () => {
        const seen = [];
        const error = await failure(run(stand, steer('output=40 cut_after=15'), seen));
        assert.ok(API_ERRORS.some((type) => error instanceof type), String(error));
        assert.ok(seen.length > 5, 'what came before the cut was passed on');
        assert.match(error.message, /connection|stream/i);
      });

      test(`${name}: a stream that stops is an error`, async () => {
        const seen = [];
        const error = await failure(run(stand, steer('output=40 stall_after=15'), seen));
        assert.ok(API_ERRORS.some((type) => error instanceof type), String(error));
        assert.match(error.message, /stopped/);
      });

      test(`${name}: an error event of the provider ends the stream`, async () => {
        const seen = [];
        const ended = run(stand, steer('output=40 error_after=15'), seen);
        if (name === 'responses') {
          // OpenAI's own event, which its SDK hands out as the last one of the stream.
          await ended;
          assert.equal(seen.at(-1).type, 'error');
          return;
        }
        const error = await failure(ended);
        assert.ok(API_ERRORS.some((type) => error instanceof type), String(error));
      });
    }

    test('a stream that ends cleanly but without its last event is an error', async () => {
      const chunk = { id: 'c', object: 'chat.completion.chunk', model: 'gpt-4o', created: 1,
        choices: [{ index: 0, delta: { content: 'half' }, finish_reason: null }] };
      await stand.script({ status: 200, headers: { 'content-type': 'text/event-stream' },
        body: `data: ${JSON.stringify(chunk)}\n\n` });
      const error = await failure(STREAMS['chat completions'](stand, 'Hello', []));
      assert.ok(error instanceof OpenAI.APIError, String(error));
    });

    test('nothing is sent twice once output was given', async () => {
      await stand.reset();
      await failure(STREAMS.messages(stand, steer('output=40 cut_after=15'), []));
      assert.equal((await stand.calls()).length, 1);
    });

    test('a provider that never answers is 504, after its attempts', async () => {
      const error = await failure(openai(stand).chat.completions.create(chat(steer('stall'))));
      assert.equal(error.status, 504);
      assert.ok(error instanceof OpenAI.InternalServerError);
      await stand.untilIdle();
    });

    test('a stream of Latin and other scripts is cut at no byte', async () => {
      const content = 'Grüße 日本 😀';
      const chunk = { id: 'c', object: 'chat.completion.chunk', model: 'gpt-4o', created: 1,
        choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }] };
      await stand.script({ status: 200, headers: { 'content-type': 'text/event-stream' },
        body: `data: ${JSON.stringify(chunk)}\r\n\r\ndata: [DONE]\r\n\r\n` });
      const seen = [];
      await STREAMS['chat completions'](stand, 'Hello', seen);
      assert.equal(seen[0].choices[0].delta.content, content);
    });
  });
