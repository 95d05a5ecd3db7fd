// Numbers and times as people read them.

const grouped = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const whole = (n) => (Number.isFinite(n) ? grouped.format(Math.round(n)) : "–");
export const short = (n) =>
  Number.isFinite(n) ? (Math.abs(n) < 10000 ? whole(n) : compact.format(n)) : "–";

const UNITS = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]];

export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120000) return `${Math.round(ms / 1000)} s`;
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at];
  const rest = at < 3 ? Math.floor((ms % size) / UNITS[at + 1][1]) : 0;
  return `${Math.floor(ms / size)} ${unit}${rest ? ` ${rest} ${UNITS[at + 1][0]}` : ""}`;
}

// The same without the smaller unit.
export const age = (ms) => duration(ms).split(" ").slice(0, 2).join(" ");

// The same for the marks of an axis, whose steps are decimal.
export const axisTime = (ms) => (ms < 1000 ? `${ms} ms` : `${whole(ms / 1000)} s`);

export const ago = (seconds) =>
  seconds ? `${duration(Math.max(0, Date.now() - seconds * 1000))} ago` : "–";

export const clock = (ms) =>
  new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const moment = (seconds) =>
  seconds ? new Date(seconds * 1000).toLocaleString("en-GB") : "–";

const LIMITS = {
  rpm: "requests/min", tpm: "tokens/min", itpm: "input tokens/min", otpm: "output tokens/min",
  rpd: "requests/day", tpd: "tokens/day", max_parallel_requests: "parallel requests",
};
export const limitName = (name) => LIMITS[name] ?? name;
export const CLASSES = ["interactive", "normal", "batch"];

// A time of today by its clock, another with its day.
export const pointTime = (date) => (Date.now() - date < 43200000 ? clock(date)
  : date.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }));

const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export function dollars(n) {
  if (n === null || !Number.isFinite(n)) return "–";
  if (n === 0) return "$0";
  return Math.abs(n) < 0.01 ? `$${Number(n.toPrecision(2))}` : `$${cents.format(n)}`;
}

export const day = (date) => date.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
export const shortDay = (date) => date.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
