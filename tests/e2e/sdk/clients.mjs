// The SDKs as their users make them: only the base URL is another one. Without retries of their
// own, so that a test sees every answer of the service.
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';

export { OpenAI, Anthropic };

export const CALLER_KEY = 'sk-caller-77b1e0d2';

export function openai(stand, more) {
  return new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: CALLER_KEY, maxRetries: 0, ...more });
}

export function anthropic(stand, more) {
  return new Anthropic({ baseURL: stand.url, apiKey: CALLER_KEY, maxRetries: 0, ...more });
}

export function chat(text, more) {
  return { model: 'gpt-4o', messages: [{ role: 'user', content: text }], ...more };
}

export function message(text, more) {
  return {
    model: 'claude-test', max_tokens: 100, messages: [{ role: 'user', content: text }], ...more,
  };
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

// What the promise is rejected with; fails when it is not.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`no error but ${JSON.stringify(value)?.slice(0, 300)}`);
}
