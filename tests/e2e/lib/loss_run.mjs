// A run of clients of the bridge that lose their connections at random bytes, and what must hold
// nevertheless: nothing is lost, repeated or reordered, in either direction, and what cannot be kept
// is announced.
import assert from 'node:assert/strict';

import { bridgeStage } from './bridge.mjs';
import { Authority } from './certificates.mjs';
import { DualBackend } from './dual_backend.mjs';
import { H2Requests } from './h2_requests.mjs';
import { LossClient, pause } from './loss_client.mjs';
import { Random } from './random.mjs';
import { atEnd } from './scope.mjs';
import { Tap } from './tap.mjs';

const ENDS = ['backend', 'backend', 'client', 'early'];

// What one session is to say, both ways. Sizes are mostly small.
class Script {
	constructor(random, name) {
		this.name = name;
		this.end = random.pick(ENDS);
		this.pauseMs = random.pick([10, 30, 30, 100]);
		this.down = Array.from({ length: random.integer(0, 150) }, (_, n) => this.#down(random, n));
		this.up = Array.from({ length: random.integer(0, 60) }, (_, n) => this.#up(random, n));
		this.random = random;
		this.reset();
	}

	// Before the backend has seen the session.
	reset() {
		this.received = [];
		this.nSockets = 0;
		this.close = undefined;
	}

	#down(random, n) {
		const text = `${this.name} down ${n}\n${'ü'.repeat(random.size(1, 4000))}`;
		return random.chance(0.2) ? Buffer.from(text) : text;
	}

	// A post: one frame, or several as JSON lines.
	#up(random, n) {
		const text = `${this.name} up ${n} ${'x'.repeat(random.size(1, 8000))}`;
		if (random.chance(0.2)) {
			const lines = Array.from({ length: random.integer(0, 4) }, (_, i) => `${text} ${i}`);
			return { type: 'application/x-ndjson', body: lines.join('\n'), frames: lines };
		}
		const type = random.pick(['text/plain', 'application/octet-stream']);
		return { type, body: text, frames: [text] };
	}

	get upFrames() {
		return this.up.flatMap(({ frames }) => frames);
	}

	// How a down message looks to the client.
	get downValues() {
		return this.down.map((message) => (Buffer.isBuffer(message)
			? `base64:${message.toString('base64')}`
			: message));
	}

	// The backend's part.
	async play(socket) {
		this.nSockets++;
		socket.on('close', (code) => (this.close = code));
		let onAllReceived;
		const allReceived = new Promise((done) => (onAllReceived = done));
		const look = () => this.received.length >= this.upFrames.length && onAllReceived();
		socket.on('message', (data) => {
			this.received.push(data.toString());
			look();
		});
		look();
		for (const message of this.down) {
			this.#say(socket, message);
			if (this.random.chance(0.3))
				await pause(this.random.integer(0, this.pauseMs));
		}
		if (this.end === 'backend')
			await allReceived;
		if (this.end !== 'client')
			socket.close(4000, 'that is all');
	}

	// In one frame or in several.
	#say(socket, message) {
		const binary = Buffer.isBuffer(message);
		const bytes = Buffer.from(message);
		let at = 0;
		while (this.random.chance(0.2)) {
			const to = Math.min(bytes.length, at + this.random.integer(0, 100));
			socket.send(bytes.subarray(at, to), { binary, fin: false });
			at = to;
		}
		socket.send(bytes.subarray(at), { binary, fin: true });
	}

	// The client's part.
	async converse(client) {
		await client.open();
		const sending = client.post(this.up);
		if (this.end === 'client') {
			const [wereAllPosted] = await Promise.all([sending, client.receive(this.down.length)]);
			assert.ok(wereAllPosted);
			await client.end();
		}
		await Promise.all([sending, client.receive()]);
	}

	check(client, { mayLose }) {
		assert.equal(this.nSockets, 1, 'one session, one WebSocket');
		assert.equal(client.cursor, this.down.length + 1, 'all messages, and the close');
		const values = this.downValues;
		client.received.forEach((value, n) => {
			if (value !== undefined)
				assert.equal(value, values[n]);
		});
		const nLost = client.received.filter((value) => value === undefined).length;
		const nAnnounced = client.gaps.reduce((sum, [from, to]) => sum + to - from + 1, 0);
		assert.equal(nLost, nAnnounced);
		assert.ok(mayLose || nLost === 0, `${nLost} lost: ${JSON.stringify(client.gaps)}`);
		this.#checkUp();
		assert.equal(client.closed.code, this.end === 'client' ? 1000 : 4000);
		assert.equal(client.closed.reason, this.end === 'client' ? '' : 'that is all');
	}

	#checkUp() {
		const frames = this.upFrames;
		assert.deepEqual(this.received, frames.slice(0, this.received.length), 'in order, once each');
		if (this.end !== 'early')
			assert.equal(this.received.length, frames.length);
	}
}

// By a reset. Node never closes a socket that is reset while its end is on the way, and hangs at
// its exit.
function reset({ client, server }) {
	for (const socket of [client, server])
		socket[socket.writableEnded ? 'destroy' : 'resetAndDestroy']();
}

// A relay whose connections are cut after a random number of bytes, one way or the other.
function startChopper(t, pollux, random, { isMild }) {
	return Tap.start(t, pollux.where(), (conn) => {
		if (random.chance(0.5))
			conn.cut = () => reset(conn);
		if (random.chance(isMild ? 0.5 : 0.1))
			return;
		const direction = random.chance(0.6) ? conn.toClient : conn.toServer;
		direction.cutAt = random.size(1, direction === conn.toClient ? 60_000 : 20_000);
	});
}

function routeOf(random, { mayLose }) {
	return {
		linger: '20s',
		heartbeat: `${random.integer(100, 1000)}ms`,
		batch_messages: random.size(1, 256),
		batch_size: random.size(100, 1_000_000),
		queue: random.size(40_000, 1_000_000),
		max_message_size: 20_000,
		replay: mayLose ? random.pick([0, 1000, 20_000]) : 4_000_000,
		backend_ping: `${random.integer(500, 5000)}ms`,
	};
}

function sumOf(clients) {
	const sum = {};
	for (const { counts } of clients)
		for (const [name, n] of Object.entries(counts))
			sum[name] = (sum[name] ?? 0) + n;
	return Object.entries(sum).map(([name, n]) => `${n} ${name}`).join(', ');
}

// The backend's sockets as Script.play wants them: those of ws, or ends of ours.
function likeWs(end) {
	return {
		on(name, tell) {
			if (name === 'message')
				end.onMessage = tell;
			else
				end.stream.on('close', () => tell(end.closed?.code ?? 1006));
		},
		send: (data, options) => end.send(data, options),
		close: (code, reason) => end.close(code, reason),
	};
}

// Options of bridgeStage for a backend of this version.
async function backendOf(t, version, play) {
	if (version === 1)
		return { ws: { onSocket: (socket, { url }) => play(url, socket) } };
	return {
		server: await DualBackend.start(t, { onWebSocket: (end) => play(end.target, likeWs(end)) }),
		backend: { protocol: 'h2' },
	};
}

/*
 * One run: `nSessions` at once, each of which says its script. `client` and `backend` are the versions
 * of HTTP on the two sides, 1 or 2.
 */
export async function lossRun(t, seed, { nSessions, client: clientVersion = 1, backend = 1 }) {
	const random = new Random(seed);
	const mayLose = random.chance(0.3);
	const isTls = random.chance(0.3);
	const listen = isTls
		? { certificates: [new Authority(t).issue(['127.0.0.1']).pem] }
		: {};
	const scripts = new Map();
	const { pollux } = await bridgeStage(t, {
		listen,
		route: routeOf(random, { mayLose }),
		...await backendOf(t, backend, (url, socket) => scripts.get(url).play(socket)),
	});
	const chopper = await startChopper(t, pollux, random.fork(), { isMild: isTls });

	const clients = [];
	await Promise.all(Array.from({ length: nSessions }, async (_, n) => {
		const path = `/chat/room${n % 3}?n=${n}`;
		const script = new Script(random.fork(), `s${n}`);
		scripts.set(path, script);
		const client = new LossClient(random.fork(), {
			port: chopper.port,
			tls: isTls,
			library: clientVersion === 2 ? new H2Requests({ isTls }) : undefined,
		}, path, { isPatient: random.chance(0.3) });
		atEnd(t, () => client.close());
		clients.push(client);
		try {
			await script.converse(client);
			script.check(client, { mayLose });
		} catch (error) {
			error.message += ` (session ${n}, SEED=${seed}, ${script.end}, TLS ${isTls})`;
			throw error;
		}
	}));
	t.diagnostic(`SEED=${seed}: ${chopper.conns.length} connections, ${sumOf(clients)}`);
}
