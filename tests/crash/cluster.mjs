// One service with its embedded Redis before a simulated provider, to be killed and started again.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, until } from '../support/program.mjs';
import { redis } from '../support/redis.mjs';

const POOL = 'sluice:{openai:default:gpt-4o}:';
const READY_MS = 30000;

function configuration(provider, folder, parallel) {
    return `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: openai
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: 60000, tpm: 10000000, max_parallel_requests: ${parallel}}
queue: {lease_ms: 3000}
log: {format: text}
`;
}

export class Cluster {
    constructor() {
        this.folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
        this.socket = join(this.folder, 'data', 'redis.sock');
        this.stranded = new Set(); // "id fence" of tickets whose instance was killed
    }

    async start(simulatorArgs, parallel) {
        this.simulator = await Program.start(
            ['simulate', '--listen', '127.0.0.1:0', ...simulatorArgs], join(this.folder, 'sim.log'));
        writeFileSync(join(this.folder, 'sluice.yaml'),
            configuration(this.simulator.url, this.folder, parallel));
        await this.startService();
    }

    async startService() {
        this.service = await Program.start(['serve', '--config', join(this.folder, 'sluice.yaml')],
            join(this.folder, 'serve.log'));
    }

    get url() {
        return this.service.url;
    }

    async ready() {
        await until('the service is ready', READY_MS, async () => {
            try {
                return (await fetch(`${this.url}/readyz`)).ok;
            } catch {
                return false;
            }
        });
    }

    ledger() {
        return getJson(`${this.simulator.url}/sim/ledger`);
    }

    // Tickets that hold a lease and were not stranded by an earlier kill, as "id fence".
    async running() {
        const [ids] = await redis(this.socket, ['ZRANGE', `${POOL}inf`, 0, -1]);
        if (ids.length === 0) return [];
        const fences = await redis(this.socket, ...ids.map((id) => ['HGET', `${POOL}j:${id}`, 'at']));
        return ids.map((id, i) => `${id} ${fences[i]}`).filter((name) => !this.stranded.has(name));
    }

    // How many jobs ran. Read behind the kill, when nobody can begin or end one any more.
    async killService() {
        await this.service.end('SIGKILL');
        const running = await this.running();
        running.forEach((name) => this.stranded.add(name));
        return running.length;
    }

    async redisPid() {
        const [info] = await redis(this.socket, ['INFO', 'server']);
        return Number(/process_id:(\d+)/.exec(info)[1]);
    }

    async killRedis() {
        const running = await this.running();
        process.kill(await this.redisPid(), 'SIGKILL');
        return running.length;
    }

    async stop(keep) {
        if (this.service) {
            await this.service.end();
            // A service that was killed, or did not start, leaves its Redis.
            await this.redisPid().then((pid) => process.kill(pid, 'SIGKILL'), () => {});
        }
        if (this.simulator) await this.simulator.end();
        if (keep) console.log(`kept: ${this.folder}`);
        else rmSync(this.folder, { recursive: true, force: true });
    }
}
