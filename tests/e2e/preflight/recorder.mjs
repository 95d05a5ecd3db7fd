// Stands between the service and the simulator, and keeps the bodies that pass.
import { createServer } from 'node:http';
import { once } from 'node:events';

export class Recorder {
  bodies = [];

  // simulator: a function that gives its URL once it is known.
  static async start(simulator) {
    const recorder = new Recorder();
    recorder.server = createServer(async (request, reply) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      const body = Buffer.concat(parts);
      recorder.bodies.push(body.toString());
      const headers = { 'content-type': 'application/json' };
      for (const name of ['authorization', 'x-api-key', 'anthropic-version'])
        if (request.headers[name]) headers[name] = request.headers[name];
      const answer = await fetch(simulator() + request.url, { method: 'POST', headers, body });
      const text = await answer.text();
      reply.writeHead(answer.status, { 'content-type': 'application/json' });
      reply.end(text);
    });
    recorder.server.listen(0, '127.0.0.1');
    await once(recorder.server, 'listening');
    recorder.url = `http://127.0.0.1:${recorder.server.address().port}`;
    return recorder;
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
