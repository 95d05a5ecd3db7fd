// Large jobs and small calls in one pool: see ./run --help.
//
// The same flood of large jobs goes to two pools of equal limits; only in one of them another
// tenant calls as well. What the jobs lose is how much later the last of them starts there.
import assert from 'node:assert/strict';
import { Stand, sleep } from '../lib/stand.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const TPM = 60000;
const LARGE_TOKENS = 50000;
const SMALL_TOKENS = 50;
const LARGE_JOBS = long ? 12 : 2;
const CALL_EVERY_MS = 1100; // 4.5 % of the budget
const MOST_WAIT_MS = 1000;
const MOST_LOSS = 0.05;
const END_MS = 900000;

const FLOOD = { headers: { 'x-sluice-tenant': 'flood' } };
const POOLS = { alone: 'gpt-4o', shared: 'gpt-4o-mini' };

function message(model, maximum) {
    return { model, max_tokens: maximum, messages: [{ role: 'user', content: '[[sim output=5]] Hello' }] };
}

async function post(stand, path, tenant, body) {
    return fetch(`${stand.url}${path}`, {
        method: 'POST', body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'x-sluice-tenant': tenant, 'x-sluice-priority': 'normal' },
    });
}

// The message's own tokens and those of the answer make the wanted size.
async function sized(stand, model, tokens) {
    const probe = await fetch(`${stand.url}/v1/tokens/count`,
        { method: 'POST', body: JSON.stringify(message(model, 1)) });
    const { reserved, input_tokens: counted } = await probe.json();
    return message(model, tokens - (reserved ?? counted));
}

async function flood(stand, model) {
    const body = await sized(stand, model, LARGE_TOKENS);
    const ids = [];
    for (let i = 0; i < LARGE_JOBS + 2; i++) { // two more, so that the last one counted has a queue behind it
        const answer = await post(stand, '/v1/jobs', 'flood', { endpoint: '/v1/chat/completions', body });
        assert.equal(answer.status, 202, await answer.clone().text());
        ids.push((await answer.json()).id);
    }
    return ids;
}

async function calls(stand, stop) {
    const body = await sized(stand, POOLS.shared, SMALL_TOKENS);
    const waits = [];
    while (!stop.now) {
        const started = Date.now();
        const answer = await post(stand, '/v1/chat/completions', 'small', body);
        assert.equal(answer.status, 200, await answer.text());
        waits.push(Number(answer.headers.get('x-sluice-queue-ms')));
        await sleep(Math.max(0, started + CALL_EVERY_MS - Date.now()));
    }
    return waits;
}

// Milliseconds until the last of the jobs that count has ended.
async function lastEnd(stand, ids, started) {
    const id = ids[LARGE_JOBS - 1];
    const until = Date.now() + END_MS;
    while (Date.now() < until) {
        const job = await (await fetch(`${stand.url}/v1/jobs/${id}?wait=20`, FLOOD)).json();
        if (job.status === 'succeeded') return Date.now() - started;
        assert.ok(['queued', 'running'].includes(job.status), JSON.stringify(job));
    }
    throw new Error(`${id} did not end`);
}

async function clear(stand) {
    const { data } = await (await fetch(`${stand.url}/v1/jobs?limit=100`, FLOOD)).json();
    for (const { id } of data) await fetch(`${stand.url}/v1/jobs/${id}`, { method: 'DELETE', ...FLOOD });
}

const stand = new Stand({
    simulate: ['--tpm', String(TPM), '--openai-cost', 'sum'],
    models: Object.values(POOLS).map((name) => ({ name, tpm: TPM })),
    config: { auth: { trust_tenant_header: true } },
});
try {
    await stand.start();
    const started = Date.now();
    const stop = { now: false };
    const [alone, shared] = [await flood(stand, POOLS.alone), await flood(stand, POOLS.shared)];
    const small = calls(stand, stop);
    const [aloneMs, sharedMs] = await Promise.all(
        [lastEnd(stand, alone, started), lastEnd(stand, shared, started)]);
    stop.now = true;
    const waits = (await small).sort((a, b) => a - b);
    const p99 = waits[Math.floor(0.99 * (waits.length - 1))];
    const loss = sharedMs / aloneMs - 1;
    console.log(`${waits.length} small calls: wait p50 ${waits[waits.length >> 1]} ms, p99 ${p99} ms, ` +
        `longest ${waits.at(-1)} ms; large job ${LARGE_JOBS} ended after ${aloneMs} ms alone, ` +
        `${sharedMs} ms with them: ${(loss * 100).toFixed(1)} % lost`);
    const ledger = await stand.ledger();
    assert.equal(ledger.refused.total, 0, 'the provider refuses nothing');
    assert.ok(p99 <= MOST_WAIT_MS, `p99 of the small calls' wait is ${p99} ms`);
    assert.ok(loss <= MOST_LOSS, `the large jobs lose ${loss}`);
} finally {
    await clear(stand);
    await stand.stop();
}
