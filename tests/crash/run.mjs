// Durable jobs while the service and its Redis are killed again and again: see ./run --help.
//
//   SLUICE_BINARY  the program        TEST_SEED  of all choices; printed, of the clock when absent
import assert from 'node:assert/strict';
import { simulatorCalls, sleep, until } from '../support/program.mjs';
import { seeded } from '../support/random.mjs';
import { Cluster } from './cluster.mjs';
import { allEnded } from './ended.mjs';
import { Submitter } from './submitter.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const PLAN = long ? { jobs: 2000, service: 20, redis: 5 } : { jobs: 400, service: 5, redis: 2 };
const PARALLEL = 40; // jobs that run at once
const LATENCY_MS = 400;
const AHEAD = 60; // jobs that are accepted and not yet begun, at most; more only around a kill
const SUBMITTERS = 4;
const END_MS = 120000; // for the next kill, and for what is left after the last one

// Kills at random moments, spread over the whole run by the provider's count of calls.
class Killer {
    constructor(cluster, random) {
        this.cluster = cluster;
        this.random = random;
        this.begun = 0;
        this.isNear = false;
        this.inFlight = { service: [], redis: [] };
    }

    kinds() {
        // One Redis dies together with its service: the next one finds neither.
        const kinds = Array(PLAN.service - 1).fill('service').concat(
            Array(PLAN.redis - 1).fill('redis'));
        return this.random.shuffled([...kinds, 'both']);
    }

    async kill(kind) {
        if (kind !== 'redis') {
            this.inFlight.service.push(await this.cluster.killService());
        }
        if (kind !== 'service') this.inFlight.redis.push(await this.cluster.killRedis());
        if (kind !== 'redis') await this.cluster.startService();
    }

    async run() {
        const kinds = this.kinds();
        for (const [i, kind] of kinds.entries()) {
            const at = PLAN.jobs * (i + 0.5) / (kinds.length + 0.5);
            await until(`${Math.round(at)} calls of the provider`, END_MS, async () => {
                this.begun = (await this.cluster.ledger()).calls;
                return this.begun >= at;
            }, 50);
            await this.cluster.ready();
            // Submits are under way in these moments, so that some answers are lost.
            this.isNear = true;
            await sleep(this.random.below(60));
            await this.kill(kind);
            this.isNear = false;
        }
        this.begun = Infinity;
    }
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

function judge(submitter, killer, jobs, calls) {
    const counts = submitter.judge(jobs);
    const distinct = new Set(calls.map((call) => call.body_hash)).size;
    const extra = calls.length - jobs.length;
    const inFlight = { service: sum(killer.inFlight.service), redis: sum(killer.inFlight.redis) };
    console.log(`submitted ${counts.attempted}, accepted ${counts.acknowledged}; ` +
        `${submitter.retries} submits repeated, ${submitter.replayed} single ones known before`);
    console.log(`lost ${counts.lost}, unexpected ${counts.unexpected}, ` +
        `duplicated ${counts.duplicated}, recovered ${counts.recovered}`);
    console.log(`jobs ${jobs.length}, provider calls ${calls.length}, beyond ${extra}; in flight ` +
        `at ${killer.inFlight.service.length} kills of the service ${inFlight.service}, ` +
        `at ${killer.inFlight.redis.length} of Redis ${inFlight.redis}`);

    assert.equal(counts.acknowledged, PLAN.jobs, 'accepted');
    assert.equal(counts.lost, 0, 'lost');
    assert.equal(counts.unexpected, 0, 'unexpected');
    assert.equal(counts.duplicated, 0, 'duplicated');
    assert.equal(distinct, jobs.length, 'each job has called the provider');
    assert.ok(jobs.every((job) => job.status === 'succeeded'), 'all succeeded');
    assert.ok(jobs.every((job) => job.response.status_code === 200), 'all have their answer');
    assert.ok(extra <= inFlight.service + inFlight.redis, 'calls beyond the jobs');
}

async function main() {
    const random = seeded();
    const cluster = new Cluster();
    let good = false;
    try {
        await cluster.start(['--latency-ms', String(LATENCY_MS), '--output-tokens', '10'], PARALLEL);
        const submitter = new Submitter(cluster, random, PLAN.jobs);
        const killer = new Killer(cluster, random);
        const mayGoOn = (accepted) => killer.isNear || accepted < killer.begun + AHEAD;
        const started = Date.now();
        await Promise.all([killer.run(),
            ...Array.from({ length: SUBMITTERS }, () => submitter.run(mayGoOn))]);
        console.log(`all killed and submitted after ${(Date.now() - started) / 1000} s`);
        const jobs = await allEnded(cluster, submitter, END_MS);
        console.log(`all ended after ${(Date.now() - started) / 1000} s`);
        judge(submitter, killer, jobs, await simulatorCalls(cluster.simulator.url));
        good = true;
    } finally {
        await cluster.stop(!good);
    }
}

await main();
