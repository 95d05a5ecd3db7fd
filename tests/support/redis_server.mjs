// A redis-server of one's own on a unix socket, as durable as the service wants it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { redis } from './redis.mjs';
import { until } from './program.mjs';

const READY_MS = 10000;

export class RedisServer {
    static async start(folder) {
        const server = new RedisServer();
        server.socket = join(folder, 'redis.sock');
        server.child = spawn('redis-server', ['--port', '0', '--unixsocket', server.socket,
            '--dir', folder, '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '',
            '--maxmemory-policy', 'noeviction', '--daemonize', 'no'], { stdio: 'ignore' });
        server.ended = once(server.child, 'exit');
        await until('redis-server answers', READY_MS, async () => {
            const [pong] = await redis(server.socket, ['PING']).catch(() => []);
            return pong === 'PONG';
        });
        return server;
    }

    get url() {
        return `unix://${this.socket}`;
    }

    async end(signal = 'SIGTERM') {
        if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
        await this.ended;
    }
}
