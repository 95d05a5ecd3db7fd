// Many callers offer more than the budget: see ./run --help.
//
//   SLUICE_BINARY  the program        TEST_SEED  of all requests; printed, of the clock when absent
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, sleep } from '../../support/program.mjs';
import { Random, seeded } from '../../support/random.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const sliding = process.argv.includes('--sliding-window');
const DURATION_MS = long ? 180000 : 40000;
const CALLERS = 24;
const TPM = 60000;
const RPM = 600;
const OFFER = 3; // times the budget
const LEAST_USE = 0.97;
const LATENCY_MS = 300;
const WORDS = ('the rate limit of a provider is shared by all who call it and a queue in order ' +
    'gives each of them its part of what there is without a single refusal on the way').split(' ');

function configuration(provider, folder) {
    return `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: openai
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: ${RPM}, tpm: ${TPM}}
`;
}

// An agent's turn: a prompt of 10 to 400 words and an answer of at most 16 to 500 tokens.
function request(random) {
    const words = Array.from({ length: random.between(10, 400) }, () => random.pick(WORDS));
    const maximum = random.between(16, 500);
    const body = {
        model: 'gpt-4o', max_tokens: maximum, stream: random.below(3) === 0,
        messages: [{ role: 'system', content: 'You are an agent.' },
            { role: 'user', content: words.join(' ') }],
    };
    return { body, tokens: Math.ceil(words.join(' ').length / 4) + maximum };
}

async function send(base, body) {
    const answer = await fetch(`${base}/v1/chat/completions`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status} ${text.slice(0, 300)}`);
    const whole = body.stream ? text.endsWith('data: [DONE]\n\n') : JSON.parse(text).usage;
    if (!whole) throw new Error(`an answer that is not whole: ${text.slice(-200)}`);
}

// One call after the other, each due when this caller's part of the offer has room for it.
async function caller(base, random, until, seen) {
    let due = Date.now();
    while (Date.now() < until) {
        const { body, tokens } = request(random);
        due += tokens * 60000 / (OFFER * TPM / CALLERS);
        const started = Date.now();
        try {
            await send(base, body);
            seen.answered++;
        } catch (error) {
            seen.errors.push(String(error.cause ?? error));
        }
        seen.waits.push(Date.now() - started);
        if (due > Date.now()) await sleep(due - Date.now());
    }
}

function quantile(list, q) {
    return list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
}

function report(seen, ledger, limit) {
    console.log(`${CALLERS} callers, ${DURATION_MS / 1000} s: ${seen.answered} answered, ` +
        `${seen.errors.length} errors; p50 ${quantile(seen.waits, 0.5)} ms, ` +
        `p95 ${quantile(seen.waits, 0.95)} ms, longest ${quantile(seen.waits, 1)} ms`);
    console.log(`provider: ${ledger.calls} calls, ${ledger.refused.total} refused; used ` +
        `${limit.charged} of ${limit.offered} tokens = ${(limit.utilisation * 100).toFixed(2)} %, ` +
        `peak of a minute ${limit.peak_window}`);
    seen.errors.slice(0, 5).forEach((error) => console.log(`  ${error}`));
}

function judge(seen, ledger, limit, atEnd) {
    assert.ok(seen.answered > 0);
    assert.deepEqual(seen.errors, [], 'no caller sees an error');
    assert.equal(atEnd.refused.total, 0, 'the provider refuses nothing');
    assert.ok(limit.utilisation >= LEAST_USE, `${limit.utilisation} of the budget is used`);
}

async function main() {
    const random = seeded();
    const folder = mkdtempSync(join(tmpdir(), 'sluice-saturation-'));
    const programs = [];
    try {
        const simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0',
            '--tpm', String(TPM), '--rpm', String(RPM), '--latency-ms', String(LATENCY_MS),
            '--algorithm', sliding ? 'sliding_window' : 'bucket'], join(folder, 'sim.log'));
        programs.unshift(simulator);
        writeFileSync(join(folder, 'sluice.yaml'), configuration(simulator.url, folder));
        const service = await Program.start(['serve', '--config', join(folder, 'sluice.yaml')],
            join(folder, 'serve.log'));
        programs.unshift(service);

        const seen = { answered: 0, errors: [], waits: [] };
        const end = Date.now() + DURATION_MS;
        const callers = Array.from({ length: CALLERS },
            () => caller(service.url, new Random(random.next()), end, seen));
        await sleep(end - Date.now());
        const ledger = await getJson(`${simulator.url}/sim/ledger`);
        await Promise.all(callers);
        const atEnd = await getJson(`${simulator.url}/sim/ledger`);
        const scope = ledger.scopes.find((one) => one.limits.tpm);
        report(seen, ledger, scope.limits.tpm);
        if (!sliding) judge(seen, ledger, scope.limits.tpm, atEnd);
    } finally {
        for (const program of programs) await program.end();
        rmSync(folder, { recursive: true, force: true });
    }
}

await main();
