// Caps of tool calls, as the SDKs see them: every format, plain and streamed, with 0, 1, 2 or all
// of the calls let through. The next turn is sent with what the SDK read, and the simulator, which
// refuses what the providers refuse, must take it.
import assert from 'node:assert/strict';
import { steer, suite } from '../lib/stand.mjs';
import { Anthropic, OpenAI, anthropic, chat, failure, message, openai } from './clients.mjs';

const MADE = 4;
const FUNCTION = { name: 'weather', parameters: { type: 'object', properties: {} } };
const NOTICE = /limit of tool calls/;
const WORDS = `tool_calls=${MADE} unruly`;
const ASK = steer(WORDS);
const OBEY = steer(`tool_calls=${MADE}`);

const FORMATS = [
  {
    name: 'chat',
    first: (text) => chat(text, { tools: [{ type: 'function', function: FUNCTION }] }),
    send: (stand, body, options) => openai(stand).chat.completions.create(body, options),
    stream: (stand, body, options) => openai(stand).chat.completions
      .stream(body, options).finalChatCompletion(),
    read: (answer) => ({
      calls: answer.choices[0].message.tool_calls ?? [],
      text: answer.choices[0].message.content ?? '',
      called: answer.choices[0].finish_reason === 'tool_calls',
      stopped: answer.choices[0].finish_reason === 'stop',
    }),
    next: (body, answer, calls) => ({
      ...body,
      messages: [...body.messages, answer.choices[0].message,
        ...calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'sunny' }))],
    }),
    turn: (body, text) => ({ ...body, messages: [...body.messages, { role: 'user', content: text }] }),
    Refused: OpenAI.UnprocessableEntityError,
  },
  {
    name: 'responses',
    first: (text) => ({
      model: 'gpt-4o', input: [{ role: 'user', content: text }],
      tools: [{ type: 'function', ...FUNCTION, strict: false }],
    }),
    send: (stand, body, options) => openai(stand).responses.create(body, options),
    stream: (stand, body, options) => openai(stand).responses.stream(body, options).finalResponse(),
    read: (answer) => ({
      calls: answer.output.filter((one) => one.type === 'function_call'),
      text: answer.output_text,
      called: true,
      stopped: answer.status === 'completed',
    }),
    next: (body, answer, calls) => ({
      ...body,
      input: [...body.input, ...answer.output.map(({ parsed_arguments, ...one }) => one),
        ...calls.map((one) => ({
          type: 'function_call_output', call_id: one.call_id, output: 'sunny' }))],
    }),
    turn: (body, text) => ({ ...body, input: [...body.input, { role: 'user', content: text }] }),
    Refused: OpenAI.UnprocessableEntityError,
  },
  {
    name: 'messages',
    first: (text) => message(text, {
      tools: [{ name: 'weather', input_schema: FUNCTION.parameters }] }),
    send: (stand, body, options) => anthropic(stand).messages.create(body, options),
    stream: (stand, body, options) => anthropic(stand).messages.stream(body, options).finalMessage(),
    read: (answer) => ({
      calls: answer.content.filter((one) => one.type === 'tool_use'),
      text: answer.content.filter((one) => one.type === 'text').map((one) => one.text).join(''),
      called: answer.stop_reason === 'tool_use',
      stopped: answer.stop_reason === 'end_turn',
    }),
    next: (body, answer, calls) => ({
      ...body,
      messages: [...body.messages, { role: 'assistant', content: answer.content },
        ...calls.length ? [{
          role: 'user',
          content: calls.map(({ id }) => (
            { type: 'tool_result', tool_use_id: id, content: 'sunny' })),
        }] : []],
    }),
    turn: (body, text) => ({ ...body, messages: [...body.messages, { role: 'user', content: text }] }),
    Refused: Anthropic.UnprocessableEntityError,
  },
];

const capped = (words) => ({ headers: { 'x-sluice-tool-calls': words } });

suite('tool calls', {}, (stand, test) => {
  for (const format of FORMATS) {
    for (const how of ['send', 'stream']) {
      for (const left of [0, 1, 2, 'all']) {
        test(`${format.name}, ${how}: ${left} of ${MADE} calls are left`, async () => {
          const body = format.first(ASK);
          const kept = left === 'all' ? MADE : left;
          const options = left === 'all' ? {} : capped(`response=${left}`);
          // A header as well, since a notice may be the last text of the request.
          const answer = await format[how](stand, body,
            { headers: { ...options.headers, 'x-sim': WORDS } });
          const { calls, text, called, stopped } = format.read(answer);
          assert.equal(calls.length, kept);
          assert.ok(kept ? called : stopped);
          if (kept) assert.equal(text, '');
          else assert.match(text, NOTICE);
          const next = format.turn(format.next(body, answer, calls), 'And now?');
          const last = await format[how](stand, next, options);
          assert.ok(format.read(last).text.startsWith('echo'));
        });
      }

      test(`${format.name}, ${how}: calls that were judged by their arguments pass whole`, async () => {
        const [plain, judged] = [{}, capped('identical=2')].map(({ headers }) => (
          format[how](stand, format.first(ASK), { headers: { ...headers, 'x-sim': WORDS } })));
        const calls = format.read(await judged).calls;
        assert.equal(calls.length, MADE);
        assert.deepEqual(calls.map((one) => one.function?.arguments ?? one.arguments ?? one.input),
          format.read(await plain).calls.map((one) => (
            one.function?.arguments ?? one.arguments ?? one.input)));
      });

      test(`${format.name}, ${how}: when a turn's budget is gone the model is told`, async () => {
        const body = format.first(OBEY);
        const answer = await format[how](stand, body, capped('turn=2'));
        const { calls } = format.read(answer);
        assert.equal(calls.length, 2);
        const next = format.next(body, answer, calls);
        const last = await format[how](stand, next, capped('turn=2'));
        assert.equal(format.read(last).calls.length, 0);
        assert.equal((await stand.lastCall()).status, 200);
        // A new message of the user is a new turn.
        const again = await format[how](stand, format.turn(next, OBEY), capped('turn=2'));
        assert.equal(format.read(again).calls.length, 2);
      });

      test(`${format.name}, ${how}: one at a time, by the provider's own means`, async () => {
        const answer = await format[how](stand, format.first(OBEY), capped('turn=1'));
        assert.equal(format.read(answer).calls.length, 1);
      });
    }

    test(`${format.name}: how many were dropped is told`, async () => {
      const request = format.send(stand, format.first(ASK), capped('response=1'));
      const { response } = await request.withResponse();
      assert.equal(response.headers.get('x-sluice-tool-calls-dropped'), String(MADE - 1));
      assert.match(stand.logged(0), /"tool_calls_dropped":"?3/);
    });

    test(`${format.name}: in mode answer all pass, and surplus results say no`, async () => {
      const body = format.first(ASK);
      const answer = await format.send(stand, body, capped('turn=2 mode=answer'));
      const { calls } = format.read(answer);
      assert.equal(calls.length, MADE);
      const next = format.next(body, answer, calls);
      const last = await format.send(stand, format.turn(next, 'And now?'),
        capped('turn=2 mode=answer'));
      assert.ok(format.read(last).text.startsWith('echo'));
    });

    test(`${format.name}: in mode error the next request names the cap`, async () => {
      const body = format.first(ASK);
      const answer = await format.send(stand, body, capped('turn=2 mode=error'));
      const { calls } = format.read(answer);
      assert.equal(calls.length, MADE);
      const error = await failure(
        format.send(stand, format.next(body, answer, calls), capped('turn=2 mode=error')));
      assert.ok(error instanceof format.Refused, String(error));
      assert.match(error.message, /max_calls_per_turn: 2/);
    });

    test(`${format.name}: a named conversation keeps its count when history is cut`, async () => {
      const options = { headers: {
        'x-sluice-tool-calls': 'session=5', 'x-sluice-session': `cut-${format.name}` } };
      const one = await format.send(stand, format.first(ASK), options);
      assert.equal(format.read(one).calls.length, MADE);
      const two = await format.send(stand, format.first(ASK), options);
      assert.equal(format.read(two).calls.length, 1);
      const three = await format.send(stand, format.first(ASK), options);
      assert.equal(format.read(three).calls.length, 0);
    });
  }

  test('a header that cannot be read is 400', async () => {
    for (const bad of ['turn=-1', 'turns=3', 'turn=1000001', 'mode=no', 'x'.repeat(300)]) {
      const error = await failure(openai(stand).chat.completions.create(chat('Hi'), capped(bad)));
      assert.equal(error.status, 400);
      assert.match(error.message, /x-sluice-tool-calls/);
    }
  });
});

suite('tool calls: configured', {
  models: [{ name: '*', rpm: 60000, tpm: 10000000, tool_calls: { max_calls_per_turn: 3 } }],
  config: { tenants: [{ name: 'default', tool_calls: { max_calls_per_response: 2 } }] },
}, (stand, test) => {
  for (const format of FORMATS) {
    test(`${format.name}: the least of model, tenant and header holds`, async () => {
      const body = format.first(ASK);
      const two = await format.stream(stand, body, {});
      assert.equal(format.read(two).calls.length, 2);
      const one = await format.stream(stand, body, capped('response=1 turn=9'));
      assert.equal(format.read(one).calls.length, 1);
      const next = format.next(body, two, format.read(two).calls);
      const last = await format.stream(stand, next, {});
      assert.equal(format.read(last).calls.length, 1);
    });
  }

  test('what was dropped is counted', async () => {
    const pool = await stand.pool('openai:default:*');
    assert.ok(pool.counts.tool_calls_dropped > 0);
  });
});
