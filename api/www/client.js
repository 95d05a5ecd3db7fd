// Calls to this service. The key is kept for this tab only and sent as a header, never as a
// cookie, so that no other page can use it.

const KEY = "sluice-key";

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function open(path, options = {}) {
  const given = key.get();
  const headers = given ? { authorization: `Bearer ${given}` } : {};
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw new Refused(answer.status, body?.error?.message ?? `The answer was ${answer.status}.`);
}

export const ask = async (path, options) => (await open(path, options)).json();
export const send = (method, path, body, signal) =>
  ask(path, { method, signal, body: JSON.stringify(body) });

// The data of each event in a stream of server-sent events. EventSource cannot send a header.
async function* events(path, signal) {
  const answer = await open(path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split("\n")
        .filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length > 0) yield JSON.parse(data.join("\n"));
    }
  }
}

const SILENT_MS = 10000; // a stream that should speak every second is dead
const MOST_MS = 10000;

// Follows a stream until signal ends it, over breaks. told: {data(object), lost(error, in_ms)}.
// A refusal that waiting does not mend (a bad key, an unknown job) ends it too.
export async function follow(path, signal, told, silentMs = SILENT_MS) {
  for (let waitMs = 500; !signal.aborted; waitMs = Math.min(waitMs * 2, MOST_MS)) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, silentMs);
    let why = new Error("The connection ended.");
    try {
      for await (const object of events(path, attempt.signal)) {
        clearTimeout(timer);
        timer = setTimeout(stop, silentMs);
        waitMs = 500;
        told.data(object);
      }
    } catch (error) {
      why = error;
    }
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    if (signal.aborted) return;
    told.lost(why, waitMs);
    if (why instanceof Refused && why.status < 500 && why.status !== 429) return;
    await new Promise((done) => setTimeout(done, waitMs));
  }
}
