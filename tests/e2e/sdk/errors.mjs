// Errors reach the SDKs as their own classes, with the status and a message that says whose it is.
import assert from 'node:assert/strict';
import { steer, suite } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, collect, failure, message, openai } from './clients.mjs';

const LIMITED = { name: 'limited', rpm: 60000, tpm: 2000 };

function is(error, type, status, words) {
  assert.ok(error instanceof type, `${error?.constructor?.name}: ${error?.message}`);
  assert.equal(error.status, status);
  assert.match(error.message, words);
  return error;
}

const OWN = {
  models: [{ name: 'gpt-4o', rpm: 60000, max_parallel_requests: 1 },
    { name: 'claude-test', rpm: 60000, max_parallel_requests: 1 }, LIMITED],
  config: { http: { max_body_bytes: 100000 } },
};

suite("errors: the service's own", OWN, (stand, test) => {
  const asked = (more) => openai(stand).chat.completions.create(chat('Hello', more));
  const told = (more) => anthropic(stand).messages.create(message('Hello', more));

  test('a model that is not configured is 404', async () => {
    const error = is(await failure(asked({ model: 'nobody' })), OpenAI.NotFoundError, 404, /nobody/);
    assert.equal(error.code, 'model_not_found');
    is(await failure(told({ model: 'nobody' })), Anthropic.NotFoundError, 404, /nobody/);
  });

  test('a path that does not exist is 404 in the format of its neighbours', async () => {
    is(await failure(openai(stand).post('/nothing')), OpenAI.NotFoundError, 404, /\/v1\/nothing/);
    const error = await failure(anthropic(stand).post('/v1/messages/nothing'));
    is(error, Anthropic.NotFoundError, 404, /nothing/);
    assert.equal(error.error.type, 'error');
    assert.equal(error.error.error.type, 'not_found_error');
  });

  test('a body without a model is 400', async () => {
    is(await failure(openai(stand).chat.completions.create({ messages: [] })),
      OpenAI.BadRequestError, 400, /model/);
    const error = await failure(anthropic(stand).messages.create({ max_tokens: 5, messages: [] }));
    is(error, Anthropic.BadRequestError, 400, /model/);
    assert.equal(error.error.error.type, 'invalid_request_error');
  });

  test('a body that is not JSON, or of wrong types, is 400', async () => {
    for (const body of ['{"model":', '[]', '"gpt-4o"', '{"model":7,"messages":[]}', '',
      '{"model":"gpt-4o","model":"gpt-4","messages":[]}']) {
      const answer = await fetch(`${stand.url}/v1/chat/completions`, { method: 'POST', body });
      assert.equal(answer.status, 400, body);
      assert.equal((await answer.json()).error.type, 'invalid_request_error');
    }
  });

  test('a header of ours with a bad value is 400', async () => {
    for (const headers of [{ 'x-sluice-priority': 'now' }, { 'x-sluice-max-wait-ms': '-1' },
      { 'x-sluice-max-wait-ms': '1e3' }]) {
      const error = await failure(
        openai(stand).chat.completions.create(chat('Hello'), { headers }));
      is(error, OpenAI.BadRequestError, 400, new RegExp(Object.keys(headers)[0]));
    }
  });

  test('what can never fit a limit is 413 at once, with the limit in the message', async () => {
    const error = await failure(openai(stand).chat.completions.create(
      chat('Hello', { model: 'limited', max_tokens: 5000 }),
      { headers: { 'x-sluice-shrink': 'never' } }));
    is(error, OpenAI.APIError, 413, /tpm.*2000/);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    const other = await failure(told({ model: 'limited', max_tokens: 5, system: 'x '.repeat(9000) }));
    is(other, Anthropic.APIError, 413, /tpm.*2000/);
  });

  test('a body over http.max_body_bytes is 413', async () => {
    const long = 'x'.repeat(150000);
    is(await failure(openai(stand).chat.completions.create(chat(long))), OpenAI.APIError, 413, /./);
    is(await failure(anthropic(stand).messages.create(message(long))), Anthropic.APIError, 413, /./);
  });

  test('who waits longer than x-sluice-max-wait-ms gets 504, and is told not to retry', async () => {
    const headers = { 'x-sluice-max-wait-ms': '150' };
    for (const [send, text, type] of [
      [(...of) => openai(stand).chat.completions.create(...of), chat, OpenAI.InternalServerError],
      [(...of) => anthropic(stand).messages.create(...of), message,
        Anthropic.InternalServerError]]) {
      const running = send(text(steer('latency_ms=1000')));
      await stand.untilLoad('one runs', (load) => load.running === 1);
      const error = await failure(send(text('Hello'), { headers }));
      is(error, type, 504, /x-sluice-max-wait-ms/);
      assert.equal(error.headers.get('x-should-retry'), 'false');
      await running;
      await stand.untilIdle();
    }
  });

  test('a stream that waits too long gets its 504 as well', async () => {
    const running = openai(stand).chat.completions.create(chat(steer('latency_ms=1000')));
    await stand.untilLoad('one runs', (load) => load.running === 1);
    const error = await failure(openai(stand).chat.completions.create(
      chat('Hello', { stream: true }), { headers: { 'x-sluice-max-wait-ms': '100' } }));
    is(error, OpenAI.InternalServerError, 504, /x-sluice-max-wait-ms/);
    await running;
  });

  test("nothing of this reached the provider but what was answered", async () => {
    assert.ok((await stand.calls()).every((one) => one.outcome === 'answered'));
  });
});

suite("errors: the provider's", { simulate: ['--model', 'gpt-4o', '--model', 'claude-test'] },
  (stand, test) => {
    test('a model that the provider does not know is its 404', async () => {
      const error = await failure(
        openai(stand).chat.completions.create(chat('Hello', { model: 'gpt-9' })));
      is(error, OpenAI.NotFoundError, 404, /gpt-9/);
      is(await failure(anthropic(stand).messages.create(message('Hello', { model: 'claude-9' }))),
        Anthropic.NotFoundError, 404, /claude-9/);
    });

    test('its 400 passes through with its words, once', async () => {
      await stand.reset();
      const orphan = [{ role: 'tool', tool_call_id: 'call_1', content: 'sunny' }];
      const error = await failure(
        openai(stand).chat.completions.create({ model: 'gpt-4o', messages: orphan }));
      is(error, OpenAI.BadRequestError, 400, /tool/);
      assert.equal(error.type, 'invalid_request_error');
      const other = await failure(anthropic(stand).messages.create({
        ...message(''),
        messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1' }] }],
      }));
      is(other, Anthropic.BadRequestError, 400, /tool_result/);
      assert.equal(other.error.error.type, 'invalid_request_error');
      assert.deepEqual((await stand.calls()).map((one) => one.status), [400, 400]);
    });

    test('a stream that it refuses is the same error', async () => {
      const orphan = [{ role: 'tool', tool_call_id: 'call_1', content: 'sunny' }];
      is(await failure(openai(stand).chat.completions.create(
        { model: 'gpt-4o', messages: orphan, stream: true })), OpenAI.BadRequestError, 400, /tool/);
    });

    for (const [status, kind] of [[401, 'AuthenticationError'], [403, 'PermissionDeniedError'],
      [422, 'UnprocessableEntityError']]) {
      test(`its ${status} passes through, and is not tried again`, async () => {
        await stand.reset();
        is(await failure(openai(stand).chat.completions.create(chat(steer(`status=${status}`)))),
          OpenAI[kind], status, /./);
        is(await failure(anthropic(stand).messages.create(message(steer(`status=${status}`)))),
          Anthropic[kind], status, /./);
        assert.equal((await stand.calls()).length, 2);
      });
    }

    test('an error in the middle of a stream is an error of the SDK', async () => {
      const seen = [];
      const stream = await openai(stand).chat.completions.create(
        chat(steer('output=20 error_after=10'), { stream: true }));
      const error = await failure((async () => {
        for await (const chunk of stream) seen.push(chunk);
      })());
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.ok(seen.length > 2);
      const other = await failure(collect(await anthropic(stand).messages.create(
        message(steer('output=20 error_after=10'), { stream: true }))));
      assert.ok(other instanceof Anthropic.APIError, String(other));
    });

    test('all is given back', async () => {
      await stand.untilIdle();
    });
  });

suite('errors: a key that the provider does not take',
  { simulate: ['--require-key', 'another'] }, (stand, test) => {
    test('its 401 reaches the caller', async () => {
      is(await failure(openai(stand).chat.completions.create(chat('Hello'))),
        OpenAI.AuthenticationError, 401, /./);
      is(await failure(anthropic(stand).messages.create(message('Hello'))),
        Anthropic.AuthenticationError, 401, /./);
      is(await failure(openai(stand).chat.completions.create(chat('Hello', { stream: true }))),
        OpenAI.AuthenticationError, 401, /./);
    });
  });

suite('errors: no provider at all', {}, (stand, test) => {
  test('a provider that is gone is 502 in the right format, after attempts', async () => {
    await stand.simulator.end();
    is(await failure(openai(stand).chat.completions.create(chat('Hello'))),
      OpenAI.InternalServerError, 502, /could not be reached/);
    is(await failure(anthropic(stand).messages.create(message('Hello', { stream: true }))),
      Anthropic.InternalServerError, 502, /could not be reached/);
    await stand.untilIdle();
  });
});
