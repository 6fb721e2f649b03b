// What clients and apps see when Pollux is told to leave in the middle of their work: Node's agents,
// EventSource and ws, over plain TCP and TLS, and sessions of the bridge; and logs that are renamed
// under way.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import test from 'node:test';

import EventSource from 'eventsource';
import { WebSocket } from 'ws';

import { App, HELLO } from './lib/app.mjs';
import { bridgeStage, openedSession, requestText } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { atEnd, temporaryFolder } from './lib/scope.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { Tap } from './lib/tap.mjs';
import { event, eventually, within } from './lib/wait.mjs';
import { OPCODE, acceptOf, frame, handshake, readFrame, switching }
	from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const LEFT = { code: 0, signal: null };
const LONG = { drain: '60s' };
const SIDES = [['plain', false], ['TLS', true]];

// The app behind Pollux: what clients need is `url`, `wsUrl`, and the options of an agent.
async function start(t, { isTls = false, program = LONG, ...options } = {}) {
	const authority = isTls ? new Authority(t) : undefined;
	const inner = authority?.issue(['127.0.0.1']);
	const app = await App.start(t, {
		tls: isTls ? { cert: inner.certText, key: inner.keyText } : undefined,
	});
	const pollux = await Pollux.start(t, {
		program,
		backend: isTls ? { servers: [app], tls: true, tls_ca: authority.file } : app,
		listen: isTls ? { certificates: [authority.issue(['127.0.0.1']).pem] } : {},
		...options,
	});
	return {
		app,
		pollux,
		trust: isTls ? { ca: authority.certificate } : {},
		client: isTls ? https : http,
		url: (path) => pollux.url(path, { scheme: isTls ? 'https' : 'http' }),
		wsUrl: (path) => pollux.url(path, { scheme: isTls ? 'wss' : 'ws' }),
	};
}

function agentOf(t, { client, trust }, options = {}) {
	const agent = new client.Agent({ keepAlive: true, ...trust, ...options });
	atEnd(t, () => agent.destroy());
	return agent;
}

// { status, headers, body }; `onSent` gets the request before its answer is waited for.
async function ask({ client, url }, agent, path, onSent = () => {}) {
	const sent = client.request(url(path), { agent });
	onSent(sent);
	const answer = event(sent, 'response', `the response to ${path}`);
	sent.end();
	const response = await answer;
	response.setEncoding('utf8');
	let body = '';
	for await (const text of response)
		body += text;
	return { status: response.statusCode, headers: response.headers, body };
}

async function openWebSocket(t, { wsUrl, trust }, options = {}) {
	const socket = new WebSocket(wsUrl('/ws'), { ...trust, ...options });
	atEnd(t, () => socket.terminate());
	socket.on('error', () => {}); // its close follows
	socket.closing = new Promise((done) => {
		socket.on('close', (code, reason) => done({ code, reason: reason.toString() }));
	});
	await event(socket, 'open');
	return socket;
}

function closeOf(socket) {
	return within(socket.closing, 'the close of a WebSocket');
}

// The connection of a raw backend after the handshake of a bridge session that `opening` opens.
async function acceptSession(server) {
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	return conn;
}

// Ordinary requests.

for (const [side, isTls] of SIDES) {
	test(`requests under way are answered, and then the connections end (${side})`, async (t) => {
		const stage = await start(t, { isTls });
		const agent = agentOf(t, stage);
		const N = 20;

		const answers = Array.from({ length: N }, () => ask(stage, agent, '/held'));
		for (let n = 0; n < N; n++)
			await stage.app.hold();
		await stage.pollux.drain();
		await eventually(() => Wire.connect(t, stage.pollux.where()).then(
			(wire) => wire.close(),
			(error) => error.code === 'ECONNREFUSED',
		), 'no listener any more');
		for (const response of stage.app.held)
			response.send('worth waiting for');
		for (const answer of await Promise.all(answers)) {
			assert.equal(answer.status, 200);
			assert.equal(answer.body, 'worth waiting for');
			assert.equal(answer.headers.connection, 'close');
		}
		assert.deepEqual(await stage.pollux.left(), LEFT);
		await eventually(() => Object.keys(agent.freeSockets).length === 0, 'no socket is kept');
	});

	test(`in the middle of traffic, all that reached the app is answered (${side})`, async (t) => {
		const stage = await start(t, { isTls });
		const agent = agentOf(t, stage);
		let answered = 0;

		const one = async () => {
			for (;;) {
				const { status, body } = await ask(stage, agent, '/hello');
				assert.equal(status, 200);
				assert.equal(body, HELLO);
				answered++;
			}
		};
		const clients = Array.from({ length: 10 }, () => one().catch((error) => error));
		await stage.app.until(() => stage.app.requests.length >= 300, 'traffic');
		await stage.pollux.drain();
		for (const error of await Promise.all(clients)) {
			// Refused; or closed while idle, just as the client asked for more.
			assert.match(error.code ?? error.message, /^(ECONNREFUSED|ECONNRESET|EPIPE)$/);
		}
		assert.deepEqual(await stage.pollux.left(), LEFT);
		assert.equal(stage.app.requests.length, answered);
	});
}

test('an idle connection over TLS is closed with close_notify', async (t) => {
	const stage = await start(t, { isTls: true });
	const tap = await Tap.start(t, stage.pollux.where());
	const client = await Wire.connect(t, tap.where, {
		tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' },
	});
	const conn = await tap.accept();

	client.send(get('/hello'));
	await client.readResponse();
	await stage.pollux.drain();
	await client.expectEnd();
	assert.equal(conn.toClient.records.types.at(-1), 'alert');
	client.end();
	assert.deepEqual(await stage.pollux.left(), LEFT);
});

test('a log that is renamed under way gets each request once, before or after', async (t) => {
	const file = join(temporaryFolder(t), 'access.log');
	const stage = await start(t, { program: { ...LONG, access_log: file } });
	const agent = agentOf(t, stage);
	const [CLIENTS, RENAMES] = [5, 3];
	const targets = (name) => readFileSync(name, 'latin1').trim().split('\n')
		.filter((line) => line !== '')
		.map((line) => JSON.parse(line).target);
	const answered = [];
	let isOver = false;

	const traffic = Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
		for (let n = 0; !isOver; n++) {
			const target = `/echo/${client}-${n}`;
			await ask(stage, agent, target);
			answered.push(target);
		}
	}));
	// More than are under way at a time: some of them begin and end while the file has its name.
	const someTraffic = () => {
		const wanted = answered.length + 10 * CLIENTS;
		return eventually(() => answered.length >= wanted, 'traffic');
	};
	await someTraffic();
	for (let n = 1; n <= RENAMES; n++) {
		renameSync(file, `${file}.${n}`);
		stage.pollux.signal('SIGUSR1');
		await eventually(() => existsSync(file), 'the new file');
		await someTraffic();
	}
	isOver = true;
	await traffic;
	const held = ask(stage, agent, '/held');
	const response = await stage.app.hold();
	await stage.pollux.drain();
	renameSync(file, `${file}.${RENAMES + 1}`);
	stage.pollux.signal('SIGUSR1');
	await eventually(() => existsSync(file), 'a new file during the drain');
	response.send('the last one');
	await held;
	assert.deepEqual(await stage.pollux.left(), LEFT);
	const last = targets(file);
	const parts = Array.from({ length: RENAMES + 1 }, (_, n) => targets(`${file}.${n + 1}`));
	assert.ok(parts.every((part) => part.length > 0));
	assert.deepEqual([...parts.flat(), ...last].sort(), [...answered, '/held'].sort());
	// Of several processes the first to hear of it makes the file, and another one may have been asked.
	if (Number(process.env.POLLUX_WORKERS ?? 1) === 1)
		assert.deepEqual(last, ['/held']);
});

// WebSockets.

for (const [side, isTls] of SIDES) {
	test(`WebSockets in the middle of their talk get 1001, their peers too (${side})`, async (t) => {
		const stage = await start(t, { isTls, program: { drain: '2s' } });
		const N = 30;
		const sockets = await Promise.all(Array.from({ length: N }, (_, n) =>
			openWebSocket(t, stage, { perMessageDeflate: n % 2 === 0 })));

		// Each speaks on as long as it is answered: what comes back is whole and in order.
		for (const [id, socket] of sockets.entries()) {
			let n = 0;
			const say = () => socket.send(`${id}: ${n} ${'.'.repeat(n % 2000)}`);
			socket.on('message', (data) => {
				assert.equal(data.toString(), `${id}: ${n} ${'.'.repeat(n % 2000)}`);
				n++;
				if (socket.readyState === WebSocket.OPEN)
					say();
			});
			say();
		}
		await Promise.all(sockets.map((socket) => event(socket, 'message')));
		await stage.pollux.drain();
		for (const socket of sockets)
			assert.deepEqual(await closeOf(socket), { code: 1001, reason: 'going away' });
		for (const peer of stage.app.webSockets)
			assert.deepEqual(await stage.app.closeOf(peer), { code: 1001, reason: 'going away' });
		assert.deepEqual(await stage.pollux.left(), LEFT);
		assert.equal(stage.app.webSockets.length, N);
	});
}

test('a message in fragments is no reason to wait: the Close comes between them', async (t) => {
	const stage = await start(t);
	const socket = await openWebSocket(t, stage, { perMessageDeflate: false });
	const peer = await stage.app.accept();

	socket.send('one', { fin: false });
	const pong = event(socket, 'pong');
	socket.ping();
	await pong; // what was sent before it has arrived
	await stage.pollux.drain();
	assert.equal((await closeOf(socket)).code, 1001);
	assert.equal((await stage.app.closeOf(peer)).code, 1001);
	assert.deepEqual(await stage.pollux.left(), LEFT);
});

test('a WebSocket whose 101 comes during the drain gets 1001 at once', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: LONG });

	client.send(handshake());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	conn.send(switching(), frame({ payload: 'welcome' }));
	assert.equal((await client.readResponse()).status, 101);
	for (const wire of [client, conn]) {
		const close = await readFrame(wire);
		assert.equal(close.opcode, OPCODE.close);
		assert.equal(close.code, 1001);
	}
	client.close();
	conn.close();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('a frame that is never finished is cut when the drain is over, and the log says so', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '200ms' } });
	const down = frame({ payload: 'x'.repeat(1000) });

	client.send(handshake({ target: '/stuck' }));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching(), down.subarray(0, 400));
	await client.readResponse();
	await client.expect(down.subarray(0, 400));
	await pollux.drain();
	assert.equal((await readFrame(conn)).code, 1001, 'nothing is under way in this direction');
	assert.deepEqual(await pollux.left(), LEFT);
	assert.equal(client.peek().length, 0, 'no Close within a frame');
	await client.expectGone();
	await pollux.logged(/cutting 1 connections/);
	const entry = await pollux.accessed({ target: '/stuck' });
	assert.equal(entry.status, 101);
	assert.equal(entry.reason, 'drain');
});

test('a WebSocket in the pipeline behind a response under way gets 503 and Retry-After', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: LONG });

	client.send(get('/slow'), handshake({ target: '/ws' }));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
	await client.readUntil('half');
	await pollux.drain();
	conn.send('rest');
	await client.expect('rest');
	const refusal = await client.readResponse();
	assert.equal(refusal.status, 503);
	assert.equal(refusal.get('Retry-After'), '1');
	assert.equal(refusal.get('Connection'), 'close');
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
	assert.ok(!backend.heard.includes('/ws'));
});

// Sessions of the bridge.

test('EventSource sees an end, no close event, and would come back', async (t) => {
	const { backend, pollux } = await bridgeStage(t, { program: LONG });
	const source = new EventSource(pollux.url('/chat'));
	atEnd(t, () => source.close());
	const seen = [];
	for (const name of ['session', 'message', 'close', 'reset'])
		source.addEventListener(name, () => seen.push(name));

	await event(source, 'session');
	const socket = await backend.accept();
	const message = event(source, 'message');
	socket.send('hello');
	const { lastEventId } = await message;
	assert.match(lastEventId, /\.1$/);
	const failure = new Promise((done) => source.addEventListener('error', done));
	pollux.signal('SIGTERM');
	await within(failure, 'the end of the stream');
	assert.equal(source.readyState, EventSource.CONNECTING);
	assert.deepEqual(seen, ['session', 'message']);
	assert.deepEqual(await backend.closeOf(socket), { code: 1001, reason: '' });
	assert.deepEqual(await pollux.left(), LEFT);
});

test('many sessions, each in another state: polls are answered, backends get 1001', async (t) => {
	const { backend, pollux, bridge } = await bridgeStage(t, { program: { drain: '2s' } });
	const node = { client: http, trust: {}, url: (path) => pollux.url(path) };
	const agent = agentOf(t, node);
	const N = 10;

	const sessions = await Promise.all(Array.from({ length: 2 * N }, () => bridge.open()));
	const sent = [];
	const polls = sessions.slice(0, N).map((session) =>
		ask(node, agent, `${session.url}?wait=25`,
			(request) => sent.push(event(request, 'finish'))));
	await Promise.all(sent);
	// A post of each session after its poll: by then the poll is held.
	await Promise.all(sessions.map((session) => session.post('present')));
	for (const socket of backend.sockets)
		assert.equal(await socket.received.next(), 'present');
	const streams = await Promise.all(Array.from({ length: N }, () => bridge.openStream()));
	await pollux.drain();
	for (const [n, poll] of polls.entries()) {
		const { status, body } = await poll;
		assert.equal(status, 200);
		const json = JSON.parse(body);
		assert.deepEqual(json.messages, []);
		assert.equal(json.closed, undefined, 'the session was not closed by the backend');
		assert.equal(json.session, sessions[n].id);
	}
	for (const { stream } of streams) {
		await stream.expectEnd();
		stream.close();
	}
	for (const socket of backend.sockets)
		assert.deepEqual(await backend.closeOf(socket), { code: 1001, reason: '' });
	assert.deepEqual(await pollux.left(), LEFT);
	assert.equal(backend.sockets.length, 3 * N);
});

test('a session whose backend says nothing more is given up when the drain is over', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge, pollux } = await bridgeStage(t, { server, program: { drain: '200ms' } });
	const opening = bridge.open();
	const conn = await acceptSession(server);
	await opening;

	await pollux.drain();
	const close = await readFrame(conn);
	assert.equal(close.opcode, OPCODE.close);
	assert.equal(close.code, 1001);
	assert.deepEqual(await pollux.left(), LEFT);
	await conn.expectGone();
});

test('requests of the bridge that have begun are told that it is over', async (t) => {
	const { session, backend, bridge, pollux } = await openedSession(t, { program: LONG });
	const requests = {
		opening: requestText('POST', '/chat'),
		stream: requestText('GET', '/chat', { fields: { Accept: 'text/event-stream' } }),
		poll: requestText('GET', `${session.url}?after=0`),
		comeback: requestText('GET', '/chat', {
			fields: { Accept: 'text/event-stream', 'Last-Event-ID': `${session.id}.0` },
		}),
	};
	const wires = {};

	for (const [name, text] of Object.entries(requests)) {
		wires[name] = await bridge.connect();
		wires[name].send(text.slice(0, 20));
	}
	const posting = await bridge.connect();
	const post = requestText('POST', session.url, {
		fields: { 'Content-Type': 'text/plain', 'Content-Length': 8 },
	});
	posting.send(`${post}half`);
	await session.post('by now all of these have been read');
	await pollux.drain();
	for (const [name, text] of Object.entries(requests))
		wires[name].send(text.slice(20));
	posting.send('rest');
	const answers = {};
	for (const [name, wire] of Object.entries({ ...wires, posting })) {
		const response = await wire.readResponse();
		answers[name] = [response.status, response.get('Retry-After'), response.body.toString()];
		assert.equal(response.get('Connection'), 'close', name);
		await wire.expectEnd();
		wire.end();
	}
	assert.deepEqual(answers, {
		opening: [503, '1', '{"error":"leaving"}\n'],
		stream: [503, '1', '{"error":"leaving"}\n'],
		poll: [404, undefined, '{"error":"unknown session"}\n'],
		comeback: [200, undefined, 'retry: 5000\n\n'],
		posting: [404, undefined, '{"error":"unknown session"}\n'],
	});
	assert.deepEqual(await pollux.left(), LEFT);
	assert.equal(backend.sockets.length, 1);
});

// Cutting.

test('a second SIGTERM cuts whatever there is', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge, pollux } = await bridgeStage(t, {
		server,
		program: LONG,
		route: { path: '/' },
	});
	const opening = bridge.openStream();
	const session = await acceptSession(server);
	const { stream } = await opening;
	const tunnel = await bridge.connect();
	tunnel.send(handshake({ target: '/chat' }));
	const tunnelConn = await acceptSession(server);
	await tunnel.readResponse();
	const uploading = await bridge.connect();
	uploading.send('PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf');
	const upload = await server.accept();
	await upload.readUntil('half');

	await pollux.drain('SIGINT'); // closes at once
	await stream.expectEnd();
	assert.equal((await readFrame(session)).code, 1001);
	assert.equal((await readFrame(tunnel)).code, 1001);
	assert.equal((await readFrame(tunnelConn)).code, 1001);
	pollux.signal('SIGTERM');
	assert.deepEqual(await pollux.left(), LEFT);
	await pollux.logged(/cutting [12] connections/); // 1 where each is of another worker
	for (const wire of [tunnel, uploading, session, tunnelConn, upload])
		await wire.expectGone();
	assert.equal((await pollux.accessed({ method: 'PUT' })).reason, 'drain');
});

test('a drain whose time is up cuts what is under way and leaves with 0', async (t) => {
	const stage = await start(t, { program: { drain: '200ms' } });
	const agent = agentOf(t, stage);

	const failing = assert.rejects(ask(stage, agent, '/held'), { code: 'ECONNRESET' });
	const held = await stage.app.hold();
	const gone = event(held, 'close', 'the end of the request at the app');
	stage.pollux.signal('SIGTERM');
	await failing;
	await gone;
	assert.deepEqual(await stage.pollux.left(), LEFT);
	await stage.pollux.logged(/draining: 1 connections/);
	await stage.pollux.logged(/cutting 1 connections/);
	assert.equal((await stage.pollux.accessed({ target: '/held' })).reason, 'drain');
});

test('the exchange that finishes last is not cut, and Pollux does not wait for the time', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: LONG });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	const began = Date.now();
	conn.send(ok());
	assert.equal((await client.readResponse()).status, 200);
	client.close();
	assert.deepEqual(await pollux.left(), LEFT);
	assert.ok(Date.now() - began < 10_000);
	assert.ok(!pollux.log.has(/cutting/));
});
