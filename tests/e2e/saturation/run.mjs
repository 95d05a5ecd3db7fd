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
// [the provider counts by, the pool is configured as, ms, judged]
const FORMS = {
    bucket: ['bucket', 'bucket', long ? 180000 : 40000, true],
    // long enough for a second minute: what a full bucket grants too much comes before it
    'sliding-window': ['sliding_window', 'sliding_window', long ? 180000 : 75000, true],
    mismatch: ['sliding_window', 'bucket', long ? 180000 : 40000, false],
};
const asked = Object.keys(FORMS).filter((form) => process.argv.includes(`--${form}`));
// e2e.sharing has windows in every run; here they are only asked for, or in the long form.
const forms = asked.length ? asked : long ? ['bucket', 'sliding-window'] : ['bucket'];
const CALLERS = 24;
const TPM = 60000;
const RPM = 600;
const OFFER = 3; // times the budget
const LEAST_USE = 0.97;
const LATENCY_MS = 300;
const WORDS = ('the rate limit of a provider is shared by all who call it and a queue in order ' +
    'gives each of them its part of what there is without a single refusal on the way').split(' ');

function configuration(provider, folder, algorithm) {
    return `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: openai
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: ${RPM}, tpm: ${TPM}, algorithm: ${algorithm}}
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

function report(form, ms, seen, ledger, limit) {
    console.log(`${form}: ${CALLERS} callers, ${ms / 1000} s: ${seen.answered} answered, ` +
        `${seen.errors.length} errors; p50 ${quantile(seen.waits, 0.5)} ms, ` +
        `p95 ${quantile(seen.waits, 0.95)} ms, longest ${quantile(seen.waits, 1)} ms`);
    console.log(`provider: ${ledger.calls} calls, ${ledger.refused.total} refused; used ` +
        `${limit.charged} of ${limit.offered} tokens = ${(limit.utilisation * 100).toFixed(2)} %, ` +
        `peak of a minute ${limit.peak_window}`);
    seen.errors.slice(0, 5).forEach((error) => console.log(`  ${error}`));
}

// What of a sliding window's budget could be used: one at once, and another a period and the headroom
// (queue.headroom_ms, a second) after it. A caller's part of the second may still be on its way.
function offered(algorithm, ms, limit) {
    return algorithm === 'bucket' ? limit.offered : TPM * (1 + Math.floor(ms / 61000));
}

function judge(seen, limit, atEnd, algorithm, ms) {
    assert.ok(seen.answered > 0);
    assert.deepEqual(seen.errors, [], 'no caller sees an error');
    assert.equal(atEnd.refused.total, 0, 'the provider refuses nothing');
    const used = limit.charged / offered(algorithm, ms, limit);
    const least = algorithm === 'bucket' || long ? LEAST_USE : LEAST_USE - 0.2;
    assert.ok(used >= least, `${used} of the budget is used`);
}

async function run(form, random) {
    const [provider, pool, ms, judged] = FORMS[form];
    const folder = mkdtempSync(join(tmpdir(), 'sluice-saturation-'));
    const programs = [];
    try {
        const simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0',
            '--tpm', String(TPM), '--rpm', String(RPM), '--latency-ms', String(LATENCY_MS),
            '--algorithm', provider], join(folder, 'sim.log'));
        programs.unshift(simulator);
        writeFileSync(join(folder, 'sluice.yaml'), configuration(simulator.url, folder, pool));
        const service = await Program.start(['serve', '--config', join(folder, 'sluice.yaml')],
            join(folder, 'serve.log'));
        programs.unshift(service);

        const seen = { answered: 0, errors: [], waits: [] };
        const end = Date.now() + ms;
        const callers = Array.from({ length: CALLERS },
            () => caller(service.url, new Random(random.next()), end, seen));
        await sleep(end - Date.now());
        const ledger = await getJson(`${simulator.url}/sim/ledger`);
        await Promise.all(callers);
        const atEnd = await getJson(`${simulator.url}/sim/ledger`);
        const scope = ledger.scopes.find((one) => one.limits.tpm);
        report(form, ms, seen, ledger, scope.limits.tpm);
        if (judged) judge(seen, scope.limits.tpm, atEnd, pool, ms);
    } finally {
        for (const program of programs) await program.end();
        rmSync(folder, { recursive: true, force: true });
    }
}

const random = seeded();
for (const form of forms) await run(form, random);
