// Calls for embeddings, and the vectors that the simulator must answer with.
import http from 'node:http';

// As sim_request.c makes them: xorshift64* from the FNV-1a of the text, on the unit sphere.
export function vectorOf(text, dims) {
  const mask = (1n << 64n) - 1n;
  let state = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) state = ((state ^ BigInt(byte)) * 0x100000001b3n) & mask;
  if (state === 0n) state = 1n;
  const values = [];
  let square = 0;
  for (let i = 0; i < dims; i++) {
    state ^= state >> 12n;
    state = (state ^ (state << 25n)) & mask;
    state ^= state >> 27n;
    const value = Number(((state * 2685821657736338717n) & mask) >> 40n) / 8388608 - 1;
    values.push(Math.fround(value));
    square += value * value;
  }
  return values.map((value) => Math.fround(value / Math.sqrt(square)));
}

const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });

// {status, headers, body} of one call; body is the JSON.
export function embed(url, request, headers = {}, signal = undefined) {
  return new Promise((resolve, reject) => {
    const call = http.request(`${url}/v1/embeddings`, {
      agent, method: 'POST', signal, headers: { 'content-type': 'application/json', ...headers },
    }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        try {
          resolve({ status: answer.statusCode, headers: answer.headers, body: JSON.parse(text) });
        } catch (error) {
          reject(new Error(`${answer.statusCode} ${text.slice(0, 200)}`, { cause: error }));
        }
      });
    });
    call.on('error', reject);
    call.end(JSON.stringify(request));
  });
}

// Whether an item holds the vector of a text: exactly as base64, to the digits written as numbers.
export function isOf(item, text, dims) {
  const wanted = vectorOf(text, dims);
  const coded = typeof item.embedding === 'string';
  const bytes = coded ? Buffer.from(item.embedding, 'base64') : null;
  const found = coded ? wanted.map((_, i) => bytes.readFloatLE(i * 4)) : item.embedding;
  return (coded ? bytes.length / 4 : found.length) === dims &&
    wanted.every((value, i) => Math.abs(found[i] - value) <= (coded ? 0 : 1e-6));
}

export function close() {
  agent.destroy();
}
