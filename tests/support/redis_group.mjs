// Several redis-servers on loopback ports that work together: a master with replicas and a
// sentinel, or a cluster. Each listens on a unix socket too, for redis().
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { until } from './program.mjs';
import { redis } from './redis.mjs';

const WAIT_MS = 20000;
const SLOTS = 16384;

export async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

export class RedisNode {
    // lines: of a redis.conf, behind ours; sentinel: run as one.
    static async start(folder, lines = [], { sentinel = false } = {}) {
        const node = new RedisNode();
        mkdirSync(folder);
        Object.assign(node, {
            folder, sentinel, port: await freePort(), socket: join(folder, 'redis.sock'),
        });
        node.conf = join(folder, 'redis.conf');
        writeFileSync(node.conf, [`port ${node.port}`, 'bind 127.0.0.1', `unixsocket ${node.socket}`,
            'unixsocketperm 700', `dir ${folder}`, `logfile ${folder}/redis.log`,
            ...(sentinel ? [] : ['save ""', 'appendonly yes', 'repl-diskless-sync-delay 0']),
            ...lines, ''].join('\n'));
        await node.run();
        return node;
    }

    async run() {
        this.child = spawn('redis-server', [this.conf, ...(this.sentinel ? ['--sentinel'] : [])],
            { stdio: 'ignore' });
        this.ended = once(this.child, 'exit');
        await until('redis-server answers', WAIT_MS, async () => (await this.ask('PING')) === 'PONG');
    }

    // The answer, or null when there was none.
    async ask(...words) {
        const [answer] = await redis(this.socket, words).catch(() => [null]);
        return answer;
    }

    async do(...words) {
        const answer = await this.ask(...words);
        if (answer instanceof Error || answer === null) {
            throw new Error(`${words.slice(0, 3).join(' ')}: ${answer?.message ?? 'no answer'}`);
        }
        return answer;
    }

    async end(signal = 'SIGKILL') {
        if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
        await this.ended;
    }
}

// A master, replicas, and a sentinel with quorum 1 that calls it "main".
export class SentinelGroup {
    static async start(folder, replicas) {
        const group = new SentinelGroup();
        group.nodes = [await RedisNode.start(join(folder, 'redis0'))];
        const [{ port }] = group.nodes;
        for (let i = 1; i <= replicas; i++) {
            group.nodes.push(await RedisNode.start(join(folder, `redis${i}`), [`replicaof 127.0.0.1 ${port}`]));
        }
        group.sentinel = await RedisNode.start(join(folder, 'sentinel'), [
            `sentinel monitor main 127.0.0.1 ${port} 1`, 'sentinel down-after-milliseconds main 500',
            'sentinel failover-timeout main 3000'], { sentinel: true });
        await group.whole();
        return group;
    }

    get url() {
        return `redis+sentinel://127.0.0.1:${this.sentinel.port}/main`;
    }

    async master() {
        const [, port] = await this.sentinel.do('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main');
        return this.nodes.find((node) => node.port === Number(port));
    }

    // Every other server is a replica that has all, and the sentinel has seen it.
    whole() {
        return until('all replicas are in step', 2 * WAIT_MS, async () => {
            const list = await this.sentinel.ask('SENTINEL', 'REPLICAS', 'main');
            if (!Array.isArray(list)) return false;
            const value = (replica, name) => replica[replica.indexOf(name) + 1];
            return list.filter((replica) => value(replica, 'flags') === 'slave' &&
                value(replica, 'master-link-status') === 'ok').length === this.nodes.length - 1;
        }, 50);
    }

    // how: 'demand' or 'kill'. Until another one is the master.
    async failover(how) {
        const old = await this.master();
        if (how === 'kill') await old.end('SIGKILL');
        else await until('the failover begins', WAIT_MS, async () =>
            await this.sentinel.ask('SENTINEL', 'FAILOVER', 'main') === 'OK', 100);
        await until('another one is the master', WAIT_MS, async () => {
            const now = await this.master();
            const [role] = now === old ? [] : await now.ask('ROLE') ?? [];
            return role === 'master';
        }, 20);
        if (how === 'kill') await old.run();
    }

    async stop() {
        await this.sentinel?.end();
        for (const node of this.nodes) await node.end();
    }
}

export class RedisCluster {
    static async start(folder, count) {
        const cluster = new RedisCluster();
        cluster.nodes = [];
        for (let i = 0; i < count; i++) {
            const bus = await freePort();
            const node = await RedisNode.start(join(folder, `redis${i}`), ['cluster-enabled yes',
                `cluster-port ${bus}`, 'cluster-allow-replica-migration no', 'cluster-node-timeout 5000']);
            cluster.nodes.push(node);
            await node.do('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
            await node.do('CLUSTER', 'ADDSLOTSRANGE', Math.floor(i * SLOTS / count),
                Math.floor((i + 1) * SLOTS / count) - 1);
            if (i > 0) await cluster.nodes[0].do('CLUSTER', 'MEET', '127.0.0.1', node.port, bus);
            node.id = await node.do('CLUSTER', 'MYID');
        }
        for (const node of cluster.nodes) {
            await until('the cluster is formed', WAIT_MS, async () => {
                const info = String(await node.ask('CLUSTER', 'INFO'));
                return info.includes('cluster_state:ok') && info.includes(`known_nodes:${count}\r`) &&
                    !String(await node.ask('CLUSTER', 'NODES')).includes('handshake');
            });
        }
        return cluster;
    }

    get url() {
        return `redis+cluster://${this.nodes.map((node) => `127.0.0.1:${node.port}`).join(',')}`;
    }

    // The node that serves the slot by its own word.
    async owner(slot) {
        for (const node of this.nodes) {
            const ranges = await node.do('CLUSTER', 'SLOTS');
            if (ranges.some(([first, last, [, port]]) => first <= slot && slot <= last && port === node.port)) {
                return node;
            }
        }
        throw new Error(`nobody serves slot ${slot}`);
    }

    // As redis-cli --cluster reshard does: announce, move the keys in steps, give the slot.
    async move(slot, to, step) {
        const from = await this.owner(slot);
        await to.do('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
        await from.do('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id);
        let moved = 0;
        for (;;) {
            const keys = await from.do('CLUSTER', 'GETKEYSINSLOT', slot, step);
            if (keys.length === 0) break;
            await from.do('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys);
            moved += keys.length;
        }
        for (const node of [to, from, ...this.nodes.filter((each) => each !== to && each !== from)]) {
            await node.do('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
        }
        return moved;
    }

    async stop() {
        for (const node of this.nodes) await node.end();
    }
}
