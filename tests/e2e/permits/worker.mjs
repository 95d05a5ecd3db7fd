// A worker that calls the provider itself, with permits: worker.mjs SLUICE PROVIDER SECONDS.
// Prints one line of JSON: answered, refused, late, errors.
import { Client } from '../../../deploy/clients/sluice_client.mjs';

const BODY = {
    model: 'gpt-4o', max_tokens: 60,
    messages: [{ role: 'user', content: `[[sim output=20]] ${'some words '.repeat(20)}` }],
};
const [sluice, provider, seconds] = process.argv.slice(2);
const client = new Client(sluice);
const seen = { answered: 0, refused: 0, late: 0, errors: [] };

async function once(p) {
    p.sent();
    const answer = await fetch(`${provider}/v1/chat/completions`, {
        method: 'POST', body: JSON.stringify(BODY),
        headers: { 'content-type': 'application/json', authorization: 'Bearer k' },
    });
    const result = {
        status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.json(),
    };
    const settled = await p.settle(result);
    const again = await p.settle(result);
    seen[answer.status === 200 ? 'answered' : 'refused']++;
    if (settled.status !== 'settled' || JSON.stringify(again) !== JSON.stringify(settled)) {
        seen.errors.push(`settled as ${JSON.stringify(settled)}, then ${JSON.stringify(again)}`);
    }
}

for (const until = Date.now() + seconds * 1000; Date.now() < until;) {
    try {
        await client.withPermit({ body: BODY, wait_ms: 20000 }, once);
    } catch (error) {
        if (error.code === 'permit_timeout') seen.late++;
        else seen.errors.push(String(error.cause ?? error));
    }
}
console.log(JSON.stringify(seen));
