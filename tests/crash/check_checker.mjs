// The checker finds what it is there to find: each history is wrong in one known way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from './checker.mjs';

const invoke = (n) => ({ type: 'invoke', n });
const ok = (n) => ({ type: 'ok', n });
const info = (n) => ({ type: 'info', n });
const fail = (n) => ({ type: 'fail', n });
const job = (n, status = 'succeeded') => ({ n, status });

function counts(history, jobs) {
    const { lost, unexpected, duplicated, recovered } = check(history, jobs);
    return { lost, unexpected, duplicated, recovered };
}
const clean = { lost: 0, unexpected: 0, duplicated: 0, recovered: 0 };

test('a history in which all went well has four zeros', () => {
    const result = check([invoke(1), invoke(2), ok(2), ok(1)], [job(1), job(2)]);
    assert.deepEqual(result, { ...clean, attempted: 2, acknowledged: 2, unfinished: 0 });
});

test('an accepted job that is not there is lost', () => {
    assert.deepEqual(counts([invoke(1), ok(1)], []), { ...clean, lost: 1 });
});

test('an accepted job that did not succeed is lost, and unfinished', () => {
    for (const status of ['failed', 'queued', 'running', 'cancelled', 'expired']) {
        const result = check([invoke(1), ok(1)], [job(1, status)]);
        assert.equal(result.lost, 1);
        assert.equal(result.unfinished, 1);
    }
});

test('a job that nobody submitted is unexpected', () => {
    assert.deepEqual(counts([invoke(1), ok(1)], [job(1), job(7)]), { ...clean, unexpected: 1 });
});

test('each copy of a job beyond the first is duplicated', () => {
    const jobs = [job(1), job(1), job(1, 'queued'), job(2)];
    const history = [invoke(1), ok(1), invoke(2), ok(2)];
    assert.deepEqual(counts(history, jobs), { ...clean, duplicated: 2 });
});

test('a job whose answer was lost is recovered when it is there, and nothing when it is not', () => {
    assert.deepEqual(counts([invoke(1), info(1)], [job(1)]), { ...clean, recovered: 1 });
    assert.deepEqual(counts([invoke(1), info(1)], []), clean);
    assert.deepEqual(counts([invoke(1)], [job(1)]), { ...clean, recovered: 1 });
});

test('a retry that was accepted must be there once', () => {
    const history = [invoke(1), info(1), invoke(1), ok(1)];
    assert.deepEqual(counts(history, [job(1)]), { ...clean, recovered: 1 });
    assert.deepEqual(counts(history, []), { ...clean, lost: 1 });
    assert.deepEqual(counts(history, [job(1), job(1)]),
        { ...clean, recovered: 1, duplicated: 1 });
});

test('a refused submit is not missed', () => {
    assert.deepEqual(counts([invoke(1), fail(1)], []), clean);
});

test('a history that cannot be is refused', () => {
    assert.throws(() => check([ok(1)], []), /without an invoke/);
    assert.throws(() => check([invoke(1), ok(1), ok(1)], []), /without an invoke/);
    assert.throws(() => check([invoke(1), { type: 'done', n: 1 }], []), /no such operation/);
});
