// Writes prices.csv from the npm package @pydantic/genai-prices.
//
// One line a model: provider, names, then US dollars per million tokens: input, output, cache read,
// cache write; then the input tokens above which a request costs more, and the four prices there.
// A name is '=' exact, '^' prefix, '#' prefix that a digit follows, '$' its end or '~' a part of it;
// several are parted by '|'. An empty price is
// not known: a cache read or write then costs as much as input. What changes with the date is taken
// as of the newest. Left out: prices of sound, pictures and searches, and names whose pattern is none
// of these (they are counted below).
import { writeFileSync } from 'node:fs';
import { findProvider } from '@pydantic/genai-prices';

const PROVIDERS = ['openai', 'anthropic', 'google', 'groq', 'mistral', 'deepseek', 'x-ai', 'cohere',
    'together', 'fireworks', 'cerebras', 'perplexity'];
const PARTS = ['input_mtok', 'output_mtok', 'cache_read_mtok', 'cache_write_mtok'];
const SIGNS = { equals: '=', starts_with: '^', ends_with: '$', contains: '~' };
const DATED = /^\^([\w.\\/-]+-)\\d/; // a name that ends in the date of a version
let left = 0;

function names(match) {
    const [kind, value] = Object.entries(match)[0];
    if (kind === 'or') return value.flatMap(names);
    if (kind === 'and') return names(value.find((one) => one.starts_with)); // but for what another row names in full
    const dated = kind === 'regex' && DATED.exec(value);
    if (dated) return [`#${dated[1].replaceAll('\\', '')}`];
    if (SIGNS[kind] && /^[\w.:/@-]+$/.test(value)) return [SIGNS[kind] + value];
    left++;
    return [];
}

function latest(prices) {
    return Array.isArray(prices) ? prices.at(-1).prices : prices;
}

function row(provider, model) {
    const prices = latest(model.prices);
    const texts = names(model.match);
    if (prices.input_mtok === undefined || texts.length === 0) return [];
    const base = PARTS.map((part) => prices[part]?.base ?? prices[part] ?? '');
    const tier = PARTS.map((part) => prices[part]?.tiers?.[0]);
    const start = tier.find(Boolean)?.start ?? '';
    const above = start === '' ? ['', '', '', ''] : tier.map((one, i) => one?.price ?? base[i]);
    return [[provider, [...new Set(texts)].join('|'), ...base, start, ...above].join(',')];
}

const rows = PROVIDERS.flatMap((id) => findProvider({ providerId: id }).models.flatMap((model) => row(id, model)));
writeFileSync(new URL('prices.csv', import.meta.url), `${rows.join('\n')}\n`);
console.log(`${rows.length} models; ${left} names left out`);
