// Conversations that grow: cuts stay where they are, and a long one goes on at a small limit.
import assert from 'node:assert/strict';
import { PROVIDER_KEY, suite } from '../lib/stand.mjs';
import { Recorder } from './recorder.mjs';
import { FORMATS, post } from './talk.mjs';

let recorder;
suite('preflight: a growing conversation', {
  models: [{ name: '*', tpm: 10000000, context_window: 12000, default_output_tokens: 100 }],
  prepare: async (stand) => { recorder = await Recorder.start(() => stand.simulator.url); },
  finish: () => recorder.stop(),
  config: (stand) => ({ providers: [
    { name: 'o', format: 'openai', base_url: `${recorder.url}/v1`, api_key: PROVIDER_KEY,
      models: stand.options.models },
    { name: 'a', format: 'anthropic', base_url: recorder.url, api_key: PROVIDER_KEY,
      models: stand.options.models }] }),
}, (stand, test) => {
  for (const [name, make] of Object.entries(FORMATS)) {
    test(`${name}: most requests begin with the bytes of the one before`, async () => {
      recorder.bodies = [];
      let cut = 0;
      const history = [];
      for (let turns = 12; turns < 52; turns++) {
        const [path, body] = make(turns, 300);
        const answer = await post(stand.url, [path, body]);
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        cut += answer.trimmed > 0;
        const sent = JSON.parse(recorder.bodies.at(-1));
        history.push((sent.messages ?? sent.input).map((m) => JSON.stringify(m)));
      }
      assert.ok(cut > 10, `${cut} were cut`);
      // The last message asks anew each time; what stands before it is the prefix that is cached.
      let kept = 0, cutPairs = 0;
      for (let i = 1; i < history.length; i++) {
        const before = history[i - 1].slice(0, -1);
        cutPairs++;
        kept += before.every((message, at) => message === history[i][at]);
      }
      assert.ok(kept >= cutPairs * 0.7, `${kept} of ${cutPairs} kept their beginning`);
    });
  }
});

const TPM = 40000;
suite('preflight: 50 messages at 40,000 tokens a minute', {
  simulate: ['--tpm', `${TPM}`, '--openai-cost', 'sum'],
  models: [{ name: '*', tpm: TPM, trim: 'talks' }],
  config: { trim_policies: [
    { name: 'talks', preset: 'balanced', keep_turns: 3, max_context_tokens: 12000 }] },
}, (stand, test) => {
  // A conversation as it grows: each turn asks with all that was said before, in the end with 12
  // turns of 4 messages, the system's and the new one: 50, more than 20,000 tokens.
  const steps = Array.from({ length: 13 }, (_, turns) => FORMATS.chat(turns, 1500, { max_tokens: 200 }));

  test('without Sluice many of its turns are refused', async () => {
    assert.equal(steps.at(-1)[1].messages.length, 50);
    const statuses = [];
    for (const step of steps) {
      const { status } = await post(stand.simulator.url, step, { authorization: 'Bearer x' });
      statuses.push(status);
    }
    assert.ok(statuses.every((status) => status === 200 || status === 429), `${statuses}`);
    assert.ok(statuses.filter((status) => status === 429).length >= 4, `${statuses}`);
  });

  test('with it none is, at less than 20,000 tokens a call', async () => {
    await stand.reset();
    let waited = 0, whole = 0;
    for (const step of steps) {
      const answer = await post(stand.url, step);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      waited += answer.decision === 'delayed';
      whole = answer.input + answer.trimmed;
    }
    assert.ok(waited > 0, 'the limit is felt, as a wait');
    assert.ok(whole > 20000, `the last one would have had ${whole}`);
    const calls = await stand.calls();
    assert.equal(calls.length, steps.length, 'each is sent once, and none again after a refusal');
    for (const call of calls) {
      assert.equal(call.status, 200);
      assert.ok(call.input_tokens < 20000, `${call.input_tokens}`);
    }
  });
});
