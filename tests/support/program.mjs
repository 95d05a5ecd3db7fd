// The program under test as a child: started on a free port, ended by its pid.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const READY_MS = 20000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function binary() {
    if (!process.env.SLUICE_BINARY) throw new Error('SLUICE_BINARY must be set');
    return process.env.SLUICE_BINARY;
}

export class Program {
    // args: such as ['serve', '--config', path]; log: file that gets its stderr, appended.
    static async start(args, log) {
        const program = new Program();
        const child = spawn(binary(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
        program.child = child;
        program.ended = once(child, 'exit');
        program.ended.catch(() => {});
        const file = createWriteStream(log, { flags: 'a' });
        child.stderr.pipe(file);
        program.url = await new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                child.kill('SIGKILL');
                reject(new Error(`${args[0]} did not start within ${READY_MS} ms, see ${log}`));
            }, READY_MS);
            createInterface({ input: child.stdout }).on('line', (line) => {
                const found = /listening on (http:\/\/\S+)/.exec(line);
                if (found) resolve(found[1]);
                clearTimeout(timer);
            });
            child.once('exit', (code, signal) => {
                clearTimeout(timer);
                reject(new Error(`${args[0]} ended at its start (${signal ?? code}), see ${log}`));
            });
            child.once('error', reject);
        });
        return program;
    }

    get pid() {
        return this.child.pid;
    }

    alive() {
        return this.child.exitCode === null && this.child.signalCode === null;
    }

    // [exit code, signal] once it is gone.
    async end(signal = 'SIGTERM') {
        if (this.alive()) this.child.kill(signal);
        return this.ended;
    }
}

// Polls until the function gives something true, or throws what it waited for.
export async function until(what, timeoutMs, probe, everyMs = 20) {
    const end = Date.now() + timeoutMs;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
        await sleep(everyMs);
    }
}

export async function getJson(url, headers = {}) {
    const answer = await fetch(url, { headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text.slice(0, 200)}`);
    return JSON.parse(text);
}

// All calls that the simulator's ledger keeps.
export async function simulatorCalls(base) {
    const calls = [];
    for (let since = 0; ;) {
        const page = await getJson(`${base}/sim/calls?since=${since}`);
        calls.push(...page.calls);
        since = page.last_seq;
        if (!page.has_more) return calls;
    }
}
