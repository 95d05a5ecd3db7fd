// The program chaosproxy (tests/chaos) between two unix sockets; chaos_proxy.h has its commands.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { binary, sleep } from './program.mjs';

const program = () => process.env.CHAOSPROXY_BINARY ?? join(dirname(binary()), 'tests', 'chaosproxy');

export class ChaosProxy {
    static async start(path, target) {
        const proxy = new ChaosProxy();
        const control = `${path}.control`;
        const child = spawn(program(), [`unix:${path}`, `unix:${target}`, control],
            { stdio: ['pipe', 'pipe', 'inherit'] });
        Object.assign(proxy, { path, control, child, ended: once(child, 'exit') });
        const listens = once(createInterface({ input: child.stdout }), 'line');
        await Promise.race([listens, proxy.ended.then(([code]) => {
            throw new Error(`${program()} ended at its start (${code})`);
        })]);
        proxy.ended.catch(() => {});
        return proxy;
    }

    async tell(command) {
        const socket = createConnection(this.control);
        try {
            await once(socket, 'connect');
            socket.write(`${command}\n`);
            const [answer] = await once(createInterface({ input: socket }), 'line');
            if (answer.startsWith('error')) throw new Error(`${command}: ${answer}`);
            return answer;
        } finally {
            socket.destroy();
        }
    }

    // Every connection goes, and for so long new ones are refused.
    async cut(ms) {
        await this.tell('refuse on');
        await this.tell('cut');
        await sleep(ms);
        await this.tell('refuse off');
    }

    // Its standard input is its life: it goes with this process, too.
    async end() {
        this.child.stdin.end();
        await this.ended;
        rmSync(this.path, { force: true });
    }
}
