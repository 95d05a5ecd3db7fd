// What a history of submits and the final list of jobs say about each other, in the four counts
// of Jepsen's set and queue tests:
//
//   lost        was accepted (202), and is not among the jobs that succeeded
//   unexpected  is there, and was never submitted
//   duplicated  is there more than once: the number of copies too many
//   recovered   is there though the first answer about it was lost
//
// The history is that of ./history.mjs: submits, and the final list at its end. One element may be
// submitted again.
//
// Beside the counts: attempted and acknowledged elements, and `unfinished`, which are accepted ones
// that are there and not succeeded (they are lost too: nobody got a result).
//
// As a program: `node checker.mjs FILE.jsonl` prints the counts; its exit code is 0 only when
// nothing was lost, unexpected or duplicated.
import { pathToFileURL } from 'node:url';
import { History } from './history.mjs';

const OUTCOMES = new Set(['invoke', 'ok', 'fail', 'info']);

function read(submits) {
    const elements = new Map();
    for (const { id, outcome } of submits) {
        if (!OUTCOMES.has(outcome)) throw new Error(`no such outcome: ${outcome}`);
        if (!elements.has(id)) {
            if (outcome !== 'invoke') throw new Error(`${outcome} of ${id} without an invoke`);
            elements.set(id, { open: 0, ok: false, info: false });
        }
        const element = elements.get(id);
        element.open += outcome === 'invoke' ? 1 : -1;
        if (element.open < 0) throw new Error(`${outcome} of ${id} without an invoke`);
        element.ok ||= outcome === 'ok';
        element.info ||= outcome === 'info';
    }
    return elements;
}

export function check(history) {
    const foreign = history.find(({ op }) => op !== 'submit' && op !== 'final');
    if (foreign) throw new Error(`no such operation: ${foreign.op}`);
    const elements = read(history.filter(({ op }) => op === 'submit'));
    const copies = new Map();
    const succeeded = new Set();
    for (const { id, outcome } of history.filter(({ op }) => op === 'final')) {
        copies.set(id, (copies.get(id) ?? 0) + 1);
        if (outcome === 'succeeded') succeeded.add(id);
    }
    const counts = {
        attempted: elements.size, acknowledged: 0,
        lost: 0, unexpected: 0, duplicated: 0, recovered: 0, unfinished: 0,
    };
    for (const [id, element] of elements) {
        // An operation without an end is one whose answer never came.
        const unsure = element.info || element.open > 0;
        counts.acknowledged += element.ok;
        if (element.ok && !succeeded.has(id)) counts.lost++;
        if (element.ok && copies.has(id) && !succeeded.has(id)) counts.unfinished++;
        if (unsure && copies.has(id)) counts.recovered++;
    }
    for (const [id, count] of copies) {
        if (!elements.has(id)) counts.unexpected += count;
        counts.duplicated += count - 1;
    }
    return counts;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
    const counts = check(History.read(process.argv[2]));
    console.log(JSON.stringify(counts));
    process.exitCode = counts.lost + counts.unexpected + counts.duplicated ? 1 : 0;
}
