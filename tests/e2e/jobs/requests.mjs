// Jobs as their users send them, with fetch alone.
import assert from 'node:assert/strict';

export function chatJob(text, more) {
  return {
    endpoint: '/v1/chat/completions',
    body: { model: 'gpt-4o', messages: [{ role: 'user', content: text }] },
    ...more,
  };
}

export class Jobs {
  constructor(stand) {
    this.stand = stand;
  }

  async #json(path, options) {
    const answer = await fetch(`${this.stand.url}/v1/jobs${path}`, options);
    const text = await answer.text();
    const body = text ? JSON.parse(text) : null;
    return { status: answer.status, headers: answer.headers, body };
  }

  post(body, headers) {
    return this.#json('', {
      method: 'POST', headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  // The job, accepted.
  async submit(job, headers) {
    const { status, body } = await this.post(job, headers);
    assert.equal(status, 202, JSON.stringify(body));
    return body;
  }

  async submitLines(lines, headers) {
    const text = lines.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
    const { status, body } = await this.post(text,
      { 'content-type': 'application/x-ndjson', ...headers });
    assert.equal(status, 202, JSON.stringify(body));
    return body.data;
  }

  look(id, query = '') {
    return this.#json(`/${id}${query}`);
  }

  // The job as it is within `seconds`, or as soon as it has ended.
  async wait(id, seconds = 30) {
    const { status, body } = await this.look(id, `?wait=${seconds}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }

  async end(id) {
    const job = await this.wait(id);
    assert.ok(!['queued', 'running', 'retrying'].includes(job.status), JSON.stringify(job));
    return job;
  }

  ends(jobs) {
    return Promise.all(jobs.map((one) => this.end(one.id)));
  }

  cancel(id) {
    return this.#json(`/${id}`, { method: 'DELETE' });
  }

  list(query = '') {
    return this.#json(query);
  }

  // All pages, newest first.
  async all(limit) {
    const jobs = [];
    for (let after = ''; ;) {
      const { status, body } = await this.list(`?limit=${limit}${after}`);
      assert.equal(status, 200, JSON.stringify(body));
      assert.ok(body.data.length <= limit);
      jobs.push(...body.data);
      if (!body.has_more) return jobs;
      after = `&after=${body.data.at(-1).id}`;
    }
  }

  // What the event stream of a job says until it ends by itself.
  async events(id) {
    const answer = await fetch(`${this.stand.url}/v1/jobs/${id}/events`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
    return (await answer.text()).split('\n\n').filter((one) => one && !one.startsWith(':'))
      .map((one) => {
        assert.ok(one.startsWith('event: job\ndata: '), one);
        return JSON.parse(one.slice('event: job\ndata: '.length));
      });
  }
}
