// Every call of OpenAI's SDK that the service has a route for, plain and streamed.
import assert from 'node:assert/strict';
import { fnv1a, getJson, steer, suite } from '../lib/stand.mjs';
import { chat, collect, openai } from './clients.mjs';

const TOOLS = ['weather', 'time'].map((name) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: { n: { type: 'integer' } } } },
}));

// What the simulator answers to a text begins with this.
const echoed = (text) => `echo${fnv1a(text)}`;

const textOf = (chunks) => chunks.map((one) => one.choices[0]?.delta.content ?? '').join('');

async function events(stream) {
  const all = await collect(stream);
  return { all, last: all.at(-1), deltas: all.filter((one) => one.type.endsWith('.delta')) };
}

const OPTIONS = {
  models: [{ name: 'gpt-4o', rpm: 60000, tpm: 10000000 },
    { name: 'text-embedding-3-small', rpm: 60000 }, { name: '*', rpm: 60000 }],
};

suite('openai: chat completions', OPTIONS, (stand, test) => {
  test('a plain completion is the answer to its own question', async () => {
    const text = steer('output=12');
    const answer = await openai(stand).chat.completions.create(chat(text));
    assert.equal(answer.object, 'chat.completion');
    assert.equal(answer.model, 'gpt-4o');
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.ok(answer.choices[0].message.content.startsWith(echoed(text)));
    assert.equal(answer.usage.completion_tokens, 12);
  });

  test('several choices and a maximum of tokens', async () => {
    const answer = await openai(stand).chat.completions.create(
      chat(steer('output=50'), { n: 3, max_tokens: 7 }));
    assert.deepEqual(answer.choices.map((one) => one.finish_reason), ['length', 'length', 'length']);
    assert.equal(answer.usage.completion_tokens, 21);
  });

  test('a stream brings every chunk, and no usage that was not asked for', async () => {
    const text = steer('output=30');
    const plain = await openai(stand).chat.completions.create(chat(text));
    const stream = await openai(stand).chat.completions.create(chat(text, { stream: true }));
    const chunks = await collect(stream);
    assert.equal(textOf(chunks), plain.choices[0].message.content);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
    for (const chunk of chunks) {
      assert.equal(chunk.usage ?? null, null, 'asked for by the service, not by the caller');
      assert.equal(chunk.choices.length, 1);
    }
    // One for the role, one for the end, the rest for the tokens (the first ones come together).
    assert.ok(chunks.length > 20, `${chunks.length} chunks`);
  });

  test('a stream shows its usage when it was asked for', async () => {
    const chunks = await collect(await openai(stand).chat.completions.create(
      chat(steer('output=9'), { stream: true, stream_options: { include_usage: true } })));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, 9);
    assert.ok(chunks.slice(0, -1).every((one) => one.usage === null));
  });

  test('usage that was refused in so many words stays hidden', async () => {
    const chunks = await collect(await openai(stand).chat.completions.create(
      chat(steer('output=9'), { stream: true, stream_options: { include_usage: false } })));
    assert.ok(chunks.every((one) => !one.usage && one.choices.length === 1));
  });

  test('the chunks of a slow stream come while it runs', async () => {
    const stream = await openai(stand).chat.completions.create(
      chat(steer('output=20 ms_per_token=20'), { stream: true }));
    const times = [];
    for await (const chunk of stream) if (chunk.choices[0].delta.content) times.push(Date.now());
    // The provider takes 400 ms for them; held back, they would all come at the end.
    assert.ok(times.at(-1) - times[0] > 100, `${times.at(-1) - times[0]} ms from first to last`);
  });

  test('a long answer arrives whole', async () => {
    const text = steer('output=20000');
    const plain = await openai(stand).chat.completions.create(chat(text));
    const chunks = await collect(
      await openai(stand).chat.completions.create(chat(text, { stream: true })));
    assert.equal(plain.choices[0].message.content.length, 80000);
    assert.equal(textOf(chunks), plain.choices[0].message.content);
  });

  test('a long prompt in many scripts arrives whole', async () => {
    const text = `${'Grüße, 日本語, 😀 "\\ \u0001 '.repeat(20000)}`;
    const answer = await openai(stand).chat.completions.create(chat(text));
    assert.ok(answer.choices[0].message.content.startsWith(echoed(text)));
  });

  test('tool calls, and their results in the next turn', async () => {
    const first = chat(steer('tool_calls=2'), { tools: TOOLS });
    const asked = await openai(stand).chat.completions.create(first);
    const calls = asked.choices[0].message.tool_calls;
    assert.equal(asked.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(calls.map((one) => one.function.name), ['weather', 'time']);
    const results = calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'sunny' }));
    const answer = await openai(stand).chat.completions.create({
      ...first,
      messages: [...first.messages, asked.choices[0].message, ...results,
        { role: 'user', content: 'And now?' }],
    });
    assert.ok(answer.choices[0].message.content.startsWith(echoed('And now?')));
  });

  test('tool calls of a stream', async () => {
    const runner = openai(stand).chat.completions.stream(
      chat(steer('tool_calls=2'), { tools: TOOLS }));
    const last = await runner.finalChatCompletion();
    assert.deepEqual(last.choices[0].message.tool_calls.map((one) => one.function.arguments),
      ['{"n":0}', '{"n":1}']);
  });

  test('many calls at once are each answered with their own answer', async () => {
    const client = openai(stand);
    await Promise.all(Array.from({ length: 40 }, async (_, i) => {
      const text = steer('latency_ms=20', `Question ${i}`);
      const answer = await client.chat.completions.create(chat(text));
      assert.ok(answer.choices[0].message.content.startsWith(echoed(text)));
    }));
  });
});

suite('openai: other routes', OPTIONS, (stand, test) => {
  test('a completion, plain', async () => {
    const prompt = steer('output=11');
    const answer = await openai(stand).completions.create({ model: 'davinci', prompt });
    assert.equal(answer.object, 'text_completion');
    assert.ok(answer.choices[0].text.startsWith(echoed(prompt)));
    assert.equal(answer.usage.completion_tokens, 11);
  });

  test('a completion, streamed', async () => {
    const prompt = steer('output=25');
    const chunks = await collect(
      await openai(stand).completions.create({ model: 'davinci', prompt, stream: true }));
    const text = chunks.map((one) => one.choices[0].text).join('');
    assert.ok(text.startsWith(echoed(prompt)));
    assert.ok(chunks.every((one) => !one.usage && one.choices.length === 1));
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  });

  test('a response, plain', async () => {
    const input = steer('output=14');
    const answer = await openai(stand).responses.create({ model: 'gpt-4o', input });
    assert.equal(answer.status, 'completed');
    assert.ok(answer.output_text.startsWith(echoed(input)));
    assert.equal(answer.usage.output_tokens, 14);
  });

  test('a response, streamed', async () => {
    const input = steer('output=22');
    const { all, last, deltas } = await events(
      await openai(stand).responses.create({ model: 'gpt-4o', input, stream: true }));
    const text = deltas.map((one) => one.delta).join('');
    assert.equal(all[0].type, 'response.created');
    assert.deepEqual(all.map((one) => one.sequence_number), all.map((_, i) => i));
    assert.equal(last.type, 'response.completed');
    assert.equal(last.response.usage.output_tokens, 22);
    assert.ok(text.startsWith(echoed(input)));
    assert.equal(last.response.output[0].content[0].text, text);
  });

  test('a response with function calls', async () => {
    const tools = [{ type: 'function', name: 'weather', parameters: {}, strict: false }];
    const answer = await openai(stand).responses.create(
      { model: 'gpt-4o', input: steer('tool_calls=1'), tools });
    assert.equal(answer.output[0].type, 'function_call');
    assert.equal(answer.output[0].name, 'weather');
  });

  // The SDK asks for base64 and decodes it, unless it is told "float".
  for (const format of [undefined, 'float']) {
    test(`embeddings (${format ?? 'base64'}) are those of their texts, in order`, async () => {
      const input = ['one', 'two', 'three'];
      const model = 'text-embedding-3-small';
      const answer = await openai(stand).embeddings.create(
        { model, input, dimensions: 64, encoding_format: format });
      assert.deepEqual(answer.data.map((one) => one.index), [0, 1, 2]);
      for (const [i, text] of input.entries()) {
        const direct = await fetch(`${stand.simulator.url}/v1/embeddings`, {
          method: 'POST', body: JSON.stringify({ model, input: text, dimensions: 64 }),
        });
        const expected = (await direct.json()).data[0].embedding;
        const vector = [...answer.data[i].embedding];
        assert.equal(vector.length, 64);
        vector.forEach((x, k) => assert.ok(Math.abs(x - expected[k]) < 1e-6));
      }
    });
  }

  test('embeddings that are asked for at once go out as one, to each its own', async () => {
    const model = 'text-embedding-3-small';
    const texts = Array.from({ length: 30 }, (_, i) => `text ${i}`);
    const before = (await stand.calls()).length;
    const all = await Promise.all(texts.map((input) => openai(stand).embeddings.create(
      { model, input, dimensions: 64 }).withResponse()));
    assert.ok((await stand.calls()).length - before < texts.length);
    assert.ok(all.some(({ response }) => response.headers.get('x-sluice-decision') === 'batched'));
    for (const [i, { data }] of all.entries()) {
      const direct = await fetch(`${stand.simulator.url}/v1/embeddings`, {
        method: 'POST', body: JSON.stringify({ model, input: texts[i], dimensions: 64 }),
      });
      const expected = (await direct.json()).data[0].embedding;
      assert.equal(data.data.length, 1);
      data.data[0].embedding.forEach((x, k) => assert.ok(Math.abs(x - expected[k]) < 1e-6));
      assert.ok(data.usage.prompt_tokens > 0 && data.model === model);
    }
  });

  test('the models of the configuration are listed', async () => {
    const models = await collect(await openai(stand).models.list());
    assert.ok(models.some((one) => one.id === 'gpt-4o' && one.owned_by === 'openai'));
    assert.ok(models.every((one) => one.object === 'model' && !one.id.includes('*')));
  });

  test('the statistics count all of it', async () => {
    await stand.untilIdle();
    const { totals } = await getJson(`${stand.url}/v1/stats`);
    assert.ok(totals.counts.succeeded >= 7);
    assert.equal(totals.counts.failed, 0);
    assert.equal(totals.counts.provider_429, 0);
  });
});
