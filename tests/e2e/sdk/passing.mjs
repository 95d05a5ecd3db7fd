// What passes through untouched, and what the service adds: headers, bytes, fields, ids.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { fnv1a, steer, suite } from '../lib/stand.mjs';
import { anthropic, chat, collect, message, openai } from './clients.mjs';

const NUMBER = /^\d+$/;
const OWN_HEADERS = {
  'x-sluice-decision': /^admitted$/,
  'x-sluice-queue-ms': NUMBER,
  'x-sluice-overhead-ms': /^\d+(\.\d+)?$/,
  'x-sluice-input-tokens': NUMBER,
  'x-sluice-trimmed-tokens': /^0$/,
  'x-sluice-attempts': /^1$/,
  'x-sluice-job': /^job_[0-9a-f]{32}$/,
  'x-ratelimit-limit-requests': /^600$/,
  'x-ratelimit-remaining-requests': NUMBER,
  'x-ratelimit-reset-requests': /^[\d.]+(ms|s|m\d.*)$/,
  'x-ratelimit-limit-tokens': /^90000$/,
  'x-ratelimit-remaining-tokens': NUMBER,
  'x-ratelimit-reset-tokens': /^[\d.]+(ms|s|m\d.*)$/,
  'x-request-id': /./,
};

const OPTIONS = { models: [{ name: '*', rpm: 600, tpm: 90000 }] };

function post(stand, path, body, headers) {
  return fetch(`${stand.url}${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body,
  });
}

suite('passing: headers of the answer', OPTIONS, (stand, test) => {
  const prompt = steer('output=4');
  const sends = {
    'a chat completion': () => openai(stand).chat.completions.create(chat(prompt)),
    'a chat stream': () => openai(stand).chat.completions.create(chat(prompt, { stream: true })),
    'a response': () => openai(stand).responses.create({ model: 'gpt-4o', input: prompt }),
    embeddings: () => openai(stand).embeddings.create({ model: 'gpt-4o', input: prompt }),
    'a message': () => anthropic(stand).messages.create(message(prompt)),
    'a message stream': () => anthropic(stand).messages.create(message(prompt, { stream: true })),
  };
  for (const [name, send] of Object.entries(sends)) {
    test(`${name} tells what happened`, async () => {
      const { data, response } = await send().withResponse();
      for (const [header, words] of Object.entries(OWN_HEADERS)) {
        assert.match(response.headers.get(header) ?? '(absent)', words, header);
      }
      assert.equal(response.headers.get('anthropic-ratelimit-requests-limit'), null);
      if (data[Symbol.asyncIterator]) await collect(data);
    });
  }

  test('what is left goes down', async () => {
    const left = async () => {
      const { response } = await openai(stand).chat.completions.create(chat(prompt)).withResponse();
      return Number(response.headers.get('x-ratelimit-remaining-tokens'));
    };
    const before = await left();
    await Promise.all(Array.from({ length: 8 }, left));
    assert.ok(await left() < before);
  });

  test("the caller's request id is echoed, and reaches the provider", async () => {
    const headers = { 'x-request-id': 'req-of-the-caller.17' };
    const { response } = await openai(stand).chat.completions
      .create(chat(prompt), { headers }).withResponse();
    assert.equal(response.headers.get('x-request-id'), headers['x-request-id']);
    assert.equal((await stand.lastCall()).request_id, headers['x-request-id']);
    const error = await openai(stand).chat.completions
      .create(chat(prompt, { model: 7 }), { headers }).catch((one) => one);
    assert.equal(error.status, 400);
    assert.equal(error.requestID, headers['x-request-id']);
  });

  test('without one, the SDK still gets an id for each call', async () => {
    const one = await openai(stand).chat.completions.create(chat(prompt));
    const two = await openai(stand).chat.completions.create(chat(prompt));
    assert.ok(one._request_id && two._request_id);
    assert.notEqual(one._request_id, two._request_id);
  });
});

suite('passing: the body', OPTIONS, (stand, test) => {
  const hashed = async (path, body) => {
    const answer = await post(stand, path, body);
    assert.equal(answer.status, 200, await answer.text());
    assert.equal((await stand.lastCall()).body_hash, fnv1a(body));
  };

  test('fields that nobody knows reach the provider', async () => {
    const params = chat('Hello', { of_the_future: { a: [1, null, 'ü'] }, seed: 7, logit_bias: {} });
    await openai(stand).chat.completions.create(params);
    assert.equal((await stand.lastCall()).body_hash, fnv1a(JSON.stringify(params)));
    const other = message('Hello', { of_the_future: true, metadata: { user_id: 'u' } });
    await anthropic(stand).messages.create(other);
    assert.equal((await stand.lastCall()).body_hash, fnv1a(JSON.stringify(other)));
  });

  test('blanks, escapes, order and numbers stay byte by byte', async () => {
    await hashed('/v1/chat/completions',
      '\n{ "zeta" : 1.0e0, "messages":[ {"content":"\\u0041\\/\\uD83D\\uDE00",\t"role":"user"} ],\r\n'
      + '  "model":"gpt-4o" , "alpha":-0.0 } \n');
    await hashed('/v1/messages',
      '{"max_tokens": 5,  "model":"claude-test","messages":[{"role":"user","content":"é"}]}');
  });

  test('a stream that asks for its usage itself is not touched', async () => {
    await hashed('/v1/chat/completions', JSON.stringify(
      chat('Hello', { stream: true, stream_options: { include_usage: true } })));
    await hashed('/v1/messages', JSON.stringify(message('Hello', { stream: true })));
    await hashed('/v1/responses', JSON.stringify(
      { model: 'gpt-4o', input: 'Hello', stream: true, future: [] }));
  });

  test('the answer comes back byte by byte', async () => {
    const body = '{ "id":"x",\n "of_the_future" : [1.0, "\\u00e9"], "choices":[] }';
    await stand.script({ status: 200, headers: { 'x-of-the-provider': 'kept' }, body });
    const answer = await post(stand, '/v1/chat/completions', JSON.stringify(chat('Hello')));
    assert.equal(await answer.text(), body);
    assert.equal(answer.headers.get('x-of-the-provider'), 'kept');
  });
});

suite('passing: what the provider gets to see', {
  config: (stand) => ({
    providers: [{ name: 'seen', format: 'openai', base_url: stand.witness.url, api_key: 'sk-own',
      models: [{ name: '*', rpm: 600 }] }],
  }),
  secrets: ['sk-own'],
  prepare: async (stand) => {
    const server = createServer((request, reply) => {
      stand.witness.headers = request.headers;
      stand.witness.path = request.url;
      stand.witness.body = '';
      request.on('data', (bytes) => { stand.witness.body += bytes; });
      reply.setHeader('set-cookie', 'a=b');
      reply.setHeader('content-type', 'application/json');
      request.on('end', () => reply.end('{"choices":[],"usage":{"prompt_tokens":1}}'));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stand.witness = { server, url: `http://127.0.0.1:${server.address().port}/base/v1` };
  },
  finish: (stand) => stand.witness.server.close(),
}, (stand, test) => {
  const canary = 'canary-of-the-caller';

  test("the service's own key, and none of the caller's", async () => {
    for (const headers of [{ authorization: `Bearer ${canary}` }, { 'x-api-key': canary },
      { 'api-key': canary, cookie: `session=${canary}` },
      { 'proxy-authorization': `Basic ${canary}`, 'x-sluice-session': canary }]) {
      const answer = await post(stand, '/v1/chat/completions', JSON.stringify(chat('Hello')), headers);
      assert.equal(answer.status, 200);
      assert.equal(stand.witness.headers.authorization, 'Bearer sk-own');
      assert.ok(!JSON.stringify(stand.witness.headers).includes(canary));
      assert.equal(answer.headers.get('set-cookie'), null);
    }
  });

  test('the path of base_url, the other headers of the SDK, and nothing of the hop', async () => {
    await openai(stand).chat.completions.create(chat('Hello'),
      { headers: { 'openai-beta': 'x=v2', 'x-sluice-priority': 'batch' } });
    const { headers, path } = stand.witness;
    assert.equal(path, '/base/v1/chat/completions');
    assert.equal(headers['openai-beta'], 'x=v2');
    assert.match(headers['user-agent'], /OpenAI/);
    assert.equal(headers['x-stainless-lang'], 'js');
    assert.equal(headers['content-type'], 'application/json');
    assert.ok(!Object.keys(headers).some((name) => name.startsWith('x-sluice')));
    assert.equal(headers.host, new URL(stand.witness.url).host);
  });

  test('numbers that no double holds', async () => {
    const body = '{"model":"gpt-4o","messages":[],"seed":123456789012345678901234567890,"t":1e400}';
    assert.equal((await post(stand, '/v1/chat/completions', body)).status, 200);
    assert.equal(stand.witness.body, body);
  });
});
