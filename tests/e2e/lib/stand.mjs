// A service before a simulated provider, each a real process on a free port, for tests.
//
//   suite('chat', { simulate: ['--rpm', '60'] }, (stand, test) => {
//     test('answers', async () => { await fetch(`${stand.url}/healthz`); });
//   });
//
// The processes live as long as the suite and are ended by their pid; an exit code other than 0
// (a sanitizer's report among others) fails it. A test that fails prints what the service logged
// meanwhile. E2E_KEEP=1 keeps the folder with the logs, the configuration and the data.
import { test as nodeTest, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import {
  existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, simulatorCalls, sleep, until } from '../../support/program.mjs';

export { getJson, sleep, until };

const PROMPT_CANARY = 'canary of the prompts';
const TEST_MS = 60000;
const READY_MS = 20000;
const IDLE_MS = 10000;

// The key that the service has for the providers.
export const PROVIDER_KEY = 'sk-provider-3f9a41c7';

// A text that steers the simulator ("latency_ms=200 output=3"; see its sim_steer.h).
export function steer(words, text = 'Hello') {
  return `[[sim ${words}]] ${text}. This is the ${PROMPT_CANARY}.`;
}

// The hash of GET /sim/calls: FNV-1a with 64 bits, in 16 hex digits.
export function fnv1a(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, '0');
}

// Objects are joined key by key; all else of `over` replaces.
function join2(base, over) {
  if (!over || typeof over !== 'object' || Array.isArray(over)) return over;
  const joined = { ...base };
  for (const [key, value] of Object.entries(over)) joined[key] = join2(joined[key] ?? {}, value);
  return joined;
}

export class Stand {
  // options: simulate: more arguments of `sluice simulate`;
  //          models: limits of both providers' models (MODELS);
  //          provider: more keys of both providers;
  //          config: more keys of the configuration (or a function of the stand that gives them);
  //          headers: of the requests for /v1/stats, where keys are needed;
  //          prepare, finish: run before the first start and after the last end, with the stand;
  //          testMs: how long one test may take, where a minute is too little;
  //          secrets: what must not be in any log, beside the keys and prompts of this file.
  constructor(options = {}) {
    this.options = options;
    this.secrets = [PROVIDER_KEY, PROMPT_CANARY, ...(options.secrets ?? [])];
    this.folder = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
    this.log = join(this.folder, 'serve.log');
    this.simulatorLog = join(this.folder, 'simulate.log');
    this.configPath = join(this.folder, 'sluice.yaml');
  }

  static MODELS = [{ name: '*', rpm: 60000, tpm: 10000000 }];

  async start() {
    await this.options.prepare?.(this);
    this.simulator = await Program.start(
      ['simulate', '--listen', '127.0.0.1:0', ...(this.options.simulate ?? [])],
      this.simulatorLog);
    this.configure({});
    await this.startService();
  }

  // Writes the configuration, with more keys. (JSON is YAML, too.)
  configure(more) {
    const models = this.options.models ?? Stand.MODELS;
    const provider = { api_key: PROVIDER_KEY, models, ...this.options.provider };
    const base = {
      listen: '127.0.0.1:0',
      data_dir: join(this.folder, 'data'),
      providers: [
        { name: 'openai', format: 'openai', base_url: `${this.simulator.url}/v1`, ...provider },
        { name: 'anthropic', format: 'anthropic', base_url: this.simulator.url, ...provider },
      ],
      log: { level: 'info', format: 'json' },
    };
    for (const one of base.providers) {
      for (const [key, value] of Object.entries(one)) if (value === null) delete one[key];
    }
    const { config = {} } = this.options;
    const own = typeof config === 'function' ? config(this) : config;
    writeFileSync(this.configPath, JSON.stringify(join2(join2(base, own), more), null, 1));
  }

  async startService() {
    try {
      this.service = await Program.start(['serve', '--config', this.configPath], this.log);
    } catch (error) {
      throw new Error(`${error.message}\n${this.logged(0)}`, { cause: error });
    }
    await until('the service is ready', READY_MS, async () => {
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      return answer?.ok;
    });
  }

  get url() {
    return this.service.url;
  }

  // Ends the service, by default as an operator does, and starts it anew (on another port).
  async restart(signal = 'SIGTERM') {
    await this.stopService(signal);
    await this.startService();
  }

  async stopService(signal = 'SIGTERM') {
    const [code, by] = await this.service.end(signal);
    if (signal === 'SIGKILL') assert.equal(by, 'SIGKILL');
    else assert.equal(code, 0, `the service ended with ${code ?? by}:\n${this.logged(0)}`);
  }

  // What the service shows of itself to those who look on.
  async #shown() {
    const pages = [
      '/metrics', '/v1/stats', '/v1/stats/history', '/v1/models', '/v1/costs', '/v1/settings', '/', '/ui/app.js',
    ];
    const texts = pages.map(async (path) => {
      const answer = await fetch(`${this.url}${path}`, { headers: this.options.headers ?? {} });
      return `${path}: ${await answer.text()}`;
    });
    return (await Promise.all(texts)).join('\n');
  }

  // All files below data_dir: what Redis keeps on the disk, and batches.
  #kept() {
    const folder = join(this.folder, 'data');
    if (!existsSync(folder)) return [];
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  }

  // Prompts are in Redis while a job needs them; keys never are.
  #checkKept() {
    for (const path of this.#kept()) {
      const text = readFileSync(path, 'latin1');
      assert.ok(!text.includes(PROVIDER_KEY), `${path} holds a provider's key`);
      assert.doesNotMatch(text, /sk-sluice-[0-9a-f]{48}/, `${path} holds an access key`);
    }
  }

  // Both processes are gone afterwards, whatever went wrong before.
  async stop() {
    let shown = '';
    try {
      if (this.service?.alive()) {
        shown = await this.#shown();
        await this.stopService();
      }
      this.#checkKept();
    } finally {
      await this.options.finish?.(this);
      const [code] = this.simulator ? await this.simulator.end() : [0];
      const text = this.logged(0);
      const simulated = this.simulator ? readFileSync(this.simulatorLog, 'utf8') : '';
      if (process.env.E2E_KEEP) console.log(`kept: ${this.folder}`);
      else rmSync(this.folder, { recursive: true, force: true });
      assert.equal(code, 0, `the simulator ended with ${code}:\n${simulated}`);
      for (const secret of this.secrets) {
        assert.ok(!text.includes(secret), `a log of the service holds "${secret}"`);
        assert.ok(!shown.includes(secret), `a page of the service holds "${secret}"`);
      }
    }
  }

  // What the service has logged since `offset` bytes.
  logged(offset) {
    try {
      return readFileSync(this.log).subarray(offset).toString();
    } catch {
      return '';
    }
  }

  logSize() {
    return statSync(this.log, { throwIfNoEntry: false })?.size ?? 0;
  }

  stats() {
    return getJson(`${this.url}/v1/stats`, this.options.headers);
  }

  // The row of /v1/stats of one pool, such as 'openai:default:gpt-4o'; of the first without a name.
  async pool(name) {
    const { pools } = await this.stats();
    return name ? pools.find((one) => one.pool === name) : pools[0];
  }

  // All pools together: what runs, and what waits.
  async load() {
    const { pools } = await this.stats();
    const load = { running: 0, waiting: 0 };
    for (const pool of pools) {
      load.running += pool.in_flight;
      for (const queue of Object.values(pool.queue)) load.waiting += queue.depth;
    }
    return load;
  }

  untilLoad(what, probe, ms = IDLE_MS) {
    return until(what, ms, async () => probe(await this.load()));
  }

  untilIdle(ms) {
    return this.untilLoad('nothing runs or waits', (l) => l.running + l.waiting === 0, ms);
  }

  ledger() {
    return getJson(`${this.simulator.url}/sim/ledger`);
  }

  // The simulator's records of calls since its last reset, oldest first.
  calls() {
    return simulatorCalls(this.simulator.url);
  }

  async lastCall() {
    return (await this.calls()).at(-1);
  }

  async #steerSimulator(what, body) {
    const answer = await fetch(`${this.simulator.url}/sim/${what}`,
      { method: 'POST', body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  }

  // The next answers of the simulator: {status, headers, body, delay_ms, disconnect, times, ...}.
  script(...responses) {
    return this.#steerSimulator('script', { responses });
  }

  // An empty ledger, full buckets and no script.
  reset() {
    return this.#steerSimulator('reset', {});
  }
}

// A group of tests with one stand; body(stand, test), where test is node's with the log on failure.
export function suite(name, options, body) {
  describe(name, () => {
    const stand = new Stand(options);
    before(() => stand.start());
    after(() => stand.stop());
    body(stand, (title, run) => nodeTest(title, { timeout: options.testMs ?? TEST_MS }, async (context) => {
      const offset = stand.logSize();
      try {
        await run(context);
      } catch (error) {
        console.error(`the service, during "${title}":\n${stand.logged(offset)}`);
        throw error;
      }
    }));
  });
}
