// Conversations that are kept by the service: made, posted to, looked at, cleared and deleted.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Program } from '../../support/program.mjs';
import { steer, suite, until } from '../lib/stand.mjs';

const KEYS = ['key-of-the-first-tenant', 'key-of-the-other-one'];
const OPTIONS = {
  config: {
    auth: { keys: [{ key: KEYS[0], tenant: 'one' }, { key: KEYS[1], tenant: 'two' }] },
    sessions: { max_messages: 12, max_bytes: 20000 },
  },
  headers: { authorization: `Bearer ${KEYS[0]}` },
  secrets: KEYS,
};
const FORMATS = [
  { name: 'openai', model: 'gpt-4o' },
  { name: 'responses', model: 'gpt-4o', format: 'responses' },
  { name: 'anthropic', model: 'claude-test' },
];

async function call(stand, method, path, body, { key = KEYS[0], url = stand.url, signal } = {}) {
  return fetch(`${url}${path}`, {
    method, signal, headers: { authorization: `Bearer ${key}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

async function json(stand, method, path, body, options) {
  const answer = await call(stand, method, path, body, options);
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

async function make(stand, more) {
  const made = await json(stand, 'POST', '/v1/sessions', { model: 'gpt-4o', ...more });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.equal(made.headers.get('location'), `/v1/sessions/${made.body.id}`);
  return `/v1/sessions/${made.body.id}`;
}

const say = (stand, path, content, more, options) =>
  json(stand, 'POST', `${path}/messages`, { content, ...more }, options);
const look = async (stand, path, options) => (await json(stand, 'GET', path, undefined, options)).body;
const roles = (session) => session.messages.map(({ message }) => message.role ?? message.type);

function text(body) {
  if (body.choices) return body.choices[0].message.content;
  const blocks = body.content ?? body.output.flatMap((one) => one.content ?? []);
  return blocks.map((one) => one.text ?? '').join('');
}

// The text of an event stream of any of the formats.
async function streamed(answer) {
  let all = '';
  for (const line of (await answer.text()).split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const event = JSON.parse(line.slice(6));
    all += event.choices?.[0]?.delta.content ?? event.delta?.text
      ?? (typeof event.delta === 'string' ? event.delta : '');
  }
  return all;
}

suite('sessions', OPTIONS, (stand, test) => {
  for (const { name, model, format } of FORMATS) {
    test(`${name}: what was said before is in the next request, streamed or not`, async () => {
      const path = await make(stand, { model, format, system: 'Be short.', metadata: { a: 1 } });
      const first = await say(stand, path, steer('output=12'));
      assert.equal(first.status, 200, JSON.stringify(first.body));
      const answer = await call(stand, 'POST', `${path}/messages`, { content: 'And?', stream: true });
      assert.equal(answer.status, 200);
      const second = await streamed(answer);
      assert.ok(second.startsWith('echo'), second);
      const session = await look(stand, path);
      assert.deepEqual(roles(session), ['user', 'assistant', 'user', 'assistant']);
      const [, one, , two] = session.messages.map(({ message }) => JSON.stringify(message));
      assert.ok(one.includes(text(first.body)));
      assert.ok(two.includes(second));
      assert.deepEqual(session.metadata, { a: 1 });
      assert.equal(session.statistics.requests, 2);
      assert.ok(session.messages[1].usage.output_tokens === 12);
      const usages = session.messages.flatMap((each) => each.usage ?? []);
      assert.equal(session.statistics.total_tokens,
        usages.reduce((sum, each) => sum + each.input_tokens + each.output_tokens, 0));
      assert.ok(session.statistics.current_tokens > 0);
      if (name === 'anthropic') {
        assert.equal(session.statistics.total_cost, null, 'a model without a price');
      } else {
        // gpt-4o: 2.50 and 10 dollars for a million tokens; what the cache gave costs half.
        const { input_tokens: input, output_tokens: output, total_cost: cost } = session.statistics;
        const most = (2.5 * input + 10 * output) / 1e6;
        assert.ok(cost > most / 2 && cost <= most + 1e-9, `${cost} of ${most}`);
      }
      const { body: context } = await json(stand, 'GET', `${path}/context`);
      assert.equal((context.body.messages ?? context.body.input).length,
        4 + (name === 'openai' ? 1 : 0));
      assert.ok(JSON.stringify(context.body).includes('Be short.'));
    });

    test(`${name}: tool calls, streamed or not, and their results as messages`, async () => {
      const tool = name === 'anthropic' ? { name: 'weather', input_schema: { type: 'object' } }
        : name === 'responses' ? { type: 'function', name: 'weather', parameters: {}, strict: false }
          : { type: 'function', function: { name: 'weather' } };
      for (const stream of [false, true]) {
        const path = await make(stand, { model, format, tools: [tool] });
        const asked = await call(stand, 'POST', `${path}/messages`,
          { content: steer('tool_calls=2'), stream });
        assert.equal(asked.status, 200);
        await asked.text();
        const { messages } = await look(stand, path);
        const ids = messages.slice(1).flatMap(({ message }) => message.call_id
          ?? (message.tool_calls ?? message.content ?? []).map((one) => one.id));
        assert.equal(ids.length, 2, JSON.stringify(messages));
        const results = {
          openai: ids.map((id) => ({ role: 'tool', tool_call_id: id, content: 'ok' })),
          responses: ids.map((id) => ({ type: 'function_call_output', call_id: id, output: 'ok' })),
          anthropic: [{ role: 'user', content: ids.map((id) => (
            { type: 'tool_result', tool_use_id: id, content: 'ok' })) }],
        }[name];
        const ended = await json(stand, 'POST', `${path}/messages`,
          { messages: [...results, { role: 'user', content: 'And?' }] });
        assert.equal(ended.status, 200, JSON.stringify(ended.body));
        assert.ok(text(ended.body).startsWith('echo'));
        assert.equal((await look(stand, path)).statistics.tool_calls, 2);
      }
    });
  }

  test('a post that fails leaves the history as it was', async () => {
    const path = await make(stand);
    await say(stand, path, 'Hello');
    const before = await look(stand, path);
    for (const words of ['status=400', 'status=401']) {
      assert.ok((await say(stand, path, steer(words))).status >= 400);
    }
    const cut = await call(stand, 'POST', `${path}/messages`,
      { content: steer('output=20 error_after=5'), stream: true });
    await cut.text().catch(() => {});
    const controller = new AbortController();
    const left = call(stand, 'POST', `${path}/messages`,
      { content: steer('latency_ms=20000') }, { signal: controller.signal }).catch(() => {});
    await stand.untilLoad('one runs', (load) => load.running === 1);
    controller.abort();
    await left;
    await stand.untilIdle();
    const after = await look(stand, path);
    assert.deepEqual(after.messages, before.messages);
    assert.equal((await say(stand, path, 'Still here?')).status, 200);
  });

  test('what is no post or no session is refused', async () => {
    for (const body of [{}, { model: 7 }, { model: 'gpt-4o', preset: 'best' },
      { model: 'gpt-4o', messages: [] }, { model: 'gpt-4o', format: 'x' }, { model: '' }]) {
      assert.equal((await json(stand, 'POST', '/v1/sessions', body)).status, 400, JSON.stringify(body));
    }
    const path = await make(stand);
    for (const body of [{}, { content: 7 }, { messages: [] }, { messages: [7] }, [],
      { content: 'x', messages: [{}] }, { content: 'x', model: 'gpt-4' }]) {
      const { status } = await json(stand, 'POST', `${path}/messages`, body);
      assert.equal(status, 400, JSON.stringify(body));
    }
    assert.equal((await say(stand, '/v1/sessions/sess_none', 'x')).status, 404);
  });

  test("another tenant's session is not there", async () => {
    const path = await make(stand);
    const other = { key: KEYS[1] };
    assert.equal((await json(stand, 'GET', path, undefined, other)).status, 404);
    assert.equal((await json(stand, 'GET', `${path}/context`, undefined, other)).status, 404);
    assert.equal((await say(stand, path, 'x', {}, other)).status, 404);
    assert.equal((await json(stand, 'DELETE', `${path}/messages`, undefined, other)).status, 404);
    assert.equal((await json(stand, 'DELETE', path, undefined, other)).status, 404);
    const { body } = await json(stand, 'GET', '/v1/sessions', undefined, other);
    assert.deepEqual(body.data, []);
    assert.equal((await json(stand, 'GET', path)).status, 200);
  });

  test('clearing keeps the session, deleting does not', async () => {
    const path = await make(stand);
    await say(stand, path, 'Hello');
    assert.equal((await json(stand, 'DELETE', `${path}/messages`)).status, 200);
    assert.deepEqual((await look(stand, path)).messages, []);
    assert.equal((await say(stand, path, 'Hello again')).status, 200);
    assert.equal((await look(stand, path)).messages.length, 2);
    assert.equal((await json(stand, 'DELETE', path)).status, 200);
    assert.equal((await json(stand, 'GET', path)).status, 404);
    assert.equal((await json(stand, 'DELETE', path)).status, 404);
  });

  test('a post whose session is cleared meanwhile is told so, and stores nothing', async () => {
    const path = await make(stand);
    const running = say(stand, path, steer('latency_ms=1500'));
    await stand.untilLoad('one runs', (load) => load.running === 1);
    assert.equal((await json(stand, 'DELETE', `${path}/messages`)).status, 200);
    const { status, body } = await running;
    assert.equal(status, 409, JSON.stringify(body));
    assert.equal(body.error.code, 'session_changed');
    assert.deepEqual((await look(stand, path)).messages, []);
  });

  test('the list is in pages, last used first', async () => {
    const paths = [];
    for (let i = 0; i < 3; i++) paths.push(await make(stand));
    await say(stand, paths[0], 'Hello');
    const first = (await json(stand, 'GET', '/v1/sessions?limit=2')).body;
    assert.equal(first.has_more, true);
    assert.equal(`/v1/sessions/${first.data[0].id}`, paths[0]);
    const rest = (await json(stand, 'GET', `/v1/sessions?limit=100&after=${first.data[1].id}`)).body;
    assert.ok(rest.data.some((one) => paths[1].endsWith(one.id)));
    assert.ok(!rest.data.some((one) => first.data.some((other) => other.id === one.id)));
    assert.equal((await json(stand, 'GET', '/v1/sessions?limit=101')).status, 400);
  });

  test('a session holds max_messages and not one more', async () => {
    const path = await make(stand);
    for (let i = 0; i < 6; i++) assert.equal((await say(stand, path, `Number ${i}`)).status, 200);
    assert.equal((await look(stand, path)).messages.length, 12);
    const { status, body } = await say(stand, path, 'One more');
    assert.equal(status, 413);
    assert.match(body.error.message, /max_messages/);
    const other = await make(stand);
    assert.equal((await say(stand, other, 'x'.repeat(15000))).status, 200);
    assert.match((await say(stand, other, 'x'.repeat(5000))).body.error.message, /max_bytes/);
  });

  test('the caps of tool calls hold for a session', async () => {
    const path = await make(stand, { preset: 'conservative',
      tools: [{ type: 'function', function: { name: 'weather' } }] });
    const { body } = await say(stand, path, steer('tool_calls=5 unruly'));
    assert.equal(body.choices[0].message.tool_calls.length, 3);
    const { statistics } = await look(stand, path);
    assert.equal(statistics.tool_calls, 3);
    assert.equal(statistics.tool_calls_dropped, 2);
  });
});


suite('sessions over two instances', {
  ...OPTIONS,
  config: { ...OPTIONS.config, sessions: { max_messages: 200 } },
}, (stand, test) => {
  let second;

  async function startSecond() {
    const socket = `unix://${join(stand.folder, 'data', 'redis.sock')}`;
    stand.configure({ redis: { url: socket }, data_dir: join(stand.folder, 'second') });
    second = await Program.start(['serve', '--config', stand.configPath], `${stand.log}.second`);
    await until('the second is ready', 20000, async () =>
      (await fetch(`${second.url}/readyz`).catch(() => null))?.ok);
  }

  test('posts at once are ordered, and each sees all before it', async () => {
    await startSecond();
    const path = await make(stand);
    const posts = Array.from({ length: 12 }, (_, i) => say(stand, path,
      steer(`latency_ms=30 output=${3 + i}`, `Post ${i}`), i % 3 ? {} : { stream: false },
      { url: i % 2 ? second.url : stand.url }));
    for (const { status, body } of await Promise.all(posts)) {
      assert.equal(status, 200, JSON.stringify(body));
    }
    const { messages, statistics } = await look(stand, path);
    assert.equal(statistics.requests, 12);
    assert.deepEqual(messages.map(({ message }) => message.role),
      Array.from({ length: 24 }, (_, i) => (i % 2 ? 'assistant' : 'user')));
    // Each answer follows its own question: its length is what that question asked for.
    for (let i = 0; i < 24; i += 2) {
      const wanted = /output=(\d+)/.exec(messages[i].message.content)[1];
      assert.equal(String(messages[i + 1].usage.output_tokens), wanted);
    }
    // And what was read grows with the history.
    const inputs = messages.flatMap((one) => one.usage?.input_tokens ?? []);
    assert.deepEqual(inputs, [...inputs].sort((a, b) => a - b));
  });

  test('posts to one instance go in the order in which they came', async () => {
    const path = await make(stand);
    const posts = [];
    for (let i = 0; i < 4; i++) {
      posts.push(say(stand, path, steer('latency_ms=50', `Post ${i}`)));
      await new Promise((done) => { setTimeout(done, 20); });
    }
    await Promise.all(posts);
    const { messages } = await look(stand, path);
    assert.deepEqual(messages.flatMap(({ message }) => /Post (\d)/.exec(message.content)?.[1] ?? []),
      ['0', '1', '2', '3']);
  });

  test('an instance killed in the middle of a post leaves no trace of it, and frees the turn',
    async () => {
      const path = await make(stand);
      assert.equal((await say(stand, path, 'Before')).status, 200);
      const lost = call(stand, 'POST', `${path}/messages`,
        { content: steer('output=500 ms_per_token=50', 'Lost'), stream: true },
        { url: second.url }).then((answer) => answer.text()).catch(() => 'gone');
      await stand.untilLoad('one runs', (load) => load.running === 1);
      const waiting = say(stand, path, 'After');
      await second.end('SIGKILL');
      await lost;
      const { status, body } = await waiting;
      assert.equal(status, 200, JSON.stringify(body));
      const { messages } = await look(stand, path);
      assert.deepEqual(messages.flatMap(({ message }) => (
        message.role === 'user' ? message.content : [])), ['Before', 'After']);
    });

  test('a preset trims what is sent and not what is kept', async () => {
    const path = await make(stand, { preset: 'aggressive' });
    for (let i = 0; i < 13; i++) {
      assert.equal((await say(stand, path, `Question ${i}: ${'words of it '.repeat(80)}`)).status, 200);
    }
    const session = await look(stand, path);
    assert.equal(session.messages.length, 26);
    assert.ok(session.statistics.compressions > 0);
    assert.ok(session.statistics.saved_tokens > 0);
    assert.ok(session.statistics.saved_percent > 0);
    assert.ok(session.statistics.context_tokens < session.statistics.current_tokens);
    const { body } = await json(stand, 'GET', `${path}/context`);
    assert.ok(body.actions.length > 0);
  });

  test('a restart keeps the conversations', async () => {
    const path = await make(stand);
    await say(stand, path, 'Remember me');
    stand.configure({});
    await stand.restart();
    const session = await look(stand, path);
    assert.equal(session.messages.length, 2);
    assert.equal((await say(stand, path, 'And now?')).status, 200);
  });
});
