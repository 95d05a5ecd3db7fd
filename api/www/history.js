// What came in while the page is open: views of /v1/stats as samples, and what two of them say
// of the time between.
import { CLASSES } from "./format.js";

const KEEP_MS = 10 * 60000;
const STEP_MS = 1000; // of the stream
const WINDOW_MS = 60000;
const LEAST_MS = 15000; // a rate over less time would jump

const sum = (list, value) => list.reduce((total, one) => total + (value(one) ?? 0), 0);
const tokensOf = (tokens) => tokens.input + tokens.output;
// Of a limit that was learned, the lower one holds.
const holding = (limit) => (limit ? Math.min(limit.configured, limit.learned ?? Infinity) : 0);
const granted = (counts) =>
  counts.admitted + counts.delayed + counts.shrunk + counts.batched + counts.cached +
    counts.shared;

export const PER_MINUTE = ["tpm", "itpm", "otpm"];

function waitsOf(pools) {
  const waits = new Map();
  for (const pool of pools)
    for (const [top, count] of pool.wait_ms.buckets) waits.set(top, (waits.get(top) ?? 0) + count);
  return waits;
}

// The smallest bucket that holds `part` of the waits between two samples; null without any.
function percentile(before, after, part) {
  const fresh = [...after.waits].map(([top, n]) => [top, n - (before.waits.get(top) ?? 0)])
    .filter(([, n]) => n > 0).sort((a, b) => a[0] - b[0]);
  const total = sum(fresh, ([, n]) => n);
  let seen = 0;
  for (const [top, n] of fresh) if ((seen += n) >= total * part) return top;
  return null;
}

export class History {
  constructor() {
    this.samples = [];
  }

  // Without Redis the counts are not those of all instances: a gap is better than a fall to 0.
  add(stats, at) {
    if (stats.pools.some((pool) => !pool.known)) return;
    const { counts, tokens } = stats.totals;
    const sample = {
      at,
      stepMs: STEP_MS * 2,
      requests: granted(counts),
      tokens: tokensOf(tokens),
      reserved: tokens.reserved,
      avoided: counts.delayed,
      refused: counts.provider_429,
      failed: counts.failed + counts.expired,
      budget: sum(stats.pools, (pool) => sum(PER_MINUTE, (name) => holding(pool.limits[name]))),
      depth: CLASSES.map((name) => sum(stats.pools, (pool) => pool.queue[name].depth)),
      waits: waitsOf(stats.pools),
      pools: new Map(stats.pools.map((pool) => [pool.pool, {
        refused: pool.counts.provider_429, lost: pool.counts.leases_lost,
        broken: pool.counts.provider_5xx + pool.counts.provider_errors,
      }])),
    };
    const last = this.samples.at(-1);
    if (last && (sample.requests < last.requests || sample.tokens < last.tokens))
      this.samples = []; // Redis was emptied: the counts begin again
    const before = this.before(at, sample);
    const minutes = before ? (at - before.at) / 60000 : NaN;
    sample.tokensPerMin = before ? (sample.tokens - before.tokens) / minutes : null;
    sample.reservedPerMin = before ? (sample.reserved - before.reserved) / minutes : null;
    sample.requestsPerMin = before ? (sample.requests - before.requests) / minutes : null;
    sample.p50 = before ? percentile(before, sample, 0.5) : null;
    sample.p95 = before ? percentile(before, sample, 0.95) : null;
    this.samples.push(sample);
    while (this.samples[0].at < at - KEEP_MS) this.samples.shift();
  }

  // The sample that is WINDOW_MS old, or the oldest; null when that is too young to tell a rate.
  before(at) {
    const old = this.samples.find((sample) => sample.at >= at - WINDOW_MS);
    return old && at - old.at >= LEAST_MS ? old : null;
  }

  // How much a pool's count grew in the last minute.
  grew(pool, name) {
    const last = this.samples.at(-1)?.pools.get(pool);
    const old = this.before(this.samples.at(-1)?.at ?? 0)?.pools.get(pool);
    return last && old ? last[name] - old[name] : 0;
  }

  get last() {
    return this.samples.at(-1);
  }
}
