// A receiver of webhooks that verifies what it gets, and behaves at each path as it is told.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

export class Receiver {
  // secret: "whsec_..." that one signature of each request must be made with.
  static async start(secret) {
    const receiver = new Receiver();
    receiver.webhook = new Webhook(secret);
    receiver.seen = []; // {path, id, at, event, signatures} of every request that verified
    receiver.wrong = []; // what did not verify
    receiver.answers = new Map(); // path -> function of (response, how often it was asked)
    receiver.server = createServer((request, response) => receiver.#take(request, response));
    await new Promise((done) => receiver.server.listen(0, '127.0.0.1', done));
    receiver.server.unref(); // one that a failed test leaves does not keep the run alive
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  // answer: (response, n) => void, n counting the requests for this path from 1.
  at(path, answer) {
    this.answers.set(path, answer);
    return this.url + path;
  }

  async #take(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const path = request.url.replace(/\?.*/, '');
    try {
      const event = this.webhook.verify(body, request.headers);
      this.seen.push({
        path,
        id: request.headers['webhook-id'],
        at: Number(request.headers['webhook-timestamp']),
        signatures: request.headers['webhook-signature'].split(' ').length,
        event,
      });
    } catch (error) {
      this.wrong.push(`${path}: ${error.message}`);
    }
    const answer = this.answers.get(path) ?? ((to) => to.writeHead(204).end());
    answer(response, this.of(path).length);
  }

  of(path) {
    return this.seen.filter((one) => one.path === path);
  }

  of_object(id) {
    return this.seen.filter((one) => one.event.data.id === id);
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(done));
  }
}
