// Thousands of sessions and tunnels come and go: memory stays where it was after the first of them. That
// nothing lives on is what Pollux looks at when it leaves.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { event, eventually, pass } from '../e2e/lib/wait.mjs';
import { Wire } from '../e2e/lib/wire.mjs';
import { Crowd } from './lib/crowd.mjs';
import { inMiB, isSanitized, memoryOf, MiB, sized, startOrigin } from './lib/scale.mjs';

// As many as are remembered at a time, at least.
const N_FIRST = sized(750, 2000);
const N_ALL = sized(3000, 20_000);
const AT_ONCE = 32;
const LINGER_MS = 1000;
// The heap grows a little until it has seen the worst mix of sizes; later it does not.
const GROWTH = 3 * MiB;
const LATE_GROWTH = sized(2, 1) * MiB;
const TEXT = { 'content-type': 'text/plain' };

class Client {
	constructor(t, pollux) {
		this.pollux = pollux;
		this.agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
		atEnd(t, () => this.agent.destroy());
	}

	request(method, path, { headers, body, agent = this.agent } = {}) {
		const request = http.request({ ...this.pollux.where(), method, path, headers, agent });
		request.end(body);
		return event(request, 'response');
	}

	async ask(method, path, options) {
		const response = await this.request(method, path, options);
		let text = '';
		response.setEncoding('utf8');
		response.on('data', (chunk) => (text += chunk));
		await event(response, 'end');
		response.text = text;
		return response;
	}

	async open() {
		const { statusCode, headers, text } = await this.ask('POST', '/ws/echo', { headers: TEXT, body: 'one' });
		assert.equal(statusCode, 201, text);
		return headers.location;
	}

	async close(session) {
		assert.equal((await this.ask('DELETE', session)).statusCode, 204);
	}

	// A conversation by long-poll.
	async polls() {
		const session = await this.open();
		const first = await this.ask('GET', `${session}?wait=20`);
		assert.equal(JSON.parse(first.text).messages[0].text, 'one');
		assert.equal((await this.ask('POST', session, { headers: TEXT, body: 'two' })).statusCode, 204);
		const second = await this.ask('GET', `${session}?after=1&wait=20`);
		assert.deepEqual(JSON.parse(second.text).messages, [{ seq: 2, text: 'two' }]);
		await this.close(session);
	}

	// A stream that is cut by its client.
	async streams(accept) {
		const session = await this.open();
		const response = await this.request('GET', `${session}?after=0`, { headers: { accept }, agent: false });
		let text = '';
		response.setEncoding('utf8');
		await new Promise((resolve, reject) => {
			response.on('data', (chunk) => {
				text += chunk;
				if (text.includes('one'))
					resolve();
			});
			response.on('end', () => reject(new Error(`ended after ${text}`)));
			response.on('error', reject);
		});
		response.destroy();
		await this.close(session);
	}

	converse(n) {
		switch (n % 4) {
		case 0: return this.polls();
		case 1: return this.streams('text/event-stream');
		case 2: return this.streams('application/x-ndjson');
		default: return this.open(); // and never seen again
		}
	}
}

// The numbers from `from` to `to`, some at once.
async function each(from, to, work) {
	let next = from;
	await Promise.all(Array.from({ length: AT_ONCE }, async () => {
		while (next < to)
			await work(next++);
	}));
}

// Pollux keeps some of the buffers that it has had. So that they count before and after, it is made to
// have as many: by clients that ask for much and do not read it.
async function fillsItsBuffers(t, pollux) {
	const before = memoryOf(pollux.pid);
	const wires = await Promise.all(Array.from({ length: 32 }, async () => {
		const wire = await Wire.connect(t, pollux.where());
		wire.socket.pause();
		wire.send('GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n');
		return wire;
	}));
	await eventually(() => memoryOf(pollux.pid) > before + 3 * MiB, 'buffers in use');
	for (const wire of wires)
		wire.close();
}

function hasNotGrown(t, pollux, first, half) {
	const last = memoryOf(pollux.pid);
	t.diagnostic(`${inMiB(first)} of memory after the first, then ${inMiB(half - first)} and `
		+ `${inMiB(last - half)} more`);
	if (isSanitized)
		return;
	assert.ok(last - first <= GROWTH, `grown by ${inMiB(last - first)}`);
	assert.ok(last - half <= LATE_GROWTH, `grown by ${inMiB(last - half)} in the second half`);
}

test(`${N_ALL} sessions come and go`, async (t) => {
	const pollux = await Pollux.start(t, {
		backend: { servers: [await startOrigin(t)] },
		route: { bridge: ['plain'], linger: `${LINGER_MS}ms` },
		program: { access_log: 'off' },
	});
	const client = new Client(t, pollux);
	const settled = async (from, to) => {
		await each(from, to, (n) => client.converse(n));
		const last = await client.open();
		// Asking earlier would be a sign of life.
		await pass(3 * LINGER_MS);
		assert.equal((await client.ask('GET', last)).statusCode, 404);
	};
	await fillsItsBuffers(t, pollux);
	await settled(0, N_FIRST);
	const first = memoryOf(pollux.pid);
	await settled(N_FIRST, N_ALL / 2);
	const half = memoryOf(pollux.pid);
	await settled(N_ALL / 2, N_ALL);
	hasNotGrown(t, pollux, first, half);
});

test(`${N_ALL} tunnels come and go`, async (t) => {
	const pollux = await Pollux.start(t, {
		backend: { servers: [await startOrigin(t)] },
		program: { access_log: 'off' },
	});
	const tunnels = Crowd.start(t, 'tunnels', pollux);
	const few = pollux.descriptors();
	await fillsItsBuffers(t, pollux);
	const memory = [];
	for (let n = 0; n < N_ALL; n += N_FIRST) {
		assert.equal((await tunnels.open(N_FIRST)).open, N_FIRST);
		assert.equal((await tunnels.echo()).echoed, N_FIRST);
		await tunnels.close(N_FIRST);
		await eventually(() => pollux.descriptors() <= few, 'the end of the tunnels');
		memory.push(memoryOf(pollux.pid));
	}
	hasNotGrown(t, pollux, memory[0], memory[Math.floor(memory.length / 2)]);
});
