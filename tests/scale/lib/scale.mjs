// What the tests at scale share: which size they have, figures of a process, programs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { LineLog } from '../../e2e/lib/line_log.mjs';
import { freePort, PROGRAM } from '../../e2e/lib/pollux.mjs';
import { atEnd } from '../../e2e/lib/scope.mjs';
import { pass, within } from '../../e2e/lib/wait.mjs';

export const MiB = 1024 * 1024;

const LOOK_MS = 250;
const LOOKS = 20; // without any change

// SCALE=full: the sizes that the program has to bear; else smaller ones, for every run of the tests.
export const isFull = process.env.SCALE === 'full';

export function sized(short, full) {
	return isFull ? full : short;
}

// Figures of memory mean nothing in a sanitizer's build.
export const isSanitized = existsSync(PROGRAM) && readFileSync(PROGRAM).includes('__asan_init');

// Bytes: VmRSS (now) or VmHWM (the most so far).
export function memoryOf(pid, name = 'VmRSS') {
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) * 1024;
}

// Once it changes no more: Pollux looks every two seconds whether there is memory to give back.
export async function settledMemoryOf(pid) {
	let seen = -1;
	for (let looks = 0; looks < LOOKS; await pass(LOOK_MS)) {
		const now = memoryOf(pid);
		looks = Math.abs(now - seen) <= MiB / 16 ? looks + 1 : 0;
		seen = looks === 0 ? now : seen;
	}
	return seen;
}

export function inMiB(bytes) {
	return `${(bytes / MiB).toFixed(1)} MiB`;
}

function builtProgram(name) {
	const file = join(dirname(PROGRAM), name);
	assert.ok(existsSync(file), `${file} is not there: build it, or set POLLUX_BUILD`);
	return file;
}

// Starts a program of ours that runs until the end of the test. `lines` has what it says.
export function startProgram(owner, name, args) {
	const child = spawn(builtProgram(name), args, { stdio: 'pipe' });
	const exit = new Promise((done) => child.once('close', done));
	child.stdin.on('error', () => {}); // its end is noticed by what it does not say
	child.lines = new LineLog();
	child.lines.read(child.stdout);
	child.lines.read(child.stderr);
	atEnd(owner, async () => {
		child.kill('SIGTERM');
		await within(exit, `the end of ${name}`);
	});
	return child;
}

// The origin of the benchmarks; its address.
export async function startOrigin(owner) {
	const address = `127.0.0.1:${await freePort()}`;
	const { lines } = startProgram(owner, 'bench/origin', ['--listen', address]);
	await lines.find((line) => line.includes(`listening on ${address}`));
	return address;
}
