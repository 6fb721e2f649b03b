// SockJS over WebSockets, frame by frame: the framed one and the raw one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSocket } from 'ws';

import { Received, heldBack } from './lib/bridge.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { OPEN_TO_ALL, newSession, sockStage } from './lib/sockjs.mjs';
import { event, within } from './lib/wait.mjs';

// A framed one that is open; 'o' has been read.
async function connect({ pollux, backend, sock }, id = newSession(), options = {}) {
	const client = new WebSocket(pollux.url(`${sock.base}/000/${id}/websocket`, { scheme: 'ws' }), options);
	client.received = new Received(client);
	client.closing = within(new Promise((done) => {
		client.on('close', (code, reason) => done({ code, reason: reason.toString() }));
	}), 'the close of the client');
	client.on('error', () => {});
	await event(client, 'open');
	assert.equal(await client.received.next(), 'o');
	return { client, socket: await backend.accept() };
}

test('messages both ways, bare strings too; empty frames and arrays are nothing', async (t) => {
	const stage = await sockStage(t);
	const { client, socket } = await connect(stage);
	for (const text of ['["a","b"]', '', '[]', '"c"', '["\\ud800","é"]'])
		client.send(text);
	assert.deepEqual(await socket.received.count(5), ['a', 'b', 'c', '\ufffd', 'é']);
	for (const text of ['1', '', '\u2028😀'])
		socket.send(text);
	assert.deepEqual((await client.received.count(4)).slice(1), ['a["1"]', 'a[""]', 'a["\\u2028\\ud83d\\ude00"]']);
	client.close();
	assert.equal((await stage.backend.closeOf(socket)).code, 1001);
});

test('each WebSocket is a session of its own, also by the same id', async (t) => {
	const stage = await sockStage(t);
	const id = newSession();
	const one = await connect(stage, id);
	const two = await connect(stage, id);
	one.socket.send('1');
	two.socket.send('2');
	assert.equal(await one.client.received.next(), 'a["1"]');
	assert.equal(await two.client.received.next(), 'a["2"]');
	await stage.sock.session(id).expectFrame('o');
	one.client.terminate();
	assert.equal((await stage.backend.closeOf(one.socket)).code, 1001);
	two.socket.send('still');
	assert.equal(await two.client.received.next(), 'a["still"]');
});

test('the backend\'s close comes as a frame behind its messages, then the WebSocket ends', async (t) => {
	const stage = await sockStage(t);
	for (const [end, frame] of [[(s) => s.close(3000, 'Go away!'), 'c[3000,"Go away!"]'], [(s) => s.close(), 'c[1000,"Normal closure"]'],
		[(s) => s.terminate(), 'c[1006,"Connection lost"]'], [(s) => s.send(Buffer.from([0])), 'c[1003,"Binary message"]']]) {
		const { client, socket } = await connect(stage);
		socket.send('last');
		end(socket);
		assert.equal(await client.received.next(), 'a["last"]');
		assert.equal(await client.received.next(), frame);
		assert.equal((await client.closing).code, 1000);
	}
});

test('what is no frame closes both ends', async (t) => {
	const stage = await sockStage(t);
	for (const [what, code] of [['["x', 3000], ['{}', 3000], ['[1]', 3000], ['1', 3000], ['x', 3000], [Buffer.from('["x"]'), 1003]]) {
		const { client, socket } = await connect(stage);
		client.send(what);
		assert.equal((await client.closing).code, code, String(what));
		assert.equal((await stage.backend.closeOf(socket)).code, 1001);
		assert.deepEqual(socket.received.all, []);
	}
});

test('the limit of a message', async (t) => {
	const stage = await sockStage(t, { route: { max_message_size: 100 } });
	const { client, socket } = await connect(stage);
	client.send(JSON.stringify(['x'.repeat(100)]));
	assert.equal(await socket.received.next(), 'x'.repeat(100));
	client.send(JSON.stringify(['x'.repeat(101)]));
	assert.equal((await client.closing).code, 1009);
});

test('refusals of the backend are those of the handshake', async (t) => {
	const server = await RawBackend.start(t);
	const { pollux } = await sockStage(t, { server });
	const client = new WebSocket(pollux.url(`/echo/0/${newSession()}/websocket`, { scheme: 'ws' }));
	const answer = event(client, 'unexpected-response');
	const conn = await server.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
	const [, response] = await answer;
	assert.equal(response.statusCode, 403);
	response.resume();
	client.on('error', () => {});
	client.terminate();
});

test('the answer to the handshake', async (t) => {
	const { sock, bridge } = await sockStage(t, { route: { sockjs_cookie: true, ...OPEN_TO_ALL } });
	const wire = await bridge.connect();
	wire.send(`GET ${sock.base}/0/${newSession()}/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n`
		+ 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nOrigin: http://x\r\n\r\n');
	const head = await wire.readHead();
	assert.match(head.line, / 101 /);
	assert.equal(head.get('Sec-WebSocket-Accept'), 'HSmrc0sMlYUkAGmm5OPpG2HaGWk=');
	assert.equal(head.get('Content-Length'), undefined);
	assert.equal(head.get('Connection').toLowerCase(), 'upgrade');
	assert.equal(head.get('Set-Cookie'), 'JSESSIONID=dummy; path=/');
	await wire.expect('\x81\x01o');
});

test('a backend that does not read holds the client back, and nothing is lost', async (t) => {
	const stage = await sockStage(t, { route: { max_message_size: '64k', queue: '64k', send_timeout: '1m' } });
	const { client, socket } = await connect(stage);
	socket.pause();
	const N = 6000;
	for (let n = 0; n < N; n++)
		client.send(JSON.stringify([`${n}:${'x'.repeat(10_000)}`]));
	let last = -1;
	await heldBack(client);
	socket.resume();
	for (const text of await socket.received.count(N))
		assert.equal(text.split(':')[0], String(++last));
});

test('a client that does not read holds the backend back, and nothing is lost', async (t) => {
	const stage = await sockStage(t, { route: { max_message_size: '64k', queue: '64k', heartbeat: '1m', send_timeout: '30s' } });
	const { client, socket } = await connect(stage);
	client.pause();
	const N = 6000;
	for (let n = 0; n < N; n++)
		socket.send(`${n}:${'x'.repeat(10_000)}`);
	await heldBack(socket);
	client.resume();
	const all = (await client.received.count(N + 1)).slice(1);
	all.forEach((frame, n) => assert.equal(frame.slice(3).split(':')[0], String(n)));
});

test('the raw one is a tunnel to the backend: path, query, subprotocol, bytes, close', async (t) => {
	const { pollux, backend } = await sockStage(t, { path: '/a/b', ws: { handleProtocols: (offered) => [...offered][0] } });
	const client = new WebSocket(pollux.url('/a/b/websocket?c=1&x=%20', { scheme: 'ws' }), ['p', 'q']);
	await event(client, 'open');
	const socket = await backend.accept();
	assert.equal(backend.requests[0].url, '/a/b?c=1&x=%20');
	assert.equal(client.protocol, 'p');
	client.send('not framed');
	assert.equal(await socket.received.next(), 'not framed');
	socket.send(Buffer.from([1, 2]));
	assert.deepEqual((await event(client, 'message'))[0], Buffer.from([1, 2]));
	const closing = event(client, 'close');
	socket.close(3000, 'Go away!');
	const [code, reason] = await closing;
	assert.equal(code, 3000);
	assert.equal(reason.toString(), 'Go away!');
});

test('the raw one of a route at / goes to /', async (t) => {
	const { pollux, backend } = await sockStage(t, { path: '/' });
	const client = new WebSocket(pollux.url('/websocket', { scheme: 'ws' }));
	await event(client, 'open');
	assert.equal(backend.requests[0].url, '/');
	client.close();
});

test('SIGTERM closes it with 1012', async (t) => {
	const stage = await sockStage(t);
	const { client, socket } = await connect(stage);
	stage.pollux.signal('SIGTERM');
	assert.equal((await client.closing).code, 1012);
	assert.equal((await stage.backend.closeOf(socket)).code, 1001);
});
