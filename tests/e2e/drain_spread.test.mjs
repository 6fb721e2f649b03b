// Leaving with many who stay on: their closes are spread over three quarters of `drain`, each works
// until its turn has come, and who was let in by the kernel is answered.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import test from 'node:test';
import { WebSocket } from 'ws';

import { WebSocketBackend } from './lib/backends.mjs';
import { Bridge, LINES, Received, requestText, startBackend } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { DualBackend, echo } from './lib/dual_backend.mjs';
import { Engine, OPEN } from './lib/engineio.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd } from './lib/scope.mjs';
import { RECEIVERS, Sock } from './lib/sockjs.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { assertTimely, timely } from './lib/timely.mjs';
import { event, eventually, pass, within } from './lib/wait.mjs';
import { OPCODE, closeFrame, handshake, readFrame, switching } from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const LEFT = { code: 0, signal: null };
const N = 24;
const DRAIN_MS = 6000;
const WINDOW_MS = 4500;
const GOING_AWAY = { code: 1001, reason: 'going away' };

/*
 * Times of closes since the signal: in each quarter of the window some, and never more than half of
 * them in one; none long behind its end. Each worker spreads its own.
 */
function assertSpread(what, times) {
	const said = `${what}: ${times.map(Math.round).sort((a, b) => a - b).join(' ')}`;
	const quarters = [0, 0, 0, 0];
	for (const time of times)
		quarters[Math.min(3, Math.floor(time / (WINDOW_MS / 4)))]++;
	assertTimely(quarters.every((n) => n > 0 && n <= times.length / 2), said);
	assertTimely(Math.max(...times) < WINDOW_MS + 600, said);
}

// A WebSocket of ws, open; `closing` is { code, reason, at } of its close.
async function openSocket(t, url, protocols = [], options = {}) {
	const socket = new WebSocket(url, protocols, options);
	socket.received = new Received(socket);
	socket.closing = new Promise((done) => {
		socket.on('close', (code, reason) => done({ code, reason: reason.toString(), at: Date.now() }));
	});
	socket.on('error', () => {});
	atEnd(t, () => socket.terminate());
	await event(socket, 'open');
	return socket;
}

function times(n, make) {
	return Promise.all(Array.from({ length: n }, (_, i) => make(i)));
}

// What speaks on as long as it is answered.
function talk(socket, say, answer) {
	socket.n = 0;
	const next = () => setTimeout(() => socket.readyState === WebSocket.OPEN && socket.send(say(socket.n)), 20);
	socket.on('message', (data) => {
		if (data.toString() !== answer(socket.n))
			return;
		socket.n++;
		socket.answeredAt = Date.now();
		next();
	});
	next();
}

// One of each kind that lasts, and those that do not: all at one Pollux.
async function crowd(t, program) {
	const app = await WebSocketBackend.start(t);
	const peers = await startBackend(t, {
		onSocket: (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })),
	});
	const engines = await startBackend(t, {
		onSocket: (socket) => socket.send(`0${JSON.stringify(OPEN)}`),
	});
	const pollux = await Pollux.start(t, {
		program: { log_level: 'debug', ...program },
		backends: { app: { servers: [app] }, peers: { servers: [peers] }, engines: { servers: [engines] } },
		route: [
			{ path: '/' },
			{ path: '/chat', backend: 'peers', bridge: ['plain'] },
			{ path: '/echo', backend: 'peers', bridge: ['sockjs'] },
			{ path: '/engine.io', backend: 'engines', bridge: ['engineio'] },
		],
	});
	const bridge = new Bridge(t, pollux, { path: '/chat' });
	const sock = new Sock({ bridge: new Bridge(t, pollux, { path: '/echo' }), backend: peers }, '/echo');
	return { app, peers, engines, pollux, bridge, sock, engine: new Engine(t, pollux) };
}

// When the stream has ended, cleanly.
async function ended(stream) {
	await stream.expectEnd();
	stream.close();
	return Date.now();
}

async function spread(t) {
	const { app, peers, engines, pollux, bridge, sock, engine } = await crowd(t, { drain: `${DRAIN_MS}ms` });
	const ws = (path) => pollux.url(path, { scheme: 'ws' });

	const tunnels = await times(N, () => openSocket(t, ws('/'), [], { perMessageDeflate: false }));
	for (const socket of tunnels)
		talk(socket, (n) => `say ${n}`, (n) => `say ${n}`);
	const plain = await times(N, () => openSocket(t, ws('/chat'), ['pollux.v1']));
	for (const socket of plain) {
		socket.nSaid = 0;
		socket.on('message', (data) => {
			const { text } = JSON.parse(data); // none in acknowledgements
			socket.heard = text ?? socket.heard;
		});
	}
	const framed = await times(N, (i) => openSocket(t, ws(`/echo/000/f${i}/websocket`)));
	for (const socket of framed)
		talk(socket, (n) => `["say ${n}"]`, (n) => `a["say ${n}"]`);
	const events = await times(N, () => bridge.openStream());
	const lines = await times(4, () => bridge.openStream(LINES));
	const sockStreams = await times(N, async () => {
		const receiver = await sock.session().receive();
		await receiver.expect(RECEIVERS.xhr_streaming.wrap('o'));
		return receiver;
	});
	const engineSockets = await times(N, () => engine.upgrade('EIO=4&transport=websocket'));
	for (const socket of engineSockets)
		assert.equal((await socket.next()).opcode, OPCODE.text);
	// And what waits for an answer.
	const held = await bridge.open();
	const poll = await held.startPoll({ wait: 20 });
	await held.post('held');
	const sockSession = sock.session();
	await sockSession.expectFrame('o');
	const sockPoll = await sockSession.startPoll();
	await sockSession.sends('held');
	const engineSession = await engine.open();
	const enginePoll = await engineSession.startPoll();
	await engineSession.post('4held');

	pollux.signal('SIGTERM');
	const began = Date.now();
	const since = (at) => at - began;
	const saying = setInterval(() => {
		for (const [i, socket] of plain.entries())
			if (socket.readyState === WebSocket.OPEN)
				socket.send(JSON.stringify({ n: ++socket.nSaid, text: `from ${i}` }));
	}, 200);
	atEnd(t, () => clearInterval(saying));
	assert.equal(JSON.parse((await poll.readResponse()).body).session, held.id);
	assert.equal((await sockPoll.readResponse()).status, 200);
	assert.equal((await enginePoll.readResponse()).body.toString(), '1');
	for (const wire of [poll, sockPoll, enginePoll])
		wire.close();
	assertTimely(since(Date.now()) < 1500, `polls are answered at once, not after ${since(Date.now())} ms`);

	const closings = async (sockets) => Promise.all(sockets.map((socket) => within(socket.closing, 'a close')));
	const engineCloses = Promise.all(engineSockets.map(async (socket) => {
		for (let got; (got = await socket.next()).opcode !== OPCODE.close;)
			assert.equal(got.opcode, OPCODE.text);
		socket.close(1001);
		const at = Date.now();
		await socket.wire.expectGone();
		socket.wire.close();
		return at;
	}));
	const [ofTunnels, ofPlain, ofFramed, ofEvents, ofLines, ofSock, ofEngine] = await Promise.all([
		closings(tunnels), closings(plain), closings(framed),
		Promise.all(events.map(({ stream }) => ended(stream))),
		Promise.all(lines.map(({ stream }) => ended(stream))),
		Promise.all(sockStreams.map(async (receiver) => {
			await receiver.expect(RECEIVERS.xhr_streaming.wrap('c[1001,"Going away"]'));
			await receiver.expectEnd();
			receiver.close();
			return Date.now();
		})),
		engineCloses,
	]);
	assert.deepEqual(await pollux.left(), LEFT);
	const took = since(Date.now());
	assertTimely(took < DRAIN_MS - 200, `left after ${took} ms`);

	for (const { code, reason } of ofTunnels)
		assert.deepEqual({ code, reason }, GOING_AWAY);
	for (const { code, reason } of [...ofPlain, ...ofFramed])
		assert.deepEqual({ code, reason }, { code: 1012, reason: 'leaving' });
	for (const [what, at] of Object.entries({
		tunnels: ofTunnels.map((one) => one.at),
		'pollux.v1': ofPlain.map((one) => one.at),
		'SockJS websocket': ofFramed.map((one) => one.at),
		'event streams': ofEvents,
		xhr_streaming: ofSock,
		'Engine.IO': ofEngine,
	}))
		assertSpread(what, at.map(since));
	assert.equal(ofLines.length, 4);

	// Answered to the end of its time.
	for (const [sockets, closes] of [[tunnels, ofTunnels], [framed, ofFramed]])
		for (const [i, socket] of sockets.entries())
			assertTimely(closes[i].at - socket.answeredAt < 1000, `silent for ${closes[i].at - socket.answeredAt} ms`);
	for (const [i, socket] of plain.entries())
		if (since(ofPlain[i].at) > 1000)
			assertTimely(socket.heard === `from ${i}`, `${i} has heard ${socket.heard}`);
	for (const peer of app.sockets)
		assert.deepEqual(await app.closeOf(peer), GOING_AWAY);
	for (const backend of [peers, engines])
		for (const peer of backend.sockets)
			assert.equal((await backend.closeOf(peer)).code, 1001);
}

test('closes of all kinds are spread, and each goes on until its own', (t) => timely(t, spread));

// One connection of HTTP/2.

async function h2Stage(t, { isTls, ...program }) {
	const certificate = isTls && new Authority(t).issue(['127.0.0.1']);
	const backend = await DualBackend.start(t, { protocol: 'http/1.1', onWebSocket: echo });
	const peers = await startBackend(t);
	const pollux = await Pollux.start(t, {
		program,
		backends: { app: { servers: [backend] }, peers: { servers: [peers] } },
		listen: isTls ? { certificates: [certificate.pem] } : { h2c: true },
		route: [{ path: '/' }, { path: '/chat', backend: 'peers', bridge: ['plain'] }],
	});
	const client = await H2Client.connect(t, pollux.where(), isTls ? { tls: { rejectUnauthorized: false } } : {});
	return { backend, peers, pollux, client };
}

async function inTheirTurn(t, isTls) {
	const { pollux, client, backend } = await h2Stage(t, { isTls, drain: '4s' });
	const ends = await times(8, (i) => client.webSocket(`/${i}`));
	let open = ends.length;

	await pollux.drain();
	const began = Date.now();
	const at = await Promise.all(ends.map(async (end) => {
		assert.deepEqual(await end.closing(), GOING_AWAY);
		const time = Date.now() - began;
		open--;
		if (open > 0) {
			assert.equal(client.goaways.length, 0, `GOAWAY with ${open} WebSockets`);
			assert.equal((await client.get('/meanwhile')).status, 200);
			const refused = await client.webSocket('/late').then(() => undefined, (error) => error.response);
			assert.equal(refused?.status, 503);
			assert.equal(refused.headers['retry-after'], '1');
			const other = ends.find(({ closed }) => closed === undefined);
			if (other !== undefined) {
				other.send(`still ${open}`);
				await other.until(() => other.closed !== undefined
					|| other.received.includes(`still ${open}`) || other.received.length > 0, 'an echo');
			}
		}
		return time;
	}));
	assertTimely(Math.max(...at) - Math.min(...at) > 1800, at.join(' '));
	assertTimely(Math.max(...at) < 3000 + 600, at.join(' '));
	assert.equal((await client.goaway()).code, 0);
	assert.deepEqual(await pollux.left(), LEFT);
	assertTimely(Date.now() - began < 5000, `${Date.now() - began} ms`);
	for (const end of backend.webSockets)
		assert.deepEqual(end.closed, GOING_AWAY);
}

async function goawayWaitsForBridge(t) {
	const { pollux, client } = await h2Stage(t, { drain: '4s' });
	const ends = await times(4, () => client.webSocket('/chat', { protocols: ['pollux.v1'] }));
	let open = ends.length;

	for (const end of ends)
		await end.next();
	pollux.signal('SIGTERM');
	await Promise.all(ends.map(async (end) => {
		assert.deepEqual(await end.closing(), { code: 1012, reason: 'leaving' });
		if (--open > 0)
			assert.equal(client.goaways.length, 0, `GOAWAY with ${open} WebSockets`);
	}));
	assert.equal((await client.goaway()).code, 0);
	assert.deepEqual(await pollux.left(), LEFT);
}

// They take their time, so they take it together.
test('over HTTP/2', { concurrency: true }, (t) => Promise.all([
	...[false, true].map((isTls) =>
		t.test(`each WebSocket in its turn, GOAWAY after the last (${isTls ? 'TLS' : 'plain'})`,
			(t_) => timely(t_, (t__) => inTheirTurn(t__, isTls)))),
	t.test('GOAWAY waits for WebSockets of the bridge, too', goawayWaitsForBridge),
]));

// By hand.

async function allAtOnce(t) {
	const { app, pollux, bridge } = await crowd(t, { drain: '60s' });
	const sockets = await times(N, () => openSocket(t, pollux.url('/', { scheme: 'ws' })));
	const events = await times(N, () => bridge.openStream());

	pollux.signal('SIGINT');
	const began = Date.now();
	for (const socket of sockets) {
		const { code, reason } = await within(socket.closing, 'a close');
		assert.deepEqual({ code, reason }, GOING_AWAY);
	}
	for (const { stream } of events)
		await ended(stream);
	for (const peer of app.sockets)
		assert.deepEqual(await app.closeOf(peer), GOING_AWAY);
	assert.deepEqual(await pollux.left(), LEFT);
	assertTimely(Date.now() - began < 2000, `${Date.now() - began} ms`);
}

test('SIGINT: all at once', (t) => timely(t, allAtOnce));

for (const workers of [1, 2]) {
	test(`Ctrl-C reaches the whole process group: orderly closes (workers: ${workers})`, async (t) => {
		const app = await WebSocketBackend.start(t);
		// A session of its own has a process group of its own.
		const pollux = await Pollux.start(t, {
			program: { drain: '60s', workers }, backend: app, wrapper: ['setsid'],
		});
		const sockets = await times(N, () => openSocket(t, pollux.url('/', { scheme: 'ws' })));

		process.kill(-pollux.pid, 'SIGINT');
		for (const socket of sockets) {
			const { code, reason } = await within(socket.closing, 'a close');
			assert.deepEqual({ code, reason }, GOING_AWAY);
		}
		for (const peer of app.sockets)
			assert.deepEqual(await app.closeOf(peer), GOING_AWAY);
		assert.deepEqual(await pollux.left(), LEFT);
		assert.ok(!pollux.log.has(/cutting/));
	});
}

// Who stands at the door.

// The signal waits for the process to go on.
function hasPending(pid, number) {
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	const mask = ['SigPnd', 'ShdPnd'].map((name) =>
		BigInt(`0x${new RegExp(`^${name}:\\s+([0-9a-f]+)$`, 'm').exec(status)[1]}`));
	return ((mask[0] | mask[1]) >> BigInt(number - 1) & 1n) === 1n;
}

function isStopped(pid) {
	return /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
}

// The status of a GET that goes out with the preface.
async function ask2(t, url) {
	const session = http2.connect(url, { rejectUnauthorized: false });
	atEnd(t, () => session.destroy());
	session.on('error', () => {});
	const stream = session.request({ ':path': new URL(url).pathname });
	const headers = await event(stream, 'response');
	stream.resume();
	await event(stream, 'end');
	session.destroy();
	return headers[0][':status'];
}

async function atTheDoor(t, workers) {
	const certificate = new Authority(t).issue(['127.0.0.1']);
	const { backend, pollux } = await stage(t, {
		program: { drain: '20s', workers },
		listen: [{ h2c: true }, { certificates: [certificate.pem] }],
		route: { forwarded: 'off' },
	});
	backend.serve((request) => (request.get('Upgrade') === undefined ? ok() : switching()));
	const pids = workers === 1 ? [pollux.pid] : pollux.workerPids();
	const stay = await connect(t, pollux);
	stay.send(handshake());
	assert.equal((await stay.readResponse()).status, 101);

	for (const pid of pids)
		process.kill(pid, 'SIGSTOP');
	atEnd(t, () => pids.forEach((pid) => {
		try {
			process.kill(pid, 'SIGCONT');
		} catch {} // it has left
	}));
	await eventually(() => pids.every(isStopped), 'workers that stand still');
	const waiting = await times(40, () => connect(t, pollux));
	for (const [i, wire] of waiting.entries())
		wire.send(i % 4 === 3 ? handshake({ target: `/ws${i}` }) : get(`/${i}`));
	const silent = await times(4, () => connect(t, pollux));
	const over2 = [
		ask2(t, pollux.url('/h2c')),
		ask2(t, pollux.url('/h2', { scheme: 'https', index: 1 })),
	];
	const overTls = Wire.connect(t, pollux.where(1), { tls: {} }).then((wire) => {
		wire.send(get('/tls'));
		return wire;
	});
	await pass(50); // their first bytes are with the kernel
	pollux.signal('SIGTERM');
	await eventually(() => pids.every((pid) => hasPending(pid, 15)), 'a signal to all');
	for (const pid of pids)
		process.kill(pid, 'SIGCONT');

	// Who says late what it wants: after the others, and within the second that is left for it.
	await waiting[0].until(() => waiting[0].peek().length > 0, 'a first answer');
	for (const wire of silent.slice(0, 2))
		wire.send(get('/late'));
	for (const [i, wire] of waiting.entries()) {
		const response = await wire.readResponse();
		assert.equal(response.status, i % 4 === 3 ? 503 : 200);
		assert.equal(response.get('Connection'), 'close');
		if (i % 4 === 3)
			assert.equal(response.get('Retry-After'), '1');
		await wire.expectEnd();
		wire.close();
	}
	for (const wire of silent.slice(0, 2)) {
		assert.equal((await wire.readResponse()).status, 200);
		wire.close();
	}
	assert.deepEqual(await Promise.all(over2), [200, 200]);
	const tls = await overTls;
	assert.equal((await tls.readResponse()).status, 200);
	tls.close();
	// Who says nothing.
	for (const wire of silent.slice(2)) {
		await wire.expectEnd();
		wire.close();
	}
	for (let i = 0; i < 20; i++)
		await assert.rejects(connect(t, pollux), { code: 'ECONNREFUSED' });
	const close = await readFrame(stay);
	assert.equal(close.code, 1001);
	stay.send(closeFrame(1001, '', { mask: true }));
	await stay.expectEnd();
	stay.close();
	assert.deepEqual(await pollux.left(), LEFT);
}

test('who waits in the kernel\'s queue is answered, who comes later is refused', { concurrency: true }, (t) =>
	Promise.all([1, 2].map((workers) =>
		t.test(`workers: ${workers}`, (t_) => atTheDoor(t_, workers)))));

// Requests of the bridge while its streams still wait for their turn.
test('what a session sends while its stream goes on arrives', async (t) => {
	const { pollux, bridge, peers } = await crowd(t, { drain: '2s' });
	const sessions = await times(6, () => bridge.openStream());
	const wires = [];
	for (const { session } of sessions) {
		const wire = await bridge.connect();
		wire.send(requestText('POST', session.url, {
			fields: { 'Content-Type': 'text/plain', 'Content-Length': 4 },
		}));
		wires.push(wire);
	}
	await bridge.ask('GET', '/chat/nothing');
	await pollux.drain();
	let n = 0;
	for (const [i, wire] of wires.entries()) {
		wire.send(`up ${i}`);
		n += (await wire.readResponse()).status === 204 ? 1 : 0;
		wire.close();
	}
	// The first has had its turn at once, in each worker.
	assert.ok(n >= 2, `${n} of 6`);
	await eventually(() => peers.sockets.reduce((sum, { received }) => sum + received.all.length, 0) === n,
		'messages at the backend');
	for (const { stream } of sessions)
		await stream.rest().then(() => stream.close());
	assert.deepEqual(await pollux.left(), LEFT);
});
