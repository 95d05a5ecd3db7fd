// Everything that can die does, while jobs run on three instances: see ./storm --help.
//
//   SLUICE_BINARY  the program        TEST_SEED  of all choices; printed, of the clock when absent
import assert from 'node:assert/strict';
import { simulatorCalls, sleep, until } from '../support/program.mjs';
import { seeded } from '../support/random.mjs';
import { Fleet } from './fleet.mjs';
import { allEnded } from './ended.mjs';
import { Submitter } from './submitter.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const PLAN = long
    ? { jobs: 20000, kill: 200, pause: 20, redis: 20, cut: 20, longestPauseMs: 30000 }
    : { jobs: 1200, kill: 12, pause: 2, redis: 2, cut: 3, longestPauseMs: 6000 };
const INSTANCES = 3;
const AHEAD = 200; // jobs that are accepted and not yet begun, at most
const SUBMITTERS = 6;
const CUT_MS = 1500;
const LEAST_PAUSE_MS = 5000;
const END_MS = 180000;

class Storm {
    constructor(fleet, random) {
        Object.assign(this, { fleet, random, begun: 0, inFlight: 0, over: [] });
    }

    faults() {
        const list = ['kill', 'pause', 'redis', 'cut'].flatMap((kind) => Array(PLAN[kind]).fill(kind));
        return this.random.shuffled(list);
    }

    // Whatever runs at a fault may run once more; nothing else may.
    async strike(kind) {
        this.inFlight += await this.fleet.running();
        switch (kind) {
        case 'kill': return this.fleet.kill();
        case 'redis': return this.fleet.killRedis();
        case 'cut': return void this.over.push(this.fleet.cut(CUT_MS));
        default: {
            const paused = this.fleet.instances.filter((one) => one.stopped).length;
            if (paused === INSTANCES - 1) await Promise.all(this.over); // one at least goes on
            this.over.push(this.fleet.pause(this.random.between(LEAST_PAUSE_MS, PLAN.longestPauseMs)));
        }
        }
    }

    async run() {
        const faults = this.faults();
        for (const [i, kind] of faults.entries()) {
            const at = PLAN.jobs * (i + 0.5) / (faults.length + 0.5);
            await until(`${Math.round(at)} calls of the provider`, END_MS, async () => {
                this.begun = (await this.fleet.ledger()).calls;
                return this.begun >= at;
            }, 20);
            await sleep(this.random.below(60));
            await this.strike(kind);
        }
        this.begun = Infinity;
        await Promise.all(this.over);
    }
}

function judge(submitter, storm, jobs, calls, ledger) {
    const counts = submitter.judge(jobs);
    // The simulator keeps the newest records only; the count of calls is of all.
    const distinct = ledger.calls > calls.length ? jobs.length : new Set(calls.map((call) => call.body_hash)).size;
    console.log(`submitted ${counts.attempted}, accepted ${counts.acknowledged}; lost ${counts.lost}, ` +
        `unexpected ${counts.unexpected}, duplicated ${counts.duplicated}, recovered ${counts.recovered}`);
    console.log(`provider: ${ledger.calls} calls for ${jobs.length} jobs; in flight at the faults ` +
        `${storm.inFlight}; refused ${ledger.refused.total}`);
    assert.ok(counts.acknowledged >= PLAN.jobs, 'accepted');
    assert.equal(counts.lost, 0, 'lost');
    assert.equal(counts.unexpected, 0, 'unexpected');
    assert.equal(counts.duplicated, 0, 'duplicated');
    assert.equal(distinct, jobs.length, 'each job has called the provider');
    assert.ok(ledger.calls - jobs.length <= storm.inFlight, 'calls beyond the jobs');
    assert.equal(ledger.refused.total, 0, 'the provider was never asked for more than it gives');
}

async function main() {
    const random = seeded();
    const fleet = new Fleet(random, INSTANCES);
    let good = false;
    try {
        await fleet.start();
        const submitter = new Submitter(fleet, random, PLAN.jobs);
        const storm = new Storm(fleet, random);
        const started = Date.now();
        await Promise.all([storm.run(), ...Array.from({ length: SUBMITTERS },
            () => submitter.run((accepted) => accepted < storm.begun + AHEAD))]);
        console.log(`the storm is over after ${(Date.now() - started) / 1000} s`);
        const jobs = await allEnded(fleet, submitter, END_MS);
        console.log(`all ended after ${(Date.now() - started) / 1000} s`);
        judge(submitter, storm, jobs, await simulatorCalls(fleet.simulator.url), await fleet.ledger());
        good = true;
    } finally {
        await fleet.stop(!good);
    }
}

await main();
