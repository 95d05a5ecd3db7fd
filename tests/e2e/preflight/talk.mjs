// Conversations of agents, as large as a test wants them, in the three formats.

export const SYSTEM = 'You help with a project. Answer briefly.';
const WORDS = ('the report says that every third meter of the northern pipe was checked in spring and '
  + 'found sound but for two joints which were sealed again under pressure before the rain came').split(' ');

// So many words that read like a text, other ones for each number.
export function text(words, number = 0) {
  const out = [];
  for (let i = 0; i < words; i++) out.push(WORDS[(i * 7 + number * 3) % WORDS.length]);
  return out.join(' ');
}

// A turn: the user asks, a tool is called, its result comes, the model answers. Four messages.
function chatTurn(n, words) {
  return [
    { role: 'user', content: `Question ${n}: ${text(20, n)}?` },
    { role: 'assistant', content: null,
      tool_calls: [{ id: `call_${n}`, type: 'function', function: { name: 'search', arguments: `{"q":"${n}"}` } }] },
    { role: 'tool', tool_call_id: `call_${n}`, content: text(words, n) },
    { role: 'assistant', content: `Answer ${n}: ${text(30, n)}.` },
  ];
}

function responsesTurn(n, words) {
  return [
    { role: 'user', content: `Question ${n}: ${text(20, n)}?` },
    { type: 'function_call', call_id: `call_${n}`, name: 'search', arguments: `{"q":"${n}"}` },
    { type: 'function_call_output', call_id: `call_${n}`, output: text(words, n) },
    { role: 'assistant', content: `Answer ${n}: ${text(30, n)}.` },
  ];
}

function messagesTurn(n, words) {
  return [
    { role: 'user', content: `Question ${n}: ${text(20, n)}?` },
    { role: 'assistant', content: [{ type: 'tool_use', id: `toolu_${n}`, name: 'search', input: { q: `${n}` } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: `toolu_${n}`, content: text(words, n) }] },
    { role: 'assistant', content: `Answer ${n}: ${text(30, n)}.` },
  ];
}

function turns(make, count, words) {
  return Array.from({ length: count }, (_, n) => make(n + 1, words)).flat();
}

const last = { role: 'user', content: 'And what does all of this come to?' };
const parameters = { type: 'object', properties: { q: { type: 'string' } } };

// The path and the body of a call whose history has so many turns, with a result of `words` each.
export const FORMATS = {
  chat: (count, words, more) => ['/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'system', content: SYSTEM }, ...turns(chatTurn, count, words), last],
    tools: [{ type: 'function', function: { name: 'search', description: 'Looks it up', parameters } }],
    ...more,
  }],
  responses: (count, words, more) => ['/v1/responses', {
    model: 'gpt-4.1',
    instructions: SYSTEM,
    input: [...turns(responsesTurn, count, words), last],
    tools: [{ type: 'function', name: 'search', description: 'Looks it up', parameters }],
    ...more,
  }],
  messages: (count, words, more) => ['/v1/messages', {
    model: 'claude-sonnet-4-5',
    max_tokens: 100,
    system: SYSTEM,
    messages: [...turns(messagesTurn, count, words), last],
    tools: [{ name: 'search', description: 'Looks it up', input_schema: parameters }],
    ...more,
  }],
};

export async function post(base, [path, body], headers = {}) {
  const sent = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(base + path, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: sent });
  const words = await answer.text();
  const number = (name) => Number(answer.headers.get(name));
  return {
    status: answer.status,
    body: JSON.parse(words),
    sent,
    decision: answer.headers.get('x-sluice-decision'),
    trim: answer.headers.get('x-sluice-trim'),
    trimmed: number('x-sluice-trimmed-tokens'),
    input: number('x-sluice-input-tokens'),
    maxTokens: answer.headers.get('x-sluice-max-tokens'),
    retryAfter: answer.headers.get('retry-after-ms'),
  };
}
