// What is promised of loss, all at once: clients of every kind talk both ways at a steady rate while each
// connection is cut every two seconds for a minute, through Pollux with one worker and with four; and while
// one worker after the other is killed.
//
// Where the client can acknowledge, everything arrives once and in order. Where it cannot (SockJS,
// Engine.IO, a bare WebSocket), a cut ends the session, both ends are told, and what had arrived has no hole.
//
//	SEED=n		repeats the choices of a run (its timing is its own)
//	LOSS_SECONDS=n	how long the cuts go on; 60 without it
//	KINDS=a,b	these clients only
import assert from 'node:assert/strict';
import test from 'node:test';

import { startBackend } from '../e2e/lib/bridge.mjs';
import { Random } from '../e2e/lib/random.mjs';
import { socketIoStage } from '../e2e/lib/socketio.mjs';
import { eventually, pass } from '../e2e/lib/wait.mjs';
import { KINDS as ALL_KINDS } from './lib/cast.mjs';
import { Line, Room } from './lib/conversation.mjs';
import { Cutter } from './lib/cutter.mjs';
import { connectionOf, connectionsOf } from './lib/process_sockets.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const SECONDS = Number(process.env.LOSS_SECONDS ?? 60);
const N_EACH = 3; // clients of a kind under cuts
const N_EACH_KILLED = 3; // and where workers are killed
const N_AFTER = 10; // messages each way that show a session to be well
const LONG_MS = 60_000;

const KINDS = process.env.KINDS === undefined
	? ALL_KINDS
	: Object.fromEntries(process.env.KINDS.split(',').map((name) => [name, ALL_KINDS[name]]));

// Pollux in front of a backend for WebSockets and one for Socket.IO, and the clients, all of them talking.
async function start(t, seed, { workers, nEach }) {
	const random = new Random(seed);
	const room = new Room(random.fork());
	const backend = await startBackend(t, {
		onSocket(socket, request) {
			const line = new Line(room, request.socket, (text) => socket.send(text));
			socket.on('message', (data) => line.hear(data));
			socket.on('close', () => (line.isOver = true));
		},
	});
	const { pollux } = await socketIoStage(t, {
		nServers: 1,
		io: { pingInterval: 2000, pingTimeout: 3000 },
		setUp: (io) => io.on('connection', (socket) => {
			const line = new Line(room, socket.request.socket, (text) => socket.emit('down', text));
			socket.on('up', (text) => line.hear(text));
			socket.on('disconnect', () => (line.isOver = true));
		}),
		backends: (servers) => ({ io: { servers }, app: { servers: [backend] } }),
		route: [
			{ path: '/chat', bridge: ['plain'], heartbeat: '500ms' },
			{ path: '/echo', bridge: ['sockjs'], sockjs_heartbeat: '1s' },
			{ path: '/socket.io', bridge: ['engineio'], backend: 'io' },
			{ path: '/ws' },
		],
		program: { workers },
	});
	for (const [name, Kind] of Object.entries(KINDS)) {
		for (let n = 0; n < nEach; n++) {
			const cutter = await Cutter.start(t, pollux.where(), random.fork());
			new Kind(t, room, cutter, `${name}.${n}`).enter();
		}
	}
	await eventually(() => room.clients.every(isWell), 'everybody in conversation', LONG_MS);
	return { room, pollux };
}

function isWell({ current }) {
	return current !== undefined && !current.isOver && current.heard >= N_AFTER
		&& current.line?.heard >= N_AFTER;
}

// Nobody speaks any more: what is open has all that was said, what is over is so at both ends.
async function settle(t, room) {
	room.isQuiet = true;
	const isSettled = (conversation) => (conversation.isOver
		? conversation.line?.isOver ?? true
		: conversation.isWhole);
	const open = () => room.conversations.filter((one) => !isSettled(one));
	await eventually(() => open().length === 0, 'everything to arrive', LONG_MS)
		.catch((error) => assert.fail(`${error.message}: ${open().join('; ')}`));
	assert.deepEqual(room.faults.slice(0, 5), []);
}

function report(t, room) {
	for (const name of Object.keys(KINDS)) {
		const clients = room.clients.filter((client) => client.name.startsWith(`${name}.`));
		const all = clients.flatMap(({ conversations }) => conversations);
		const hows = new Set(all.filter(({ isOver }) => isOver).map(({ how }) => how));
		const sum = (of) => all.reduce((n, one) => n + of(one), 0);
		t.diagnostic(`${name}: ${all.length} sessions, ${sum((one) => one.heard)} down, `
			+ `${sum(({ line }) => line?.heard ?? 0)} up${hows.size > 0 ? `; ended: ${[...hows].join(', ')}` : ''}`);
	}
}

async function cuts(t, seed, workers) {
	const { room } = await start(t, seed, { workers, nEach: N_EACH });
	room.clients.forEach(({ cutter }) => cutter.begin());
	await pass(SECONDS * 1000);
	room.clients.forEach(({ cutter }) => cutter.stop());
	const nCuts = {};
	for (const { cutter: { counts } } of room.clients)
		for (const [way, n] of Object.entries(counts))
			nCuts[way] = (nCuts[way] ?? 0) + n;
	t.diagnostic(`${workers} workers: cuts: ${JSON.stringify(nCuts)}`);
	report(t, room);
	await settle(t, room);
	for (const { name, conversations, constructor: { acknowledges }, cutter: { counts } } of room.clients) {
		const n = Object.values(counts).reduce((sum, one) => sum + one);
		// Who is just coming back has nothing to be cut.
		assert.ok(n >= SECONDS * 0.4, `${name}: ${n} cuts`);
		if (acknowledges) {
			assert.equal(conversations.length, 1, `${name}: one session, whatever happens`);
			assert.ok(conversations[0].said >= SECONDS * 9, `${name}: ${conversations[0]}`);
		} else {
			assert.ok(conversations.length >= SECONDS / 10, `${name}: ${conversations.length} sessions`);
		}
	}
}

test(`everybody is cut for ${SECONDS} seconds, SEED=${SEED}`, { concurrency: true }, async (t) => {
	await Promise.all([1, 4].map((workers) =>
		t.test(`${workers} workers`, (t) => cuts(t, SEED + workers, workers))));
});

test(`one worker after the other is killed, SEED=${SEED}`, async (t) => {
	const { room, pollux } = await start(t, SEED, { workers: 4, nEach: N_EACH_KILLED });
	const nLost = Object.fromEntries(Object.keys(KINDS).map((name) => [name, 0]));
	for (const pid of pollux.workerPids()) {
		const before = room.clients.map(({ current }) => current);
		// What is at this worker is looked at while it stands still.
		process.kill(pid, 'SIGSTOP');
		const connections = connectionsOf(pid);
		const doomed = before.filter(({ line }) => connections.has(line.connection));
		const touched = room.clients.filter(({ cutter }) =>
			cutter.live.some(({ server }) => connections.has(connectionOf(server))));
		process.kill(pid, 'SIGKILL');
		await pollux.logged(new RegExp(`worker \\d+ \\(${pid}\\) has ended with signal 9: another one takes its place`));

		await eventually(() => doomed.every(({ isOver }) => isOver), 'the end of what was there', LONG_MS)
			.catch((error) => assert.fail(`${error.message}: ${doomed.filter(({ isOver }) => !isOver).join('; ')}`));
		const marks = new Map(room.clients.map(({ current }) => [current, current.heard]));
		await eventually(() => room.clients.every((client) => isWell(client)
			&& client.current.heard >= (marks.get(client.current) ?? 0) + N_AFTER), 'everybody in conversation', LONG_MS);
		for (const conversation of before.filter(({ isOver }) => isOver)) {
			const { client, how } = conversation;
			const { acknowledges, lost } = client.constructor;
			assert.match(how, lost, client.name);
			assert.ok(doomed.includes(conversation) || (!acknowledges && touched.includes(client)),
				`${conversation} was not there`);
			nLost[client.name.replace(/\.\d+$/, '')]++;
		}
	}
	report(t, room);
	await settle(t, room);
	t.diagnostic(`lost: ${JSON.stringify(nLost)}`);
	assert.ok(Object.values(nLost).every((n) => n > 0), 'each kind has lost a session');
});
