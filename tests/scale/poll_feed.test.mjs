// A route that is polled, and thousands of clients: what the backend sees is one request an interval.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { Changing, event, within } from '../e2e/lib/wait.mjs';
import { inMiB, isFull, isSanitized, memoryOf, sized } from './lib/scale.mjs';

const N_POLLERS = sized(400, 4000);
const N_VALUES = sized(25, 25); // each client takes: so many polls of each
const N_SOCKETS = sized(200, 3000);
const INTERVAL_MS = sized(250, 2000);
const AT_ONCE = 200; // openings
const PATIENCE_MS = 240_000;
const VALUE_SIZE = 4096;
const SOCKET_BYTES = 12 * 1024; // of memory for each client's connection and session, at most

class NumberSocket extends Changing {
	all = [];

	static async open(t, url) {
		const client = new NumberSocket();
		client.socket = new WebSocket(url);
		atEnd(t, () => client.socket.terminate());
		client.socket.on('message', (data) => {
			client.all.push(parseInt(data, 10));
			client.changed();
		});
		client.socket.on('close', (code) => client.abandon(new Error(`closed with ${code}`)));
		await event(client.socket, 'open');
		return client;
	}

	reaches(n) {
		return this.until(() => this.all.at(-1) >= n, `value ${n}`, PATIENCE_MS);
	}
}

// Each answer is another value: the number of the request.
class Counter extends Changing {
	n = 0;
	first = 0;
	last = 0;

	static async start(t) {
		const counter = new Counter();
		const server = http.createServer((request, response) => {
			counter.last = performance.now();
			counter.first ||= counter.last;
			counter.n++;
			response.setHeader('content-type', 'text/plain');
			response.end(`${counter.n} `.padEnd(VALUE_SIZE, '.'));
			counter.changed();
		});
		server.listen(0, '127.0.0.1');
		await event(server, 'listening');
		atEnd(t, () => {
			server.close();
			server.closeAllConnections();
		});
		counter.address = `127.0.0.1:${server.address().port}`;
		return counter;
	}

	// From start to start: one an interval, however many clients there are.
	check(t, what) {
		const most = Math.floor((this.last - this.first) / INTERVAL_MS) + 2;
		t.diagnostic(`${what}: ${this.n} requests at the backend in `
			+ `${Math.round(this.last - this.first)} ms, one each ${INTERVAL_MS} ms`);
		assert.ok(this.n <= most, `${this.n} requests, of at most ${most}`);
	}
}

async function start(t, { workers = 1 } = {}) {
	const counter = await Counter.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [counter] },
		files: 20_000,
		program: { access_log: 'off', workers },
		route: { path: '/prices', poll: { path: '/value', interval: `${INTERVAL_MS}ms` } },
	});
	return { counter, pollux };
}

function get(agent, pollux, path) {
	return new Promise((resolve, reject) => {
		const request = http.get({ ...pollux.where(), path, agent }, (response) => {
			const chunks = [];
			response.on('data', (chunk) => chunks.push(chunk));
			response.on('end', () => {
				if (response.statusCode === 200)
					resolve(JSON.parse(Buffer.concat(chunks)));
				else
					reject(new Error(`${response.statusCode} to ${path}`));
			});
			response.on('error', reject);
		});
		request.on('error', reject);
	});
}

// Polls until it has so many values: each comes once, and in order. How many polls that took.
async function poll(agent, pollux) {
	let path = '/prices?wait=25';
	let nValues = 0;
	let nPolls = 0;
	let last;
	while (nValues < N_VALUES) {
		const { messages, next } = await get(agent, pollux, path);
		for (const { seq, text } of messages) {
			const n = parseInt(text, 10);
			assert.equal(seq, ++nValues);
			assert.ok(last === undefined || n === last + 1, `${n} after ${last}`);
			last = n;
		}
		nPolls++;
		path = next;
	}
	return nPolls;
}

for (const workers of [1, 2]) {
	const name = `${N_POLLERS * N_VALUES} polls of ${N_POLLERS} clients, ${workers} workers`;
	test(name, { timeout: PATIENCE_MS }, async (t) => {
		const { counter, pollux } = await start(t, { workers });
		const agent = new http.Agent({ keepAlive: true });
		atEnd(t, () => agent.destroy());
		const polls = await within(
			Promise.all(Array.from({ length: N_POLLERS }, () => poll(agent, pollux))),
			'all values at all clients', PATIENCE_MS,
		);
		const nPolls = polls.reduce((sum, n) => sum + n, 0);
		counter.check(t, `${nPolls} polls`);
		assert.ok(nPolls >= N_POLLERS * N_VALUES / 2, `${nPolls} polls`);
	});
}

test(`${N_SOCKETS} WebSockets`, { timeout: PATIENCE_MS }, async (t) => {
	const { counter, pollux } = await start(t);
	const url = pollux.url('/prices', { scheme: 'ws' });
	const before = memoryOf(pollux.pid);
	const sockets = [];
	while (sockets.length < N_SOCKETS)
		sockets.push(...await Promise.all(
			Array.from({ length: AT_ONCE }, () => NumberSocket.open(t, url))));
	const wanted = counter.n + 5;
	await Promise.all(sockets.map((socket) => socket.reaches(wanted)));
	const each = (memoryOf(pollux.pid) - before) / N_SOCKETS;
	t.diagnostic(`${(each / 1024).toFixed(2)} KiB of memory for each client, `
		+ `${inMiB(memoryOf(pollux.pid, 'VmHWM'))} at most`);
	if (isFull && !isSanitized)
		assert.ok(each <= SOCKET_BYTES);
	for (const { all } of sockets)
		all.forEach((n, i) => assert.equal(n, all[0] + i));
	counter.check(t, `${N_SOCKETS} WebSockets`);
});
