// What clients did and what they were told, one JSON object a line:
//
//   {"time": 1234.5, "who": "client-3", "op": "submit", "id": 17, "outcome": "invoke"}
//
//   time     ms since the start of the run, of a clock that never goes back
//   who      the client; one does one thing at a time
//   op       "submit", or "final": an element that stands there when all is over
//   id       of the element; a client chooses it, so that it is known before any answer
//   outcome  of a submit: "invoke" before it; then "ok" (accepted), "fail" (refused: surely not
//            there) or "info" (nobody knows). Of a final one: its status, such as "succeeded"
//
// A line is written before the next thing is done, so the file tells all even when the test dies.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

export class History {
    // Without a path it is kept in memory only.
    constructor(path = null) {
        this.entries = [];
        this.file = path ? openSync(path, 'w') : null;
        this.started = performance.now();
    }

    note(who, op, id, outcome) {
        const time = Math.round((performance.now() - this.started) * 10) / 10;
        const entry = { time, who, op, id, outcome };
        this.entries.push(entry);
        if (this.file !== null) writeSync(this.file, `${JSON.stringify(entry)}\n`);
    }

    // jobs: [{id, status}], as they stand at the end.
    finish(jobs) {
        for (const { id, status } of jobs) this.note('list', 'final', id, status);
        if (this.file !== null) closeSync(this.file);
        this.file = null;
    }

    static read(path) {
        return readFileSync(path, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    }
}
