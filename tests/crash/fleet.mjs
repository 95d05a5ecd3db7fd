// Several instances on one Redis before a simulated provider, each behind a proxy that can cut it off.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, sleep, until } from '../support/program.mjs';
import { redis } from '../support/redis.mjs';
import { RedisServer } from '../support/redis_server.mjs';
import { ChaosProxy } from '../support/chaos_proxy.mjs';

export const POOL = 'sluice:{openai:default:gpt-4o}:';
const READY_MS = 30000;
const MODEL = { name: 'gpt-4o', rpm: 6000, tpm: 1500000, max_parallel_requests: 40 };

export class Fleet {
    constructor(random, size) {
        this.random = random;
        this.folder = mkdtempSync(join(tmpdir(), 'sluice-storm-'));
        this.instances = Array.from({ length: size }, (_, i) => ({ i, stopped: false }));
    }

    async start() {
        this.redis = await RedisServer.start(this.folder);
        this.simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0', '--rpm',
            String(MODEL.rpm), '--tpm', String(MODEL.tpm), '--concurrency', '0', '--latency-ms', '150',
            '--output-tokens', '10'], join(this.folder, 'sim.log'));
        for (const one of this.instances) {
            const folder = join(this.folder, `instance${one.i}`);
            mkdirSync(folder);
            one.proxy = await ChaosProxy.start(join(folder, 'redis.sock'), this.redis.socket);
            one.config = join(folder, 'sluice.yaml');
            writeFileSync(one.config, this.configuration(folder, one.proxy));
            await this.startInstance(one);
        }
        for (const one of this.instances) await this.ready(one);
    }

    configuration(folder, proxy) {
        return JSON.stringify({
            listen: '127.0.0.1:0', data_dir: folder,
            redis: { url: `unix://${proxy.path}`, on_outage: 'closed' },
            queue: { lease_ms: 3000 },
            providers: [{
                name: 'openai', format: 'openai', base_url: `${this.simulator.url}/v1`,
                api_key: 'sk-of-the-simulator', models: [MODEL],
            }],
            log: { format: 'text' },
        });
    }

    async startInstance(one) {
        one.program = await Program.start(['serve', '--config', one.config], join(this.folder, `serve${one.i}.log`));
    }

    ready(one) {
        return until('an instance is ready', READY_MS, async () =>
            (await fetch(`${one.program.url}/readyz`).catch(() => null))?.ok);
    }

    // Of an instance that is not stopped; who was killed a moment ago may still be named.
    get url() {
        return this.random.pick(this.instances.filter((one) => !one.stopped)).program.url;
    }

    ledger() {
        return getJson(`${this.simulator.url}/sim/ledger`);
    }

    // Leases that are held now.
    async running() {
        const [count] = await redis(this.redis.socket, ['ZCARD', `${POOL}inf`]).catch(() => [0]);
        return count;
    }

    async kill() {
        const one = this.random.pick(this.instances.filter((each) => !each.stopped));
        await one.program.end('SIGKILL');
        await this.startInstance(one);
    }

    // Goes on elsewhere; the storm does not wait for the end of a stop.
    pause(ms) {
        const one = this.random.pick(this.instances.filter((each) => !each.stopped));
        one.stopped = true;
        one.program.child.kill('SIGSTOP');
        return sleep(ms).then(() => {
            one.program.child.kill('SIGCONT');
            one.stopped = false;
        });
    }

    async killRedis() {
        await this.redis.end('SIGKILL');
        this.redis = await RedisServer.start(this.folder);
    }

    cut(ms) {
        return this.random.pick(this.instances).proxy.cut(ms);
    }

    async stop(keep) {
        for (const one of this.instances) {
            if (one.stopped) one.program.child.kill('SIGCONT');
            await one.program?.end();
            await one.proxy?.end();
        }
        await this.simulator?.end();
        await this.redis?.end();
        if (keep) console.log(`kept: ${this.folder}`);
        else rmSync(this.folder, { recursive: true, force: true });
    }
}
