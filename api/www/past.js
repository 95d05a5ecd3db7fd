// The past of the charts, from GET /v1/stats/history, as samples of the shape of history.js.
import { ask } from "./client.js";
import { CLASSES } from "./format.js";

export const RANGES = [
  { name: "10 min", spanMs: 600000, step: 60 },
  { name: "1 h", spanMs: 3600000, step: 60 },
  { name: "24 h", spanMs: 86400000, step: 60 },
  { name: "7 d", spanMs: 7 * 86400000, step: 3600 },
  { name: "90 d", spanMs: 89.9 * 86400000, step: 3600 },
];

const LATE_MS = 15000; // instances tell what they counted some seconds later
const DEPTHS = CLASSES.map((name) => `queue_depth.${name}`);
const METRICS = ["tokens_input", "tokens_output", "tokens_reserved", "wait_p50", "wait_p95", ...DEPTHS];

const plus = (a, b) => (a === null || b === null ? null : a + b);

// Points that are not over yet are left out, for their sums would look like a fall; so are those
// of which nobody told anything.
export function samplesOf({ step, times, series }, now) {
  const perMin = (n) => (n === null ? null : n * 60 / step);
  const of = (name, i) => series[name]?.[i] ?? null;
  return times.map((time, i) => ({
    at: (time + step / 2) * 1000,
    end: (time + step) * 1000,
    stepMs: step * 1000,
    tokensPerMin: perMin(plus(of("tokens_input", i), of("tokens_output", i))),
    reservedPerMin: perMin(of("tokens_reserved", i)),
    depth: DEPTHS.map((name) => of(name, i)),
    p50: of("wait_p50", i),
    p95: of("wait_p95", i),
  })).filter(({ end, tokensPerMin }) => end <= now - LATE_MS && tokensPerMin !== null);
}

export class Past {
  constructor() {
    this.samples = [];
  }

  // Without an answer there is no past, and the charts begin with now.
  async load(range, now, signal) {
    const from = Math.floor((now - range.spanMs) / 1000);
    try {
      const answer = await ask(`/v1/stats/history?step=${range.step}&from=${from}&metrics=${METRICS.join(",")}`, { signal });
      this.samples = samplesOf(answer, now);
    } catch {
      this.samples = [];
    }
  }

  // What was before the live samples, and these. Those too young to tell a rate give way to it.
  // The budget is that of now: of other times no sum over all pools is kept.
  joined(live) {
    const told = this.samples.length > 0 ? live.filter(({ tokensPerMin }) => tokensPerMin !== null) : live;
    const begin = told[0]?.at ?? Infinity, budget = live.at(-1)?.budget ?? null;
    return [...this.samples.filter(({ at }) => at < begin).map((one) => ({ ...one, budget })), ...told];
  }
}
