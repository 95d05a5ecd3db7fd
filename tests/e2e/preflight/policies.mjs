// Policies by request, tenant and model: whose goes first, and that what goes out is always legal.
import assert from 'node:assert/strict';
import { suite, fnv1a } from '../lib/stand.mjs';
import { seeded } from '../../support/random.mjs';
import { FORMATS, post, text } from './talk.mjs';

suite('preflight: policies', {
  simulate: ['--strict-roles'],
  models: [{ name: 'gpt-4o-mini', rpm: 60000, tpm: 10000000, trim: 'short' },
    { name: '*', rpm: 60000, tpm: 10000000 }],
  config: {
    auth: { trust_tenant_header: true },
    tenants: [{ name: 'careful', trim: 'none' }, { name: 'cheap', trim: 'aggressive' }],
    trim_policies: [{ name: 'short', strategies: ['window'], max_messages: 8, keep_turns: 1 }],
  },
}, (stand, test) => {
  for (const [name, make] of Object.entries(FORMATS)) {
    test(`${name}: without a policy nothing is cut`, async () => {
      const answer = await post(stand.url, make(30, 100));
      assert.equal(answer.trimmed, 0);
      assert.equal((await stand.lastCall()).body_hash, fnv1a(answer.sent));
    });

    test(`${name}: each preset leaves what the provider takes`, async () => {
      for (const preset of ['conservative', 'balanced', 'aggressive']) {
        const answer = await post(stand.url, make(30, 300), { 'x-sluice-trim': preset });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        assert.ok(answer.trim.startsWith(`${preset} (`), answer.trim);
        assert.ok(answer.trimmed > 0);
        assert.notEqual(answer.decision, 'shrunk');
      }
    });
  }

  test('the model\'s policy cuts when nobody says otherwise', async () => {
    const answer = await post(stand.url, FORMATS.chat(20, 20, { model: 'gpt-4o-mini' }));
    assert.match(answer.trim, /^short \(window/);
  });

  test('the tenant\'s goes before the model\'s, and the request\'s before both', async () => {
    const body = FORMATS.chat(20, 300, { model: 'gpt-4o-mini' });
    const careful = { 'x-sluice-tenant': 'careful' }, cheap = { 'x-sluice-tenant': 'cheap' };
    assert.equal((await post(stand.url, body, careful)).trim, null);
    assert.match((await post(stand.url, body, cheap)).trim, /^aggressive/);
    assert.match((await post(stand.url, body, { ...careful, 'x-sluice-trim': 'balanced' })).trim,
      /^balanced/);
    assert.equal((await post(stand.url, body, { ...cheap, 'x-sluice-trim': 'none' })).trim, null);
  });

  test('a name that is unknown is told', async () => {
    const answer = await post(stand.url, FORMATS.chat(1, 1), { 'x-sluice-trim': 'gentle' });
    assert.equal(answer.status, 400);
    assert.match(answer.body.error.message, /x-sluice-trim is 'gentle'/);
  });

  test('the statistics count what was cut', async () => {
    const before = (await stand.stats()).pools.reduce((n, p) => n + (p.tokens.trimmed ?? 0), 0);
    const answer = await post(stand.url, FORMATS.chat(30, 300), { 'x-sluice-trim': 'aggressive' });
    const after = (await stand.stats()).pools.reduce((n, p) => n + (p.tokens.trimmed ?? 0), 0);
    assert.equal(after - before, answer.trimmed);
  });

  test('what reaches the provider is legal, whatever came and however it is cut', async () => {
    const random = seeded();
    const names = Object.keys(FORMATS);
    for (let i = 0; i < 120; i++) {
      const make = FORMATS[names[random.below(names.length)]];
      const [path, body] = make(random.below(14), random.below(200));
      const list = body.messages ?? body.input;
      // As agents do it: the history begins anywhere that begins a turn.
      const first = list[0].role === 'system' ? 1 : 0;
      const from = first + 4 * random.below(Math.ceil((list.length - first) / 4));
      list.splice(first, from - first);
      const preset = ['conservative', 'balanced', 'aggressive', 'short'][random.below(4)];
      const answer = await post(stand.url, [path, body], { 'x-sluice-trim': preset });
      assert.equal(answer.status, 200, `${preset}: ${JSON.stringify(answer.body)}\n${answer.sent}`);
    }
  });

  test('a conversation that is illegal as it came reaches the provider as it came', async () => {
    const body = { model: 'gpt-4o', messages: [
      { role: 'user', content: text(10) }, { role: 'robot', content: text(2000) }] };
    const answer = await post(stand.url, ['/v1/chat/completions', body]);
    assert.equal((await stand.lastCall()).body_hash, fnv1a(answer.sent));
  });
});
