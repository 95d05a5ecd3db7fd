// What a history of submits and the final list of jobs say about each other, in the four counts
// of Jepsen's set and queue tests:
//
//   lost        was accepted (202), and is not among the jobs that succeeded
//   unexpected  is there, and was never submitted
//   duplicated  is there more than once: the number of copies too many
//   recovered   is there though the first answer about it was lost
//
// A history is a list of {type, n}: 'invoke' before a submit of element n, then 'ok' (202),
// 'fail' (refused: surely not there) or 'info' (no answer: there or not). One element may be
// submitted again. The final jobs are {n, status}.
//
// Beside the counts: attempted and acknowledged elements, and `unfinished`, which are accepted ones
// that are there and not succeeded (they are lost too: nobody got a result).

const TYPES = new Set(['invoke', 'ok', 'fail', 'info']);

function read(history) {
    const elements = new Map();
    for (const { type, n } of history) {
        if (!TYPES.has(type)) throw new Error(`no such operation: ${type}`);
        if (!elements.has(n)) {
            if (type !== 'invoke') throw new Error(`${type} of ${n} without an invoke`);
            elements.set(n, { open: 0, ok: false, info: false });
        }
        const element = elements.get(n);
        element.open += type === 'invoke' ? 1 : -1;
        if (element.open < 0) throw new Error(`${type} of ${n} without an invoke`);
        element.ok ||= type === 'ok';
        element.info ||= type === 'info';
    }
    return elements;
}

export function check(history, finalJobs) {
    const elements = read(history);
    const copies = new Map();
    const succeeded = new Set();
    for (const { n, status } of finalJobs) {
        copies.set(n, (copies.get(n) ?? 0) + 1);
        if (status === 'succeeded') succeeded.add(n);
    }
    const counts = {
        attempted: elements.size, acknowledged: 0,
        lost: 0, unexpected: 0, duplicated: 0, recovered: 0, unfinished: 0,
    };
    for (const [n, element] of elements) {
        // An operation without an end is one whose answer never came.
        const unsure = element.info || element.open > 0;
        counts.acknowledged += element.ok;
        if (element.ok && !succeeded.has(n)) counts.lost++;
        if (element.ok && copies.has(n) && !succeeded.has(n)) counts.unfinished++;
        if (unsure && copies.has(n)) counts.recovered++;
    }
    for (const [n, count] of copies) {
        if (!elements.has(n)) counts.unexpected += count;
        counts.duplicated += count - 1;
    }
    return counts;
}
