#!/usr/bin/env node
// Permits of a Sluice service, for workers that call their provider themselves.
//
//   const client = new Client('http://127.0.0.1:8080', { key: 'sk-of-the-service' });
//   await client.withPermit({ model: 'gpt-4o', input_tokens: 900, max_output_tokens: 500 }, async (p) => {
//       p.sent();                                     // from here on it counts
//       const answer = await fetch(...);              // call the provider
//       await p.settle({ usage: { input_tokens: 870, output_tokens: 310 },
//                        status: answer.status, headers: Object.fromEntries(answer.headers) });
//   });
//
// A permit that is left without settle() is given back, unless sent() was called: then the provider
// may have seen the request, and it stays charged until it expires. Nothing but fetch is needed.
import { pathToFileURL } from 'node:url';

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// An answer of the service: status, code (such as 'permit_timeout'), retryAfterMs (or null).
export class SluiceError extends Error {
    constructor(status, { code = null, message = '' }, retryAfterMs) {
        super(`${status} ${code}: ${message}`);
        Object.assign(this, { status, code, retryAfterMs });
    }
}

export class Permit {
    constructor(client, fields) {
        Object.assign(this, { client, fields, id: fields.id, wasSent: false, ended: false });
    }
    // Say it before the request goes out: from then on the permit is not given back.
    sent() {
        this.wasSent = true;
    }
    // What became of the request. May be repeated; body: the provider's, if usage is not at hand.
    async settle({ usage = null, status = 200, headers = null, body = null } = {}) {
        this.fields = await this.client.call('POST', `/v1/permits/${this.id}/settle`,
            { usage, status, headers, body }, { retry: true });
        this.ended = true;
        return this.fields;
    }
    async renew(ttlMs) {
        const path = `/v1/permits/${this.id}/renew`;
        this.fields = await this.client.call('POST', path, { ttl_ms: ttlMs }, { retry: true });
        return this.fields;
    }
    async release() {
        this.fields = await this.client.call('DELETE', `/v1/permits/${this.id}`, undefined, { retry: true });
        this.ended = true;
    }
}

export class Client {
    constructor(url = 'http://127.0.0.1:8080', { key = null, timeoutMs = 630000, tries = 4 } = {}) {
        Object.assign(this, { url: url.replace(/\/$/, ''), key, timeoutMs, tries });
    }

    // Waits for leave to send one request: model, and input_tokens, messages or body;
    // max_output_tokens, wait_ms, ttl_ms, priority. SluiceError 429 when none came in time.
    async permit(ask, { signal } = {}) {
        return new Permit(this, await this.call('POST', '/v1/permits', ask, { signal }));
    }

    async withPermit(ask, use) {
        const permit = await this.permit(ask);
        try {
            return await use(permit);
        } finally {
            if (!permit.ended && !permit.wasSent) await permit.release().catch(() => {});
        }
    }

    // What would happen to a request now: decision, wait_ms, binding_limit. Changes nothing.
    check(ask) {
        return this.call('POST', '/v1/admission/check', ask, { retry: true });
    }

    // retry: it may be repeated without harm, so a lost answer is asked for again.
    async call(method, path, body, { retry = false, signal } = {}) {
        for (let attempt = 1; ; attempt++) {
            try {
                return await this.send(method, path, body, signal);
            } catch (error) {
                const told = error instanceof SluiceError;
                const may = told ? [502, 503].includes(error.status) : retry && !signal?.aborted;
                if (!may || attempt === this.tries) throw error;
                const wait = (told ? error.retryAfterMs : null) ?? 200 * 2 ** attempt;
                await sleep(Math.min(wait, 10000) * (1 + Math.random() / 4));
            }
        }
    }

    async send(method, path, body, signal) {
        const key = this.key ? { authorization: `Bearer ${this.key}` } : {};
        const limit = AbortSignal.timeout(this.timeoutMs);
        const answer = await fetch(this.url + path, {
            method, headers: { 'content-type': 'application/json', ...key }, body: body && JSON.stringify(body),
            signal: signal ? AbortSignal.any([signal, limit]) : limit,
        });
        const text = await answer.text();
        let json = { error: { message: text.slice(0, 200) } };
        try { json = JSON.parse(text); } catch { /* no JSON: a proxy between us and the service */ }
        const after = answer.headers.get('retry-after-ms');
        if (!answer.ok) throw new SluiceError(answer.status, json.error ?? {}, after && Number(after));
        return json;
    }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const [url, model] = process.argv.slice(2);
    if (!model) {
        console.log('usage: sluice_client.mjs URL MODEL: takes a permit and settles it');
        process.exit(url === '--help' ? 0 : 2);
    }
    await new Client(url).withPermit({ model, input_tokens: 20, max_output_tokens: 10 }, async (p) => {
        console.log(p.id, 'granted after', p.fields.wait_ms, 'ms, reserved', p.fields.reserved);
        p.sent(); // here the provider is called
        console.log((await p.settle({ usage: { input_tokens: 18, output_tokens: 7 } })).status);
    });
}
