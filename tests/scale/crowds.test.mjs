// Thousands of clients that want nothing, or never come to the point, while one wants to be served.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { Crowd } from './lib/crowd.mjs';
import { inMiB, isSanitized, memoryOf, sized, startOrigin } from './lib/scale.mjs';
import { figuresText, WellBehaved } from './lib/well_behaved.mjs';

const DESCRIPTORS = sized(2400, 20_000);
// What Pollux takes by itself: some descriptors are for itself and for connections that are closing, and
// each client may need one more to a backend.
const CLOSING = Math.min(Math.floor(DESCRIPTORS / 16), 1000);
const CAP = Math.floor((DESCRIPTORS - 64 - CLOSING) / 2);
const N_TUNNELS = sized(1000, 9000);
const N_SLOW = sized(1800, 15_000);
const HEADER_SECONDS = sized(2, 20);
const RATE = sized(1000, 3000); // slow ones that come in a second
const PACE_MS = sized(500, 5000); // between two bytes of a slow head

// The machine does other things as well.
const PATIENT_MS = 2000;
const TUNNEL_BYTES = 8 * 1024; // of memory, at most

async function start(t, { listen, ...options } = {}) {
	const origin = await startOrigin(t);
	return Pollux.start(t, {
		backend: { servers: [origin] },
		listen: { header_timeout: `${HEADER_SECONDS}s`, ...listen },
		files: DESCRIPTORS,
		...options,
		program: { access_log: 'off', ...options.program },
	});
}

function slowCrowd(t, pollux, options = {}) {
	return Crowd.start(t, 'slow', pollux,
		{ rate: RATE, pace: PACE_MS, from: '127.0.1.1', addresses: 50, ...options });
}

async function wasServed(t, client) {
	const figures = await client.stop();
	t.diagnostic(`the well-behaved client: ${figuresText(figures)}; ${client.nStale} kept `
		+ 'connections closed under it');
	assert.deepEqual(client.failures, [], 'failures of the well-behaved client');
	assert.ok(figures.n >= 5, `only ${figures.n} requests`);
	assert.ok(figures.most < PATIENT_MS, `a request took ${figures.most} ms`);
}

async function openTunnels(t, pollux) {
	const tunnels = Crowd.start(t, 'tunnels', pollux, { from: '127.0.2.1', addresses: 50 });
	assert.deepEqual(await tunnels.open(N_TUNNELS), {
		open: N_TUNNELS, echoed: 0, ended: {}, resets: 0, first_ms: -1, last_ms: 0,
	});
	return tunnels;
}

async function eachEchoes(tunnels) {
	const { open, echoed } = await tunnels.echo();
	assert.deepEqual({ open, echoed }, { open: N_TUNNELS, echoed: N_TUNNELS });
}

// Everybody got an answer, or at least an end: those over the cap 503, the others 408 in time.
function wereTurnedAway(t, { ended, resets, first_ms: first, last_ms: last }, held) {
	t.diagnostic(`slow heads: ${JSON.stringify(ended)}, ${resets} resets, 408 after ${first} to ${last} ms`);
	const { 408: late = 0, 503: crowded = 0, none = 0, ...others } = ended;
	assert.deepEqual(others, {});
	assert.equal(late + crowded + none, N_SLOW);
	// Of those that give their place, one whose first byte is not there yet gets no answer.
	assert.ok(none <= N_SLOW / 20, `${none} without an answer`);
	// The well-behaved client needs a place or two as well.
	assert.ok(late <= held && late >= held - 10, `${late} of ${held} were held`);
	assert.ok(first >= HEADER_SECONDS * 1000 - 100, `408 after ${first} ms`);
	assert.ok(last <= HEADER_SECONDS * 1000 + 2 * PATIENT_MS, `408 after ${last} ms`);
}

test(`${N_TUNNELS} idle tunnels are held`, async (t) => {
	const pollux = await start(t);
	const before = memoryOf(pollux.pid);
	const client = WellBehaved.start(t, pollux);
	const tunnels = await openTunnels(t, pollux);
	const each = (memoryOf(pollux.pid) - before) / N_TUNNELS;
	t.diagnostic(`${(each / 1024).toFixed(2)} KiB of memory for each tunnel`);
	await eachEchoes(tunnels);
	const after = (memoryOf(pollux.pid) - before) / N_TUNNELS;
	t.diagnostic(`${(after / 1024).toFixed(2)} KiB after a message through each`);
	if (!isSanitized)
		assert.ok(Math.max(each, after) <= TUNNEL_BYTES);
	await tunnels.close(N_TUNNELS);
	await wasServed(t, client);
});

test(`${N_SLOW} clients that are slow with their heads`, async (t) => {
	const pollux = await start(t);
	const client = WellBehaved.start(t, pollux);
	const slow = slowCrowd(t, pollux);
	await slow.open(N_SLOW);
	await slow.settle(CAP);
	wereTurnedAway(t, await slow.settle(), CAP);
	await wasServed(t, client);
	t.diagnostic(`at most ${inMiB(memoryOf(pollux.pid, 'VmHWM'))} of memory`);
	await pollux.logged(/max_connections reached, closing the longest waiting ones/);
});

test(`${N_TUNNELS} idle tunnels and ${N_SLOW} slow heads at once`, async (t) => {
	const pollux = await start(t);
	const client = WellBehaved.start(t, pollux);
	const tunnels = await openTunnels(t, pollux);
	const slow = slowCrowd(t, pollux);
	await slow.open(N_SLOW);
	wereTurnedAway(t, await slow.settle(), CAP - N_TUNNELS);
	await wasServed(t, client);
	await eachEchoes(tunnels);
	t.diagnostic(`at most ${inMiB(memoryOf(pollux.pid, 'VmHWM'))} of memory`);
});

test('an address has its share and no more', async (t) => {
	const share = sized(50, 500);
	const pollux = await start(t, { program: { max_connections_per_address: share } });
	const client = WellBehaved.start(t, pollux);
	const slow = slowCrowd(t, pollux, { addresses: 2 });
	await slow.open(4 * share);
	assert.deepEqual((await slow.settle(2 * share)).ended, { 503: 2 * share });
	assert.deepEqual((await slow.settle()).ended, { 408: 2 * share, 503: 2 * share });
	await wasServed(t, client);
	await pollux.logged(/max_connections_per_address reached/);
});

test('tunnels up to the cap; the next client is told', async (t) => {
	const cap = sized(100, 1000);
	const pollux = await start(t, { program: { max_connections: cap } });
	const tunnels = Crowd.start(t, 'tunnels', pollux);
	const { open, ended } = await tunnels.open(cap + 20);
	assert.deepEqual({ open, ended }, { open: cap, ended: { 503: 20 } });
	await pollux.logged(/max_connections reached and all busy/);
	await tunnels.close(1);
	const { status } = await eventually(async () => {
		const response = await fetch(pollux.url('/small'));
		await response.arrayBuffer();
		return response.status !== 503 && response;
	}, 'a place for another');
	assert.equal(status, 200);
});
