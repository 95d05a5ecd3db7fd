// A proxy between two unix sockets whose connections can be cut, and new ones refused for a while.
import { createConnection, createServer } from 'node:net';
import { rmSync } from 'node:fs';
import { sleep } from './program.mjs';

export class CutProxy {
    static async start(path, target) {
        const proxy = new CutProxy();
        Object.assign(proxy, { path, open: new Set(), isCut: false });
        proxy.server = createServer((client) => proxy.join(client, target));
        await new Promise((done) => proxy.server.listen(path, done));
        return proxy;
    }

    join(client, target) {
        if (this.isCut) {
            client.destroy();
            return;
        }
        const upstream = createConnection(target);
        const both = [client, upstream];
        for (const socket of both) {
            this.open.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => both.forEach((each) => {
                this.open.delete(each);
                each.destroy();
            }));
        }
        client.pipe(upstream);
        upstream.pipe(client);
    }

    async cut(ms) {
        this.isCut = true;
        for (const socket of this.open) socket.destroy();
        await sleep(ms);
        this.isCut = false;
    }

    close() {
        for (const socket of this.open) socket.destroy();
        this.server.close();
        rmSync(this.path, { force: true });
    }
}
