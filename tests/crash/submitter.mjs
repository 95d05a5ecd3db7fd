// Submits numbered jobs, one by one and as NDJSON, with and without Idempotency-Key, and writes
// down what it was told. What was not answered is submitted again when it has a key; without
// one another element takes its place, as nobody can know whether the first arrived.
import { join } from 'node:path';
import { check } from '../support/checker.mjs';
import { History } from '../support/history.mjs';
import { sleep } from '../support/program.mjs';

const MAX_LINES = 25;
const AGAIN_MS = 5;

export class Submitter {
    constructor(cluster, random, wanted, models = ['gpt-4o']) {
        this.models = models;
        this.cluster = cluster;
        this.random = random;
        this.wanted = wanted; // accepted jobs
        this.history = new History(join(cluster.folder, 'history.jsonl'));
        this.clients = 0;
        this.next = 1;
        this.reserved = 0; // accepted, or on their way
        this.accepted = 0;
        this.retries = 0;
        this.replayed = 0;
    }

    job(n) {
        const text = `Job ${n}. ${'Lorem ipsum dolor sit amet. '.repeat(n % 8)}`;
        return JSON.stringify({
            endpoint: '/v1/chat/completions',
            body: { model: this.models[n % this.models.length], max_tokens: 16, messages: [{ role: 'user', content: text }] },
            metadata: { n },
        });
    }

    note(who, outcome, numbers) {
        for (const n of numbers) this.history.note(who, 'submit', n, outcome);
    }

    // jobs: as the service lists them when all is over.
    judge(jobs) {
        this.history.finish(jobs.map((job) => ({ id: job.metadata.n, status: job.status })));
        return check(this.history.entries);
    }

    // Each line: true accepted, false refused, undefined not known.
    async post(numbers, many, key) {
        const headers = { 'content-type': many ? 'application/x-ndjson' : 'application/json' };
        if (key) headers['idempotency-key'] = key;
        let answer, value;
        try {
            answer = await fetch(`${this.cluster.url}/v1/jobs`, {
                method: 'POST', headers, body: numbers.map((n) => this.job(n)).join('\n'),
            });
            value = await answer.json();
        } catch (error) {
            return numbers.map(() => error.cause?.code === 'ECONNREFUSED' ? false : undefined);
        }
        if (answer.headers.get('idempotent-replayed')) this.replayed++;
        if (answer.status >= 500) return numbers.map(() => undefined);
        if (answer.status !== 202) throw new Error(`${answer.status}: ${JSON.stringify(value)}`);
        const told = many ? value.data : [value];
        return told.map((line) => {
            if (line.object === 'job') return true;
            if (line.error.status >= 500) return undefined;
            throw new Error(JSON.stringify(line));
        });
    }

    async submit(who, numbers, many, key) {
        for (let first = true; ; first = false) {
            if (!first) this.retries++;
            this.note(who, 'invoke', numbers);
            const told = await this.post(numbers, many, key);
            numbers.forEach((n, i) =>
                this.note(who, told[i] ? 'ok' : told[i] === false ? 'fail' : 'info', [n]));
            const unknown = told.some((line) => !line);
            if (!unknown || (!key && told.some((line) => line !== false))) return told;
            await sleep(AGAIN_MS);
        }
    }

    take() {
        const many = this.random.below(3) === 0;
        const left = this.wanted - this.reserved;
        const count = Math.min(left, many ? this.random.between(2, MAX_LINES) : 1);
        const numbers = Array.from({ length: count }, () => this.next++);
        this.reserved += count;
        return { numbers, many: many && count > 1, keyed: this.random.below(4) > 0 };
    }

    // mayGoOn(accepted) holds the submitter back, so that jobs arrive all the time.
    async run(mayGoOn) {
        const who = `client-${++this.clients}`;
        while (this.reserved < this.wanted) {
            if (!mayGoOn(this.accepted)) {
                await sleep(AGAIN_MS);
                continue;
            }
            const { numbers, many, keyed } = this.take();
            const key = keyed ? `key-${numbers[0]}` : null;
            const told = await this.submit(who, numbers, many, key);
            // A client that never read the answer asks again: nothing may be done twice.
            if (key && this.random.below(5) === 0) await this.submit(who, numbers, many, key);
            const accepted = told.filter(Boolean).length;
            this.accepted += accepted;
            this.reserved -= numbers.length - accepted;
        }
    }
}
