// The checker finds what it is there to find: each history is wrong in one known way.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { check } from './checker.mjs';
import { History } from './history.mjs';

const submit = (id, outcome) => ({ op: 'submit', id, outcome });
const invoke = (id) => submit(id, 'invoke');
const ok = (id) => submit(id, 'ok');
const info = (id) => submit(id, 'info');
const fail = (id) => submit(id, 'fail');
const job = (id, status = 'succeeded') => ({ op: 'final', id, outcome: status });

function counts(history, jobs) {
    const { lost, unexpected, duplicated, recovered } = check([...history, ...jobs]);
    return { lost, unexpected, duplicated, recovered };
}
const clean = { lost: 0, unexpected: 0, duplicated: 0, recovered: 0 };

test('a history in which all went well has four zeros', () => {
    const result = check([invoke(1), invoke(2), ok(2), ok(1), job(1), job(2)]);
    assert.deepEqual(result, { ...clean, attempted: 2, acknowledged: 2, unfinished: 0 });
});

test('an accepted job that is not there is lost', () => {
    assert.deepEqual(counts([invoke(1), ok(1)], []), { ...clean, lost: 1 });
});

test('an accepted job that did not succeed is lost, and unfinished', () => {
    for (const status of ['failed', 'queued', 'running', 'cancelled', 'expired']) {
        const result = check([invoke(1), ok(1), job(1, status)]);
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
    assert.throws(() => check([ok(1)]), /without an invoke/);
    assert.throws(() => check([invoke(1), ok(1), ok(1)]), /without an invoke/);
    assert.throws(() => check([invoke(1), submit(1, 'done')]), /no such outcome/);
    assert.throws(() => check([{ op: 'dance', id: 1 }]), /no such operation/);
});

test('a history is written line by line and read back, and judged as a program does', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-history-'));
    const judge = (finals) => {
        const path = join(folder, 'history.jsonl');
        const history = new History(path);
        history.note('client-1', 'submit', 1, 'invoke');
        history.note('client-1', 'submit', 1, 'ok');
        history.finish(finals);
        assert.deepEqual(History.read(path), history.entries);
        assert.ok(history.entries.every((entry, i) => i === 0 || entry.time >= history.entries[i - 1].time));
        const { pathname } = new URL('checker.mjs', import.meta.url);
        return spawnSync(process.execPath, [pathname, path], { encoding: 'utf8' });
    };
    const good = judge([{ id: 1, status: 'succeeded' }]);
    assert.equal(good.status, 0);
    assert.equal(JSON.parse(good.stdout).acknowledged, 1);
    const bad = judge([]);
    assert.equal(bad.status, 1);
    assert.equal(JSON.parse(bad.stdout).lost, 1);
    rmSync(folder, { recursive: true });
});
