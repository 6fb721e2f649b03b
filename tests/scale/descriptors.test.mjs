// Pollux with few descriptors: it takes no more clients than it can serve, goes on with those that it
// has, and is well again when there are some.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { event, eventually } from '../e2e/lib/wait.mjs';
import { Wire } from '../e2e/lib/wire.mjs';
import { Crowd } from './lib/crowd.mjs';
import { startOrigin } from './lib/scale.mjs';

const DESCRIPTORS = 256;

async function start(t, { names = ['app'], route = {}, ...options } = {}) {
	const origin = await startOrigin(t);
	return Pollux.start(t, {
		backends: Object.fromEntries(names.map((name) => [name, { servers: [origin] }])),
		route: names.map((backend, n) => ({ path: '/', hosts: n > 0 ? [backend] : [], backend, ...route })),
		files: DESCRIPTORS,
		...options,
		program: { access_log: 'off', ...options.program },
	});
}

// A client with one connection that it keeps: `ask` gives the response, its body read.
function keepsConnection(t, pollux) {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	atEnd(t, () => agent.destroy());
	return async function ask(path, { host = 'app', method = 'GET' } = {}) {
		const request = http.request({ ...pollux.where(), path, method, agent, headers: { host } });
		request.end();
		const response = await event(request, 'response');
		response.resume();
		await event(response, 'end');
		return response;
	};
}

async function statusOf(ask, ...request) {
	return (await ask(...request)).statusCode;
}

function isServed(t, pollux) {
	return eventually(async () => (await statusOf(keepsConnection(t, pollux), '/small')) === 200,
		'an answer on a new connection');
}

test('it takes as many clients as it has descriptors for, each with its backend', async (t) => {
	const pollux = await start(t);
	const tunnels = Crowd.start(t, 'tunnels', pollux);
	const { open, ended } = await tunnels.open(DESCRIPTORS);
	t.diagnostic(`${open} tunnels, the others ${JSON.stringify(ended)}`);
	assert.deepEqual(ended, { 503: DESCRIPTORS - open });
	assert.ok(open >= DESCRIPTORS / 4);
	assert.equal((await tunnels.echo()).echoed, open);
	await tunnels.close(open / 2);
	await isServed(t, pollux);
});

test('it takes no more because a configuration says so', async (t) => {
	const pollux = await start(t, { program: { max_connections: 1000 } });
	await pollux.logged(/max_connections = 1000, but 256 descriptors are enough for \d+ only/);
	const ask = keepsConnection(t, pollux);
	assert.equal(await statusOf(ask, '/small'), 200);
	const slow = Crowd.start(t, 'slow', pollux, { rate: 500 });
	const opened = slow.open(2 * DESCRIPTORS);
	for (let n = 0; n < 50; n++)
		assert.equal(await statusOf(ask, '/small'), 200);
	await opened;
	await slow.settle(DESCRIPTORS / 2);
	await isServed(t, pollux);
	assert.ok(!pollux.log.has(/cannot accept/));
});

test('connections that their clients leave open take no descriptors for long', async (t) => {
	const pollux = await start(t);
	for (let n = 0; n < 2 * DESCRIPTORS; n++) {
		const wire = await Wire.connect(t, pollux.where());
		wire.send('GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
		assert.equal((await wire.readResponse()).status, 200);
	}
	assert.ok(pollux.descriptors() < DESCRIPTORS / 2);
	assert.ok(!pollux.log.has(/cannot accept/));
});

test('idle connections to one backend make room for those to another', async (t) => {
	const names = ['app', 'b', 'c', 'd', 'e'];
	const pollux = await start(t, { names });
	const clients = Array.from({ length: 60 }, () => keepsConnection(t, pollux));
	for (const host of names) {
		const statuses = await Promise.all(clients.map((ask) => statusOf(ask, '/delay/100', { host })));
		assert.deepEqual([...new Set(statuses)], [200], `answers of ${host}`);
	}
	await isServed(t, pollux);
});

test('sessions do not take the last descriptors from clients', async (t) => {
	const pollux = await start(t, { route: { bridge: ['plain'] } });
	const ask = keepsConnection(t, pollux);
	// Sessions, each with a connection to the backend and none to a client.
	const sessions = [];
	let refusal;
	while (refusal === undefined) {
		const response = await ask('/ws/echo', { method: 'POST' });
		if (response.statusCode === 201)
			sessions.push(response.headers.location);
		else
			refusal = response;
		assert.ok(sessions.length <= DESCRIPTORS);
	}
	t.diagnostic(`${sessions.length} sessions, then ${refusal.statusCode}`);
	assert.equal(refusal.statusCode, 503);
	assert.ok(refusal.headers['retry-after'] !== undefined);
	assert.equal(await statusOf(keepsConnection(t, pollux), '/small'), 200);
	for (let n = 0; n < 10; n++)
		assert.equal(await statusOf(ask, sessions[n], { method: 'POST' }), 204);
	for (const session of sessions)
		assert.equal(await statusOf(ask, session, { method: 'DELETE' }), 204);
	await isServed(t, pollux);
	assert.ok(!pollux.log.has(/cannot accept|is down/));
	const again = await ask('/ws/echo', { method: 'POST' });
	assert.equal(again.statusCode, 201);
});
