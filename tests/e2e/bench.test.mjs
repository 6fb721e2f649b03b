// The bench of the bridge, at a scale of seconds: every figure of every row is made, from runs in which nothing
// was lost. Whether they are good is not for a test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { LineLog } from './lib/line_log.mjs';
import { PROGRAM } from './lib/pollux.mjs';
import { atEnd } from './lib/scope.mjs';
import { within } from './lib/wait.mjs';

const BENCH = new URL('../../bench/bridge.mjs', import.meta.url).pathname;
const MINUTE = 60_000;

// The tables of one round, by name.
async function measured(t, ...options) {
	const folder = mkdtempSync(join(tmpdir(), 'pollux-bench-test-'));
	const file = join(folder, 'figures.json');
	const child = spawn(process.execPath, [BENCH, '--build', dirname(PROGRAM), '--rounds', '1', '--scale', '0.01',
		'--json', file, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
	const output = new LineLog();
	output.read(child.stdout);
	output.read(child.stderr);
	atEnd(t, () => rmSync(folder, { recursive: true, force: true }));
	atEnd(t, () => child.kill('SIGTERM'));
	const left = new Promise((done) => child.once('close', (code, signal) => done(signal ?? code)));
	assert.equal(await within(left, 'the bench leaving', MINUTE), 0, output.text());
	return JSON.parse(readFileSync(file, 'utf8')).tables;
}

function assertFigures({ summary }, rows, columns) {
	assert.equal(summary.length, rows);
	for (const { name, medians } of summary) {
		assert.deepEqual(Object.keys(medians), columns);
		for (const [column, value] of Object.entries(medians))
			assert.ok(Number.isFinite(value), `${name}, ${column}: ${value}`);
	}
}

test('sessions and messages of each transport are measured', async (t) => {
	const { transports } = await measured(t, '--tables', 'transports', '--measures', 'session,deliver,send');

	assertFigures(transports, 11, ['session', 'to client', 'from client']);
});

test('idle sessions of each transport are measured: two descriptors each', async (t) => {
	const { transports } = await measured(t, '--tables', 'transports', '--measures', 'idle');

	assertFigures(transports, 11, ['idle', 'descriptors']);
	for (const { name, medians } of transports.summary)
		assert.equal(medians.descriptors, 2, name);
});

test('latencies are measured, in order of their share', async (t) => {
	const { transports } = await measured(t, '--tables', 'transports', '--measures', 'latency', '--only', 'longpoll,sse');

	assertFigures(transports, 2, ['p50', 'p99']);
	for (const { name, medians } of transports.summary)
		assert.ok(medians.p50 > 0 && medians.p50 <= medians.p99, name);
});

test('sessions at the worker that has them and at another are measured', async (t) => {
	const { workers } = await measured(t, '--tables', 'workers', '--measures', 'deliver,send',
		'--only', 'longpoll-2-owner,longpoll-2-other,sse-4-other,pollux.v1-2-other');

	assertFigures(workers, 4, ['to client', 'from client']);
});

test('applications in Node that speak the dialects themselves are measured', async (t) => {
	const { peers } = await measured(t, '--tables', 'peers', '--measures', 'session,deliver,send',
		'--only', 'node-websocket,node-engineio-polling,node-engineio-websocket');

	assertFigures(peers, 3, ['session', 'to client', 'from client']);
});
