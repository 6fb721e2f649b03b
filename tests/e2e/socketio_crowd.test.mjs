// Many Socket.IO clients at once, in all modes, and clients whose connections are cut: what a session
// has told is whole and in order up to its end, and the end is heard of.
import assert from 'node:assert/strict';
import test from 'node:test';

import { io } from 'socket.io-client';

import { EngineSession } from './lib/engineio.mjs';
import { Bridge } from './lib/bridge.mjs';
import { Random } from './lib/random.mjs';
import { atEnd } from './lib/scope.mjs';
import { MODES, ask, connected, settled, socketIoStage } from './lib/socketio.mjs';
import { Tap } from './lib/tap.mjs';
import { eventually, pass } from './lib/wait.mjs';

const LONG = 60_000;

test('three hundred clients at once, in all modes', async (t) => {
	const { connect, cluster, pollux, servers } = await socketIoStage(t, { files: 8192 });
	const N = 100;
	const clients = [];

	for (const [mode, options] of Object.entries(MODES))
		for (let i = 0; i < N; i++)
			clients.push({ mode, socket: connect(options), name: `${mode} ${i}` });
	await Promise.all(clients.map(async ({ socket, mode, name }) => {
		await connected(socket, LONG);
		const home = await socket.timeout(LONG).emitWithAck('who');
		for (let i = 0; i < 5; i++) {
			const value = { name, i, bytes: Buffer.from(`${name} ${i}`) };
			assert.deepEqual(await socket.timeout(LONG).emitWithAck('echo', value), value);
			assert.equal(await socket.timeout(LONG).emitWithAck('who'), home);
		}
		if (mode === 'upgrade')
			await settled(socket, mode);
	}));
	assert.equal(cluster.nClients, 3 * N);
	// Round robin in each worker: no server has more than its share.
	const shares = servers.map(({ nClients }) => nClients);
	assert.ok(Math.max(...shares) - Math.min(...shares) <= 8, shares.join());

	// A word to all of them.
	const told = Promise.all(clients.map(({ socket }) => new Promise((done) => socket.once('told', done))));
	servers.forEach((server) => server.io.emit('told', 'all'));
	await told;
	for (const { socket } of clients)
		socket.disconnect();
	assert.deepEqual(await cluster.left(3 * N, LONG), Array(3 * N).fill('client namespace disconnect'));
	await eventually(() => cluster.nClients === 0, 'no client at the servers', LONG);
	await eventually(() => pollux.descriptors() < 40, 'the descriptors of Pollux', LONG);
});

// Polls whose connections are cut at random bytes. The protocol has no way to say what has arrived,
// so a session may end at any time; but within one nothing is lost, repeated or out of order.
for (const [mode, options] of Object.entries(MODES)) {
	test(`${mode}: cuts end sessions, and never make holes`, async (t) => {
		const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32);
		const random = new Random(seed);
		const N_CLIENTS = 8;
		const MS = Number(process.env.LOSS_MS ?? 6000);
		const sessions = new Map(); // by the id of the socket at its server: what the server got
		t.diagnostic(`SEED=${seed}`);
		const { pollux, cluster } = await socketIoStage(t, {
			io: { pingInterval: 1000, pingTimeout: 1000 },
			setUp(server) {
				server.on('connection', (socket) => {
					const got = [];
					let n = 0;
					sessions.set(socket.id, got);
					socket.on('up', (value) => got.push(value));
					const timer = setInterval(() => {
						for (let i = 0; i < 3; i++)
							socket.emit('down', n++, 'x'.repeat(n % 700));
					}, 5);
					socket.on('disconnect', () => clearInterval(timer));
				});
			},
		});
		const tap = await Tap.start(t, pollux.where(), (conn) => {
			// A client that polls has many connections, one with a WebSocket a single one.
			if (random.chance(mode === 'polling' ? 0.3 : 0.7))
				conn.toClient.cutAt = random.size(1, 200_000);
			if (random.chance(mode === 'polling' ? 0.2 : 0.7))
				conn.toServer.cutAt = random.size(1, 50_000);
		});
		let nSessions = 0;
		let nDown = 0;
		const faults = [];

		const clients = Array.from({ length: N_CLIENTS }, () => {
			const socket = io(`http://${tap.address}`, {
				...options, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 60, timeout: 2000,
			});
			let next;
			let n;
			let timer;
			socket.on('connect', () => {
				const { id } = socket;
				nSessions++;
				next = 0;
				n = 0;
				timer = setInterval(() => socket.emit('up', { id, n: n++ }), 3);
			});
			socket.on('disconnect', () => clearInterval(timer));
			socket.on('down', (value) => {
				nDown++;
				if (value !== next)
					faults.push(`down: ${value} instead of ${next}`);
				next = value + 1;
			});
			atEnd(t, () => socket.disconnect());
			return socket;
		});
		await pass(MS);
		for (const socket of clients)
			socket.disconnect();
		await eventually(() => cluster.nClients === 0, 'no client at the servers', LONG);
		let nUp = 0;
		for (const [id, got] of sessions) {
			nUp += got.length;
			got.forEach((value, i) => {
				if (value.id !== id || value.n !== i)
					faults.push(`up: ${JSON.stringify(value)} instead of ${i} in ${id}`);
			});
		}
		t.diagnostic(`${nSessions} sessions, ${nDown} messages down, ${nUp} up`);
		assert.deepEqual(faults.slice(0, 5), []);
		assert.ok(nDown > 1000 && nUp > 500, 'something came through');
		assert.ok(nSessions > N_CLIENTS, 'something was cut');
	});
}

// A sanitizer's memory says nothing.
test('what an idle session that polls costs', async (t) => {
	const { pollux, cluster, servers, connect } = await socketIoStage(t, {
		nServers: 1, files: 8192, io: { pingInterval: 300_000 }, program: { workers: 1 },
	});
	const bridge = new Bridge(t, pollux, { path: '/socket.io/' });
	const N = 500;
	const open = async () => {
		const query = 'EIO=4&transport=polling';
		const response = await bridge.ask('GET', `/socket.io/?${query}`);
		const session = new EngineSession(bridge, JSON.parse(response.body.toString().slice(1)));
		const wire = await bridge.connect();
		wire.send(`GET /socket.io/?${query}&sid=${session.sid} HTTP/1.1\r\nHost: a\r\n\r\n`);
		return wire;
	};

	// The first ones pay for what is kept.
	for (let i = 0; i < 50; i++)
		await open();
	await ask(await connected(connect(MODES.polling)), 'who');
	const before = pollux.memory();
	const wires = [];
	for (let i = 0; i < N; i++)
		wires.push(await open());
	const each = (pollux.memory() - before) / N;
	t.diagnostic(`${Math.round(each)} bytes per idle session that polls, both connections included`);
	assert.equal(servers[0].nClients, N + 51);
	for (const wire of wires)
		wire.close();
	await eventually(() => cluster.nClients === 51, 'the sessions that are left', LONG);
});
