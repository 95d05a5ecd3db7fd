// A few commands to a Redis on a unix socket, for looking at it from outside.
import { createConnection } from 'node:net';

function parse(buffer, at) {
    const stop = buffer.indexOf('\r\n', at);
    if (stop < 0) return null;
    const line = buffer.toString('utf8', at + 1, stop);
    const next = stop + 2;
    switch (buffer[at]) {
    case 0x2b: return { value: line, next };
    case 0x2d: return { value: new Error(line), next };
    case 0x3a: return { value: Number(line), next };
    case 0x24: return parseBulk(buffer, next, Number(line));
    case 0x2a: return parseArray(buffer, next, Number(line));
    default: throw new Error('no answer of Redis');
    }
}

function parseBulk(buffer, at, length) {
    if (length < 0) return { value: null, next: at };
    if (buffer.length < at + length + 2) return null;
    return { value: buffer.toString('utf8', at, at + length), next: at + length + 2 };
}

function parseArray(buffer, at, count) {
    const value = [];
    for (let i = 0; i < count; i++) {
        const item = parse(buffer, at);
        if (!item) return null;
        value.push(item.value);
        at = item.next;
    }
    return { value, next: at };
}

// Sends the commands (lists of words) in one pipeline and gives their answers.
export function redis(socketPath, ...commands) {
    return new Promise((resolve, reject) => {
        const socket = createConnection(socketPath);
        const answers = [];
        let buffer = Buffer.alloc(0);
        socket.on('error', reject);
        socket.on('close', () => reject(new Error('Redis closed the connection')));
        socket.on('connect', () => {
            for (const words of commands) {
                socket.write(`*${words.length}\r\n` + words.map((word) =>
                    `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join(''));
            }
        });
        socket.on('data', (chunk) => {
            buffer = Buffer.concat([buffer, chunk]);
            for (let item; (item = parse(buffer, 0));) {
                answers.push(item.value);
                buffer = buffer.subarray(item.next);
                if (answers.length < commands.length) continue;
                resolve(answers);
                socket.destroy();
                return;
            }
        });
    });
}
