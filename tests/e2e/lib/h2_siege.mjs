// One HTTP/2 client that attacks, and another that behaves and has to be served meanwhile; memory
// is measured before and after.
import assert from 'node:assert/strict';

import { CODE } from './h2_frames.mjs';
import { h2Arena } from './h2_rows.mjs';
import { connect as connectPlain, get } from './stage.mjs';
import { pass } from './wait.mjs';

export const MiB = 1024 * 1024;
// Freed memory that the sanitizer holds back is not what Pollux holds.
const ENVIRONMENT = { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64' };
// Between two sides, on a machine that is busy with other tests.
const PATIENT_MS = 5000;

// Asks again and again, over a connection of its own.
class Neighbour {
	nServed = 0;
	slowest = 0;
	#client;
	#isLeaving = false;
	#loop;

	constructor(client) {
		this.#client = client;
		this.#loop = this.#ask();
		this.#loop.catch(() => {}); // shows in `check`
	}

	async #ask() {
		while (!this.#isLeaving) {
			const began = Date.now();
			await this.#client.expectServes('/neighbour');
			this.slowest = Math.max(this.slowest, Date.now() - began);
			this.nServed++;
			this.#client.frames.length = 0;
			this.#client.judge.streams.clear();
			await new Promise((done) => setImmediate(done));
		}
	}

	// Served all the time, and once more after all that was.
	async check() {
		this.#isLeaving = true;
		await this.#loop;
		await this.#client.expectServes('/neighbour');
		assert.ok(this.nServed > 0, 'the neighbour was served meanwhile');
		assert.ok(this.slowest < PATIENT_MS, `the neighbour waited for ${this.slowest} ms`);
	}
}

export async function siegeArena(t, options = {}) {
	const stage = await h2Arena(t, { environment: ENVIRONMENT, ...options });
	const client = await stage.connect(t); // so that what is allocated once has been
	await client.expectServes();
	client.close();
	return stage;
}

function hasEnough(client) {
	return client.isOver || client.judge.goaways.length > 0;
}

// Sends what `make(n)` gives until the server has had enough, `most` times at most. Frames go out in
// batches, and between them what has come back is read: a server that closes takes in only so much
// of what is still under way, and its GOAWAY would be lost.
export async function flood(client, make, most = 50_000) {
	let size = 0;
	for (let n = 0; n < most && !hasEnough(client); n++) {
		const frames = [make(n)].flat();
		client.send(...frames);
		size += frames.reduce((sum, given) => sum + given.length, 0);
		if (n % 50 !== 49 && size < 32 * 1024)
			continue;
		await pass(size < 32 * 1024 ? 0 : 2);
		size = 0;
		if (client.socket.writableLength > 256 * 1024)
			await client.expectThat(() => client.socket.writableLength === 0 || hasEnough(client), 'bytes taken')
				.catch(() => {});
	}
}

// Sends what `make(id)` gives on ten new streams at a time, and waits until all of them are reset,
// until the server has had enough.
export async function provokeResets(client, make, most = 3000) {
	for (let n = 0; n < most && !hasEnough(client); n += 10) {
		const ids = Array.from({ length: 10 }, () => client.nextStream());
		client.send(ids.map((id) => make(id)));
		await client.expectThat(() => hasEnough(client) || ids.every((id) => client.stream(id).isReset),
			`resets from stream ${ids[0]} on`);
	}
}

/*
 * `attack(client, stage)` does its worst. Then:
 *	logged   the error log says so
 *	reason   of a request that was under way, in the access log
 *	mib      Pollux holds at most so many more MiB (8)
 *	goaway   the code that ends the connection; null: the attack looks itself for its end
 */
export async function siege(t, stage, { attack, open, logged, reason, mib = 8, goaway = CODE.ENHANCE_YOUR_CALM }) {
	const { pollux, connect } = stage;
	const before = pollux.memory();
	const neighbour = new Neighbour(await connect(t));
	const client = await connect(t, open);

	await attack(client, stage);
	if (goaway !== null)
		await client.expectGoaway(goaway);
	const grown = (pollux.memory() - before) / MiB;
	await neighbour.check();
	if (logged !== undefined)
		await pollux.logged(logged);
	if (reason !== undefined)
		await pollux.accessed({ reason });
	assert.ok(grown < mib, `${grown.toFixed(1)} MiB more`);
	const other = await connectPlain(t, pollux); // nor has HTTP/1.1 suffered
	other.send(get('/neighbour'));
	assert.equal((await other.readResponse()).status, 200);
	other.close();
	return client;
}

export async function sieges(t, stage, rows) {
	for (const row of rows)
		await t.test(row.name, (sub) => siege(sub, stage, row));
}
