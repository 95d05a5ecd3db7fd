// Live calls alone, beside a batch of lines that would fill every slot, and alone again.
import { Stand, getJson, sleep, until } from '../../e2e/lib/stand.mjs';

const SECONDS = Number(process.argv[2] ?? 40);
const SLOTS = 32;
const LINES = 20000; // more than the run can do
const CALLS_A_SECOND = 10; // with 200 ms each about two of the slots: within what a batch leaves (queue.batch_permille)
const MODEL = 'gpt-4o-mini';

const request = {
    model: MODEL, max_tokens: 5,
    messages: [{ role: 'user', content: '[[sim latency_ms=200 output=5]] Hello' }],
};

async function call(stand, samples) {
    const started = performance.now();
    const answer = await fetch(`${stand.url}/v1/chat/completions`, {
        method: 'POST', body: JSON.stringify(request), headers: { 'content-type': 'application/json' },
    });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`a live call has ${answer.status}`);
    samples.wait.push(Number(answer.headers.get('x-sluice-queue-ms')));
    samples.whole.push(performance.now() - started);
}

// Calls that do not wait for each other, at random times (a Poisson process).
async function live(stand, seconds) {
    const samples = { wait: [], whole: [] };
    const calls = [];
    const end = performance.now() + seconds * 1000;
    for (let at = performance.now(); at < end; at += -Math.log(1 - Math.random()) * 1000 / CALLS_A_SECOND) {
        const left = at - performance.now();
        if (left > 1) await sleep(left);
        calls.push(call(stand, samples));
    }
    await Promise.all(calls);
    return samples;
}

async function startBatch(stand) {
    const lines = [];
    for (let i = 0; i < LINES; i++)
        lines.push(JSON.stringify({ custom_id: `l${i}`, method: 'POST', url: '/v1/chat/completions', body: request }));
    const form = new FormData();
    form.set('purpose', 'batch');
    form.set('file', new Blob([lines.join('\n')]), 'lines.jsonl');
    const file = await (await fetch(`${stand.url}/v1/files`, { method: 'POST', body: form })).json();
    const answer = await fetch(`${stand.url}/v1/batches`, {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }),
    });
    return (await answer.json()).id;
}

const batchOf = (stand, id) => getJson(`${stand.url}/v1/batches/${id}`);

function at(samples, part) {
    const sorted = samples.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

function print(name, s) {
    const number = (list, part) => at(list, part).toFixed(1).padStart(7);
    console.log(`${name.padEnd(14)} ${String(s.wait.length).padStart(5)} calls, in the queue p50 ${number(s.wait, 0.5)} ` +
        `p99 ${number(s.wait, 0.99)} ms, whole p50 ${number(s.whole, 0.5)} p99 ${number(s.whole, 0.99)} ms`);
}

const stand = new Stand({
    models: [{ name: MODEL, tpm: 100000000, max_parallel_requests: SLOTS }],
});
try {
    await stand.start();
    await live(stand, 3); // connections and caches
    const before = await live(stand, SECONDS);
    const id = await startBatch(stand);
    await until('the batch to run', 20000, async () => (await batchOf(stand, id)).request_counts.completed > 100);
    const started = Date.now(), done = (await batchOf(stand, id)).request_counts.completed;
    const beside = await live(stand, SECONDS);
    const rate = ((await batchOf(stand, id)).request_counts.completed - done) * 1000 / (Date.now() - started);
    await fetch(`${stand.url}/v1/batches/${id}/cancel`, { method: 'POST' });
    await until('the batch to be cancelled', 20000, async () => (await batchOf(stand, id)).status === 'cancelled');
    const after = await live(stand, SECONDS);
    print('alone', before);
    print('beside a batch', beside);
    print('alone again', after);
    const alone = (at(before.whole, 0.99) + at(after.whole, 0.99)) / 2;
    console.log(`p99 beside a batch / alone: ${(at(beside.whole, 0.99) / alone).toFixed(2)}; ` +
        `the batch did ${rate.toFixed(0)} lines/s`);
} finally {
    await stand.stop();
}
