// Clients of a polled route whose connections are cut at random get each value once, in order.
//
//	SEED=n		repeats the choices of a run (its timing is its own)
//	SESSIONS=n	sessions at once
import assert from 'node:assert/strict';
import test from 'node:test';

import { LossClient, pause } from './lib/loss_client.mjs';
import { polledStage } from './lib/polled.mjs';
import { Random } from './lib/random.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const SESSIONS = Number(process.env.SESSIONS ?? 12);
const N_VALUES = 30;

test(`each value once and in order through cuts, SEED=${SEED}`, async (t) => {
	const random = new Random(SEED);
	const { backend, pollux } = await polledStage(t, { poll: { interval: '100ms' } });
	// Each answer is another value, large ones among them.
	let n = 0;
	backend.trouble = (response) => response.json(`${++n} ${'v'.repeat(n % 5 === 0 ? 3000 : 10)}`);
	const tap = await Tap.start(t, pollux.where(), async (conn) => {
		await pause(random.integer(5, 400));
		conn.cut();
	});
	const clients = Array.from({ length: SESSIONS },
		(_, i) => new LossClient(random.fork(), tap.where, `/prices?client=${i}`));
	for (const client of clients)
		atEnd(t, () => client.close());
	await Promise.all(clients.map(async (client) => {
		await client.open();
		await client.receive(N_VALUES);
	}));
	let nCuts = 0;
	for (const client of clients) {
		assert.deepEqual(client.gaps, []);
		const numbers = client.received.map((text) => parseInt(JSON.parse(text), 10));
		assert.ok(numbers.length >= N_VALUES);
		numbers.forEach((number, i) => assert.equal(number, numbers[0] + i));
		nCuts += client.counts.cuts;
	}
	t.diagnostic(`${nCuts} cuts, ${n} values`);
	assert.ok(nCuts > SESSIONS, 'hardly anything was cut');
});
