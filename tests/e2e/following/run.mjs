// A limit that is configured too high: see ./run --help.
//
//   SLUICE_BINARY  the program        TEST_SEED  of all requests; printed, of the clock when absent
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, sleep } from '../../support/program.mjs';
import { Random, seeded } from '../../support/random.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const only = (flag) => process.argv.includes(flag);
const TPM = 60000; // what the provider really allows
const RPM = 600;
const CALLERS = 24;
const OFFER = 3; // times the real budget
const LATENCY_MS = 200;
const CLOSE = 0.1;
const WAIT_MS = 120000;

function configuration(provider, folder) {
    return `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: openai
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: ${2 * RPM}, tpm: ${2 * TPM}}
`;
}

function request(random) {
    const words = random.between(40, 1200); // characters
    const maximum = random.between(16, 500);
    return {
        body: { model: 'gpt-4o', max_tokens: maximum,
            messages: [{ role: 'user', content: 'lorem ip'.repeat(Math.ceil(words / 8)) }] },
        tokens: Math.ceil(words / 4) + maximum,
    };
}

async function caller(base, random, run) {
    let due = Date.now();
    while (Date.now() < run.end) {
        const { body, tokens } = request(random);
        due += tokens * 60000 / (OFFER * TPM / CALLERS);
        const answer = await fetch(`${base}/v1/chat/completions`, {
            method: 'POST', body: JSON.stringify(body),
            headers: { 'content-type': 'application/json', 'x-sluice-max-wait-ms': String(WAIT_MS) },
        }).catch((error) => ({ status: 0, text: () => String(error.cause ?? error) }));
        const text = await answer.text();
        if (answer.status === 200) run.answered++;
        else run.errors.push(`${answer.status} ${text.slice(0, 300)}`);
        if (due > Date.now()) await sleep(Math.min(due - Date.now(), run.end - Date.now()));
    }
}

async function tpmOf(service) {
    const { pools } = await getJson(`${service.url}/v1/stats`);
    return pools[0]?.limits.tpm;
}

async function refusals(simulator) {
    return (await getJson(`${simulator.url}/sim/ledger`)).refused.total;
}

async function setLimits(simulator, part) {
    const answer = await fetch(`${simulator.url}/sim/limits`, {
        method: 'POST', body: JSON.stringify({ tpm: TPM * part, rpm: RPM * part }),
    });
    assert.equal(answer.status, 200);
}

// Watches one part of a run: how often the provider refused, and when the limit was learned for good.
// close: a restored limit is found with the provider's bucket full, which hides a rate that is
// somewhat too high for minutes.
async function phase(run, name, part, ms, close = CLOSE) {
    const before = await refusals(run.simulator), started = Date.now();
    let settledAt = null, last = before, lastAt = null;
    const samples = [];
    while (Date.now() - started < ms) {
        await sleep(250);
        const limit = await tpmOf(run.service), now = await refusals(run.simulator);
        const learned = limit?.learned ?? 2 * TPM;
        const isClose = Math.abs(learned - TPM * part) <= close * TPM * part;
        samples.push(learned / (TPM * part));
        settledAt = isClose ? settledAt ?? Date.now() - started : null;
        if (now !== last) lastAt = Date.now() - started;
        last = now;
    }
    const tail = samples.slice(Math.floor(samples.length / 2));
    const result = { name, refused: last - before, lastAt, settledAt,
        least: Math.min(...tail), most: Math.max(...tail) };
    console.log(`  ${name}: ${result.refused} refused, the last after ${lastAt ?? '-'} ms; learned ` +
        `close to the limit after ${settledAt ?? '-'} ms; second half between ` +
        `${result.least.toFixed(3)} and ${result.most.toFixed(3)} of the real limit`);
    return result;
}

async function scene(random, headers, phases) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-following-'));
    const programs = [];
    console.log(headers ? 'with headers' : 'without headers');
    try {
        const simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0',
            '--tpm', String(TPM), '--rpm', String(RPM), '--latency-ms', String(LATENCY_MS),
            ...(headers ? [] : ['--no-headers'])], join(folder, 'sim.log'));
        programs.unshift(simulator);
        writeFileSync(join(folder, 'sluice.yaml'), configuration(simulator.url, folder));
        const service = await Program.start(['serve', '--config', join(folder, 'sluice.yaml')],
            join(folder, 'serve.log'));
        programs.unshift(service);
        const total = phases.reduce((sum, one) => sum + one.ms, 0);
        const run = { simulator, service, answered: 0, errors: [], end: Date.now() + total };
        const callers = Array.from({ length: CALLERS },
            () => caller(service.url, new Random(random.next()), run));
        const results = [];
        for (const { name, part, ms, close } of phases) {
            if (part !== 1 || results.length) await setLimits(simulator, part);
            results.push(await phase(run, name, part, ms, close));
        }
        await Promise.all(callers);
        const { scopes } = await getJson(`${simulator.url}/sim/ledger`);
        const use = scopes.find((one) => one.limits.tpm).limits.tpm.utilisation;
        console.log(`  ${run.answered} answered, ${run.errors.length} errors; ` +
            `${(use * 100).toFixed(1)} % of the budget used`);
        run.errors.slice(0, 5).forEach((error) => console.log(`  ${error}`));
        assert.deepEqual(run.errors, [], 'no caller sees a refusal');
        assert.ok(run.answered > 0);
        return results;
    } finally {
        for (const program of programs) await program.end();
        if (process.env.E2E_KEEP) console.log(`kept: ${folder}`);
        else rmSync(folder, { recursive: true, force: true });
    }
}

async function withHeaders(random) {
    const ms = long ? 80000 : 14000;
    const results = await scene(random, true, [{ name: 'as it is', part: 1, ms },
        { name: 'halved', part: 0.5, ms }, { name: 'restored', part: 1, ms }]);
    for (const one of results) {
        assert.ok(one.refused <= 3, `${one.name}: ${one.refused} refusals`);
        assert.ok((one.lastAt ?? 0) < ms / 2, `${one.name}: refused after ${one.lastAt} ms`);
        assert.ok(one.settledAt !== null, `${one.name}: the limit was not learned`);
    }
}

async function withoutHeaders(random) {
    const phases = [{ name: 'as it is', part: 1, ms: long ? 300000 : 60000 }];
    if (long) {
        phases.push({ name: 'halved', part: 0.5, ms: 300000 });
        phases.push({ name: 'restored', part: 1, ms: 300000, close: 0.15 });
    }
    for (const one of await scene(random, false, phases))
        assert.ok(one.settledAt !== null, `${one.name}: the limit was not learned`);
}

const random = seeded();
if (!only('--no-headers')) await withHeaders(random);
if (!only('--headers')) await withoutHeaders(random);
