// What Pollux needs for a client that waits, its connection and the backend's WebSocket included; and that
// nothing is left of clients that have gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { WebSocketServer } from 'ws';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { event, eventually } from '../e2e/lib/wait.mjs';
import { inMiB, isSanitized, memoryOf, MiB, settledMemoryOf, startOrigin } from './lib/scale.mjs';
import { Sessions } from './lib/sessions.mjs';

const N_IDLE = isSanitized ? 400 : 4000;
const N_BEFORE = 500; // what is made once is there, and tables have a size
const IDLE_BYTES = 8000; // of memory, at most
const IDLE_AT_ONCE = 200;

const N_FIRST = 1000;
const N_ALL = isSanitized ? 10_000 : 100_000;
const AT_ONCE = 300;
const LINGER = '2s';
const GROWTH = 2 * MiB;
// Those that leave are remembered for a while, so there are fewer of them.
const KINDS = ['polls', 'streams', 'sockets', 'engineio', 'polls', 'sockjs', 'streams', 'leaves'];

const PATIENCE_MS = 180_000;

// Says the first word, as a server of Engine.IO does, and then echoes.
async function startEngine(t) {
	const open = '0{"sid":"a","upgrades":[],"pingInterval":300000,"pingTimeout":20000,"maxPayload":1000000}';
	const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
	server.on('connection', (socket) => {
		socket.on('error', () => {}); // some are cut
		socket.on('message', (data) => socket.send(data.toString()));
		socket.send(open);
	});
	await event(server, 'listening');
	atEnd(t, () => {
		server.close();
		server.clients.forEach((socket) => socket.terminate());
	});
	return `127.0.0.1:${server.address().port}`;
}

async function start(t, { linger } = {}) {
	const max_sessions = N_ALL;
	const pollux = await Pollux.start(t, {
		backends: { app: { servers: [await startOrigin(t)] }, engine: { servers: [await startEngine(t)] } },
		route: [
			{ path: '/ws/echo', bridge: ['plain', 'sockjs'], linger, sockjs_disconnect_delay: linger, max_sessions },
			{ path: '/ws/echo', hosts: ['tunnel'] },
			{ path: '/engine.io', backend: 'engine', bridge: ['engineio'], linger, max_sessions },
		],
		files: 20_000,
		program: { access_log: 'off', workers: 1 },
	});
	return { pollux, sessions: Sessions.start(t, pollux) };
}

// Requests of those that are idle have been sent, those of this one come after them.
async function hasReadAll(pollux) {
	for (let n = 0; n < 3; n++)
		await (await fetch(pollux.url('/ws/echo?wait=0'), { method: 'DELETE' })).arrayBuffer();
}

for (const [kind, name] of [
	['idle-poll', 'a long-poll'],
	['idle-events', 'an event stream'],
	['idle-socket', 'a WebSocket of pollux.v1'],
	['idle-sockjs', 'a poll of SockJS'],
	['idle-engineio', 'a poll of Engine.IO'],
	['idle-tunnel', 'a WebSocket that passes'],
]) {
	test(`${name} that is idle, ${N_IDLE} of them`, { timeout: PATIENCE_MS }, async (t) => {
		const { pollux, sessions } = await start(t, { linger: '60s' });
		await sessions.hold(N_BEFORE, IDLE_AT_ONCE, kind);
		await hasReadAll(pollux);
		const before = memoryOf(pollux.pid);
		const { held } = await sessions.hold(N_IDLE, IDLE_AT_ONCE, kind);
		assert.equal(held, N_BEFORE + N_IDLE);
		await hasReadAll(pollux);
		const each = Math.round((memoryOf(pollux.pid) - before) / N_IDLE);
		t.diagnostic(`${each} bytes of memory for each`);
		if (!isSanitized)
			assert.ok(each <= IDLE_BYTES, `${each} bytes for each`);
		await sessions.close();
	});
}

test(`nothing is left of ${N_ALL} sessions`, { timeout: PATIENCE_MS }, async (t) => {
	const { pollux, sessions } = await start(t, { linger: LINGER });
	const few = pollux.descriptors();
	const goes = async (n) => {
		assert.equal((await sessions.run(n, AT_ONCE, KINDS)).done, n);
		await eventually(() => pollux.descriptors() <= few, 'the end of all connections');
		return settledMemoryOf(pollux.pid);
	};
	const first = await goes(N_FIRST);
	const last = await goes(N_ALL - N_FIRST);
	t.diagnostic(`${inMiB(first)} of memory after ${N_FIRST} sessions, ${inMiB(last)} after ${N_ALL}, `
		+ `${inMiB(memoryOf(pollux.pid, 'VmHWM'))} at most`);
	if (!isSanitized)
		assert.ok(last - first <= GROWTH, `grown by ${inMiB(last - first)}`);
	// It says how many it still knows, and then fails if an object of any kind outlives it.
	await pollux.stop();
	assert.ok(pollux.log.has(/draining: 0 connections, 0 sessions/), 'some are still known');
});
