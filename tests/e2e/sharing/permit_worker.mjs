// A worker that calls the provider itself: asks for a permit, calls, and settles what it used.
const WAIT_MS = 60000;

async function post(url, body, headers) {
    return fetch(url, {
        method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers },
    });
}

async function once({ sluice, provider, key, tenant, seen, stand }, body) {
    const tenancy = { 'x-sluice-tenant': tenant.name };
    const asked = await post(`${sluice}/v1/permits`,
        { model: body.model, messages: body.messages, max_output_tokens: body.max_tokens, wait_ms: WAIT_MS },
        tenancy);
    const permit = await asked.json();
    if (asked.status !== 200) throw new Error(`permit: ${asked.status} ${JSON.stringify(permit)}`);
    const answer = await post(`${provider}/v1/chat/completions`, body, { authorization: `Bearer ${key}` });
    const { usage } = await answer.json();
    const used = usage ? { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens } : undefined;
    await post(`${sluice}/v1/permits/${permit.id}/settle`, { usage: used, status: answer.status }, tenancy);
    if (answer.status !== 200) throw new Error(`the provider refused a permitted call: ${answer.status}`);
    if (!stand.over) seen.count(tenant.name, usage.prompt_tokens + body.max_tokens, true);
}

export async function permitWorker(options) {
    const { stand, seen, request, random } = options;
    while (!stand.over) {
        try {
            await once(options, request(random));
        } catch (error) {
            if (!stand.over) seen.errors.push(String(error.cause ?? error));
        }
    }
}
