// Anthropic's SDK: messages, plain and streamed, with tools.
import assert from 'node:assert/strict';
import { fnv1a, steer, suite } from '../lib/stand.mjs';
import { anthropic, collect, message } from './clients.mjs';

const TOOLS = ['weather', 'time'].map((name) => ({
  name, description: `Tells the ${name}.`, input_schema: { type: 'object', properties: {} },
}));

const echoed = (text) => `echo${fnv1a(text)}`;

const OPTIONS = { models: [{ name: '*', rpm: 60000, itpm: 10000000, otpm: 10000000 }] };

suite('anthropic: messages', OPTIONS, (stand, test) => {
  test('a plain message is the answer to its own question', async () => {
    const text = steer('output=13');
    const answer = await anthropic(stand).messages.create(message(text));
    assert.equal(answer.type, 'message');
    assert.equal(answer.stop_reason, 'end_turn');
    assert.ok(answer.content[0].text.startsWith(echoed(text)));
    assert.equal(answer.usage.output_tokens, 13);
  });

  test('max_tokens ends an answer', async () => {
    const answer = await anthropic(stand).messages.create(
      message(steer('output=50'), { max_tokens: 8 }));
    assert.equal(answer.stop_reason, 'max_tokens');
    assert.equal(answer.usage.output_tokens, 8);
  });

  test('a stream brings every event in order', async () => {
    const text = steer('output=30');
    const plain = await anthropic(stand).messages.create(message(text));
    const events = await collect(
      await anthropic(stand).messages.create(message(text, { stream: true })));
    const kinds = events.map((one) => one.type).filter((type) => type !== 'ping');
    const deltas = events.filter((one) => one.type === 'content_block_delta');
    assert.deepEqual(kinds.slice(0, 2), ['message_start', 'content_block_start']);
    assert.deepEqual(kinds.slice(-3), ['content_block_stop', 'message_delta', 'message_stop']);
    assert.equal(deltas.map((one) => one.delta.text).join(''), plain.content[0].text);
    const end = events.find((one) => one.type === 'message_delta');
    assert.equal(end.usage.output_tokens, 30);
  });

  test("the SDK's own helper makes a whole message of a stream", async () => {
    const text = steer('output=40 ms_per_token=2');
    const stream = anthropic(stand).messages.stream(message(text));
    let seen = '';
    stream.on('text', (delta) => { seen += delta; });
    const last = await stream.finalMessage();
    assert.equal(last.content[0].text, seen);
    assert.ok(seen.startsWith(echoed(text)));
    assert.equal(last.usage.output_tokens, 40);
  });

  test('tool calls, and their results in the next turn', async () => {
    const first = message(steer('tool_calls=2'), { tools: TOOLS });
    const asked = await anthropic(stand).messages.create(first);
    assert.equal(asked.stop_reason, 'tool_use');
    const uses = asked.content.filter((one) => one.type === 'tool_use');
    assert.deepEqual(uses.map((one) => one.name), ['weather', 'time']);
    const results = uses.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'ok' }));
    const answer = await anthropic(stand).messages.create({
      ...first,
      messages: [...first.messages, { role: 'assistant', content: asked.content },
        { role: 'user', content: [...results, { type: 'text', text: 'And now?' }] }],
    });
    assert.equal(answer.stop_reason, 'end_turn');
  });

  test('tool calls of a stream', async () => {
    const last = await anthropic(stand).messages
      .stream(message(steer('tool_calls=2'), { tools: TOOLS })).finalMessage();
    assert.deepEqual(last.content.filter((one) => one.type === 'tool_use').map((one) => one.input),
      [{ n: 0 }, { n: 1 }]);
  });

  test('a system prompt, blocks of content and the version header pass through', async () => {
    const answer = await anthropic(stand).messages.create({
      ...message(''),
      system: [{ type: 'text', text: 'Be short.', cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
    });
    assert.equal(answer.role, 'assistant');
  });
});
