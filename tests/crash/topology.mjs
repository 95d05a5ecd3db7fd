// Sentinels that call another master, and slots of a cluster that move: see ./topology --help.
//
//   SLUICE_BINARY  the program        TEST_SEED  of all choices; printed, of the clock when absent
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, until } from '../support/program.mjs';
import { seeded } from '../support/random.mjs';
import { RedisCluster, SentinelGroup } from '../support/redis_group.mjs';
import { allEnded } from './ended.mjs';
import { Submitter } from './submitter.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
const PLAN = long
    ? { failovers: 10, replicatedJobs: 2000, moves: 100, clusterJobs: 6000 }
    : { failovers: 2, replicatedJobs: 400, moves: 12, clusterJobs: 600 };
const INSTANCES = 2;
const REPLICAS = 2;
const MASTERS = 3;
const MODELS = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'o3'];
const RPM = 60000;
const SUBMITTERS = 4;
const AHEAD = 100; // accepted and not yet begun, at most
const STEP = 20;   // keys that move at once
const READY_MS = 60000;
const END_MS = 180000;

// Instances before one provider, on whatever Redis the URL says.
class Service {
    constructor(random) {
        this.random = random;
        this.folder = mkdtempSync(join(tmpdir(), 'sluice-topology-'));
        this.instances = [];
    }

    async start(redisUrl, durability, models) {
        this.simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0', '--rpm', String(RPM),
            '--tpm', '100000000', '--concurrency', '0', '--latency-ms', '100', '--output-tokens', '10'],
        join(this.folder, 'sim.log'));
        for (let i = 0; i < INSTANCES; i++) {
            const folder = join(this.folder, `instance${i}`);
            mkdirSync(folder);
            const config = join(folder, 'sluice.yaml');
            writeFileSync(config, JSON.stringify({
                listen: '127.0.0.1:0', data_dir: folder,
                redis: { url: redisUrl, on_outage: 'closed' },
                queue: { lease_ms: 3000 },
                jobs: { durability, replicas: REPLICAS, replicate_ms: 300 },
                providers: [{
                    name: 'openai', format: 'openai', base_url: `${this.simulator.url}/v1`,
                    api_key: 'sk-of-the-simulator',
                    models: models.map((name) => ({ name, rpm: RPM, max_parallel_requests: 20 })),
                }],
                log: { format: 'text' },
            }));
            this.instances.push(await Program.start(['serve', '--config', config], join(this.folder, `serve${i}.log`)));
        }
        for (const one of this.instances) {
            await until('an instance is ready', READY_MS, async () =>
                (await fetch(`${one.url}/readyz`).catch(() => null))?.ok);
        }
    }

    get url() {
        return this.random.pick(this.instances).url;
    }

    ledger() {
        return getJson(`${this.simulator.url}/sim/ledger`);
    }

    async stop(keep) {
        for (const one of this.instances) await one.end();
        await this.simulator?.end();
        if (keep) console.log(`kept: ${this.folder}`);
        else rmSync(this.folder, { recursive: true, force: true });
    }
}

// Submits while trouble(i) happens, `times` in all, spread over the jobs by the provider's calls.
async function run(service, { jobs, times, models }, trouble) {
    const submitter = new Submitter(service, service.random, jobs, models);
    let begun = 0;
    const disturb = async () => {
        for (let i = 0; i < times; i++) {
            const at = jobs * (i + 0.5) / (times + 0.5);
            await until(`${Math.round(at)} calls of the provider`, END_MS, async () => {
                begun = (await service.ledger()).calls;
                return begun >= at;
            }, 20);
            await trouble(i);
        }
        begun = Infinity;
    };
    await Promise.all([disturb(), ...Array.from({ length: SUBMITTERS },
        () => submitter.run((accepted) => accepted < begun + AHEAD))]);
    const list = await allEnded(service, submitter, END_MS);
    const counts = submitter.judge(list);
    console.log(`submitted ${counts.attempted}, accepted ${counts.acknowledged}, repeated ` +
        `${submitter.retries}; lost ${counts.lost}, unexpected ${counts.unexpected}, duplicated ` +
        `${counts.duplicated}, recovered ${counts.recovered}`);
    assert.ok(counts.acknowledged >= jobs, 'accepted');
    assert.equal(counts.lost, 0, 'lost');
    assert.equal(counts.unexpected, 0, 'unexpected');
    assert.equal(counts.duplicated, 0, 'duplicated');
    return { submitter, counts };
}

async function within(random, body) {
    const service = new Service(random);
    let good = false;
    try {
        await body(service);
        good = true;
    } finally {
        await service.stop(!good);
    }
}

async function failovers(service) {
    const group = await SentinelGroup.start(service.folder, REPLICAS);
    try {
        await service.start(group.url, 'replicated', [MODELS[0]]);
        await run(service, { jobs: PLAN.replicatedJobs, times: PLAN.failovers, models: [MODELS[0]] }, async (i) => {
            await group.failover(i % 2 === 0 ? 'kill' : 'demand');
            await group.whole();
        });
        console.log(`${PLAN.failovers} failovers`);
    } finally {
        await group.stop();
    }
}

async function resharding(service) {
    const cluster = await RedisCluster.start(service.folder, MASTERS);
    try {
        await service.start(cluster.url, 'everysec', MODELS);
        const slots = await Promise.all(MODELS.map((model) =>
            cluster.nodes[0].do('CLUSTER', 'KEYSLOT', `sluice:{openai:default:${model}}:b`)));
        let keys = 0;
        const { submitter, counts } = await run(service,
            { jobs: PLAN.clusterJobs, times: PLAN.moves, models: MODELS }, async (i) => {
                const slot = slots[i % slots.length];
                const from = await cluster.owner(slot);
                const to = service.random.pick(cluster.nodes.filter((node) => node !== from));
                keys += await cluster.move(slot, to, STEP);
            });
        const ledger = await service.ledger();
        console.log(`${PLAN.moves} slots moved with ${keys} keys; refused submits ${submitter.retries}, ` +
            `provider's refusals ${ledger.refused.total}, calls ${ledger.calls}`);
        assert.ok(keys > 0, 'slots with something in them');
        assert.equal(submitter.retries, 0, 'submits refused');
        assert.equal(ledger.refused.total, 0, 'refused by the provider');
        assert.equal(ledger.calls, counts.attempted, 'each job has called the provider once');
    } finally {
        await cluster.stop();
    }
}

const random = seeded();
await within(random, failovers);
await within(random, resharding);
