// pollux.js in Node: the WebSocket API over each transport, and when transports are blocked.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { BlockingProxy } from './lib/blocking_proxy.mjs';
import { bridgeStage, startBackend } from './lib/bridge.mjs';
import { PolluxSocket, TRANSPORTS, Talker } from './lib/pollux_js.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { event, eventually, within } from './lib/wait.mjs';

const TESTS = fileURLToPath(new URL('..', import.meta.url));

async function stage(t, options = {}) {
	const { backend, pollux } = await bridgeStage(t, options);
	return {
		backend,
		pollux,
		url: pollux.url('/chat'),
		connect: (more) => new Talker(t, pollux.url('/chat'), more),
	};
}

test('pollux.js is served, small, and can be asked for again', async (t) => {
	const { pollux } = await stage(t, { route: { client_script: '/chat/pollux.js' } });
	const url = pollux.url('/chat/pollux.js');
	const response = await fetch(url);
	const text = await response.text();
	assert.equal(response.status, 200);
	assert.equal(response.headers.get('Content-Type'), 'text/javascript; charset=utf-8');
	assert.ok(gzipSync(text).length < 6000, `${gzipSync(text).length} bytes`);
	assert.equal((await fetch(url, { headers: { 'If-None-Match': response.headers.get('ETag') } })).status,
		304);
	const head = await fetch(url, { method: 'HEAD' });
	assert.equal(Number(head.headers.get('Content-Length')), Buffer.byteLength(text));

	// What is served is what runs.
	const module = {};
	new Function('module', text)(module);
	assert.equal(module.exports.name, 'PolluxSocket');
});

// A program with a socket, to which something is sent down, comes to its end.
async function endOfProgram(t, url, options, backend, script) {
	const child = spawn(process.execPath, ['-e', `
		const { WebSocket } = require('ws');
		const PolluxSocket = require('../bridge/client/pollux.js');
		const [, url, options] = process.argv;
		const socket = new PolluxSocket(url, undefined, { WebSocket, ...JSON.parse(options) });
		${script}
	`, url, JSON.stringify(options)], { cwd: TESTS, stdio: 'inherit' });
	const exit = event(child, 'exit');
	atEnd(t, () => child.kill());
	(await backend.accept()).send('down');
	assert.deepEqual(await within(exit, 'the end of the program', 8000), [0, null]);
}

for (const transport of TRANSPORTS) {
	const test_ = (what, run) => test(`${transport}: ${what}`, (t) =>
		run(t, (options = {}) => stage(t, options), { transports: [transport] }));

	test_('texts and bytes go both ways', async (t, start, options) => {
		const { backend, connect, url } = await start();
		const talker = connect(options);
		assert.equal(talker.socket.readyState, PolluxSocket.CONNECTING);
		assert.equal(talker.socket.url, url.replace('http', 'ws'));
		assert.throws(() => talker.socket.send('early'), { name: 'InvalidStateError' });
		const socket = await backend.accept();
		await talker.opened();
		assert.equal(talker.socket.readyState, PolluxSocket.OPEN);

		const texts = ['', 'a', 'two\r\nlines\r', '"\\ \u0000 \u2028 € 𝄞'];
		for (const text of texts) {
			talker.socket.send(text);
			socket.send(text);
		}
		const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
		socket.send(bytes);
		talker.socket.send(new Blob([bytes]));
		talker.socket.send(new Uint8Array(bytes).buffer);
		talker.socket.send(new DataView(new Uint8Array(bytes).buffer, 1, 3));
		assert.ok(talker.socket.bufferedAmount > 0);

		assert.deepEqual(await talker.count(5), [...texts, bytes]);
		assert.deepEqual(await socket.received.count(7),
			[...texts, bytes, bytes, Buffer.from([1, 2, 3])]);
		await talker.acknowledged();
		assert.equal(talker.socket.transport, transport);
	});

	test_('blobs come as blobs', async (t, start, options) => {
		const { backend, connect } = await start();
		const talker = connect(options);
		talker.socket.binaryType = 'blob';
		(await backend.accept()).send(Buffer.from('abc'));
		const [blob] = await talker.count(1);
		assert.ok(blob instanceof Blob);
		assert.equal(await blob.text(), 'abc');
	});

	test_('the backend closes', async (t, start, options) => {
		const { backend, connect } = await start();
		const talker = connect(options);
		const socket = await backend.accept();
		await talker.opened();
		socket.send('last');
		socket.close(4001, 'that is all');
		assert.deepEqual(await talker.end(), { code: 4001, reason: 'that is all', wasClean: true });
		assert.deepEqual(talker.received, ['last']);
		assert.equal(talker.socket.readyState, PolluxSocket.CLOSED);
		assert.deepEqual(talker.events, ['open', 'close']);
	});

	test_('the client closes, after what it sent', async (t, start, options) => {
		const { backend, connect } = await start();
		const talker = connect(options);
		const socket = await backend.accept();
		await talker.opened();
		const closed = event(socket, 'close');
		for (let n = 0; n < 20; n++)
			talker.socket.send(`message ${n}`);
		talker.socket.close(4002, 'enough');
		assert.equal(talker.socket.readyState, PolluxSocket.CLOSING);
		talker.socket.send('too late');
		const code = transport === 'websocket' ? 4002 : 1000;
		const [given, reason] = await closed;
		assert.equal(given, code);
		assert.equal(reason.toString(), transport === 'websocket' ? 'enough' : '');
		assert.equal((await talker.end()).code, code);
		assert.equal(talker.closed.wasClean, true);
		assert.deepEqual(socket.received.all, Array.from({ length: 20 }, (_, n) => `message ${n}`));
	});

	// A frame over a WebSocket has a limit too, beyond which Pollux does not look at what is in it.
	for (const size of [101, 100_000]) {
		test_(`a message of ${size} bytes, over the limit, ends it with 1009`, async (t, start, options) => {
			const { backend, connect } = await start({ route: { max_message_size: 100 } });
			const talker = connect(options);
			const socket = await backend.accept();
			await talker.opened();
			await talker.through(transport);
			const closed = event(socket, 'close');
			talker.socket.send('x'.repeat(size));
			assert.equal((await talker.end()).code, 1009);
			assert.deepEqual(talker.events, ['open', 'error', 'close']);
			await closed;
		});
	}

	test_('half a surrogate pair becomes U+FFFD', async (t, start, options) => {
		const { backend, connect } = await start();
		const talker = connect(options);
		const socket = await backend.accept();
		await talker.opened();
		talker.socket.send('\ud834 \udd1e 𝄞 \\ud834');
		talker.socket.send('next');
		assert.deepEqual(await socket.received.count(2), ['\ufffd \ufffd 𝄞 \\ud834', 'next']);
	});

	test_('the backend is gone without a close', async (t, start, options) => {
		const { backend, connect } = await start();
		const talker = connect(options);
		const socket = await backend.accept();
		await talker.opened();
		socket.terminate();
		assert.deepEqual(await talker.end(), { code: 1006, reason: '', wasClean: false });
	});

	test_('a backend that holds back: nothing is lost', async (t, start, options) => {
		const { backend, connect } = await start({
			route: { queue: '40k', max_message_size: '20k', send_timeout: '200ms' },
		});
		const talker = connect(options);
		const socket = await backend.accept();
		await talker.opened();
		socket.pause();
		const sent = Array.from({ length: 400 }, (_, n) => `${n} ${'x'.repeat(10_000)}`);
		for (const text of sent)
			talker.socket.send(text);
		setTimeout(() => socket.resume(), 1500);
		assert.deepEqual(await socket.received.count(sent.length, 60_000), sent);
	});

	// The last message is lost on its way, or only the answer to it.
	for (const direction of ['toServer', 'toClient']) {
		test_(`cut with the next byte ${direction}: what was sent arrives once`, async (t, start, options) => {
			const { backend, pollux } = await start();
			const tap = await Tap.start(t, pollux.where());
			const talker = new Talker(t, `http://${tap.address}/chat`, options);
			const socket = await backend.accept();
			await talker.opened();
			await talker.through(transport);
			talker.socket.send('first');
			await socket.received.count(1);
			await talker.acknowledged();

			for (const conn of tap.conns)
				conn[direction].cutAt = conn[direction].n;
			talker.socket.send('last');
			assert.deepEqual(await socket.received.count(2), ['first', 'last']);
			await talker.acknowledged();
			socket.send('and down');
			assert.deepEqual(await talker.count(1), ['and down']);
			assert.deepEqual(socket.received.all, ['first', 'last']);
		});
	}

	// Within less than any of its timers.
	test_('a program ends when its socket is closed', async (t, start, options) => {
		const { backend, url } = await start();
		await endOfProgram(t, url, options, backend, 'socket.onmessage = () => socket.close();');
	});

	test_('Pollux starts anew: the loss is told', async (t, start, options) => {
		const backend = await startBackend(t);
		const startPollux = () => Pollux.start(t, {
			backend: { servers: [backend] },
			route: [{ path: '/chat', bridge: ['plain'] }],
		});
		const pollux = await startPollux();
		const target = pollux.where();
		const tap = await Tap.start(t, target);
		const talker = new Talker(t, `http://${tap.address}/chat`, options);
		await backend.accept();
		await talker.opened();
		await talker.through(transport);
		await pollux.stop();
		Object.assign(target, (await startPollux()).where());
		assert.deepEqual(await talker.end(),
			{ code: 1006, reason: 'the session is lost', wasClean: false });
		assert.deepEqual(talker.events, ['open', 'error', 'close']);
	});
}

test('a refusal closes, and says the status', async (t) => {
	const { connect } = await stage(t, { ws: { verifyClient: (_, done) => done(false, 401) } });
	const talker = connect();
	assert.deepEqual(await talker.end(), { code: 1006, reason: 'HTTP 401', wasClean: false });
	assert.deepEqual(talker.events, ['error', 'close']);
});

test('close before it is open', async (t) => {
	const { connect } = await stage(t);
	const talker = connect();
	talker.socket.close();
	assert.equal(talker.socket.readyState, PolluxSocket.CLOSING);
	assert.equal((await talker.end()).code, 1006);
	assert.deepEqual(talker.events, ['error', 'close']);
	assert.equal(talker.socket.readyState, PolluxSocket.CLOSED);
});

test('close while it is opened: the backend hears of it at once', async (t) => {
	let admit;
	const asked = new Promise((resolve) => {
		admit = resolve;
	});
	const { backend, connect } = await stage(t, { ws: { verifyClient: (_, done) => admit(done) } });
	const talker = connect();
	const done = await asked;
	talker.socket.close();
	done(true);
	await event(await backend.accept(), 'close');
	assert.equal((await talker.end()).reason, 'closed before it was open');
	assert.deepEqual(talker.events, ['error', 'close']);
});

test('wrong codes and reasons are refused', async (t) => {
	const { connect } = await stage(t);
	const { socket } = connect();
	for (const code of [0, null, 'x', 999, 1001, 2999, 5000])
		assert.throws(() => socket.close(code), { name: 'InvalidAccessError' });
	assert.throws(() => socket.close(1000, '€'.repeat(42)), { name: 'SyntaxError' });
});

test('a code and a reason of other types', async (t) => {
	const { backend, connect } = await stage(t);
	const talker = connect();
	const closed = backend.accept().then((socket) => event(socket, 'close'));
	await talker.opened();
	await talker.through('websocket');
	talker.socket.close('3000', { toString: () => '\ud834' });
	const [code, reason] = await closed;
	assert.equal(code, 3000);
	assert.equal(reason.toString(), '\ufffd');
});

test('wrong URLs, subprotocols and transports are refused', () => {
	const refused = (name, ...args) => assert.throws(() => new PolluxSocket(...args), { name });
	for (const url of ['http://[', 'ftp://a/', '/relative', 'undefined', 'ws://a/#', 'http://a/#b'])
		refused('SyntaxError', url);
	for (const protocols of ['', 'a b', 'a,b', 'ü', ['a', 'b', 'a'], ['a', '"']])
		refused('SyntaxError', 'ws://127.0.0.1/', protocols);
	for (const transports of [[], ['websocket']])
		refused('NotSupportedError', 'ws://127.0.0.1/', [], { transports, WebSocket: undefined });
});

test('subprotocols are offered to the backend', async (t) => {
	const { backend, connect } = await stage(t, {
		ws: { handleProtocols: (offered) => [...offered].at(-1) },
	});
	const talker = connect({ protocols: ['chat.v1', 'chat.v2'] });
	await backend.accept();
	await talker.opened();
	assert.equal(talker.socket.protocol, 'chat.v2');
});

test('handlers can be set, read and removed', async (t) => {
	const { backend, connect } = await stage(t);
	const { socket } = connect();
	let n = 0;
	const handler = () => n++;
	assert.equal(socket.onopen, null);
	socket.onopen = handler;
	socket.onopen = handler;
	assert.equal(socket.onopen, handler);
	socket.onerror = handler;
	socket.onerror = null;
	await backend.accept();
	await event({ once: (type, f) => socket.addEventListener(type, f, { once: true }), off() {} }, 'open');
	assert.equal(n, 1);
});

for (const [blocked, wanted] of [
	[['websocket'], 'sse'],
	[['websocket silently'], 'sse'],
	[['websocket', 'sse'], 'poll'],
]) {
	test(`without ${blocked.join(' and ')}: ${wanted}`, async (t) => {
		const { backend, pollux } = await stage(t);
		const proxy = await BlockingProxy.start(t, pollux.where());
		proxy.blocked = new Set(blocked);
		const talker = new Talker(t, `http://127.0.0.1:${proxy.port}/chat`, { timeout: 500 });
		const socket = await backend.accept();
		await talker.opened();
		talker.socket.send('up');
		socket.send('down');
		assert.deepEqual(await talker.count(1), ['down']);
		assert.equal(await socket.received.next(), 'up');
		assert.equal(talker.socket.transport, wanted);
	});
}

// A log-in in front of Pollux that has run out; a server in front of it that lives. Its patience is longer
// than its pauses.
for (const status of [401, 502]) {
	test(`${status} to everything once it is open: it gives up`, async (t) => {
		const server = http.createServer((request, response) => {
			if (request.url === '/')
				response.writeHead(201, { Location: '/~s' }).end();
			else
				response.writeHead(status).end();
		});
		server.listen(0, '127.0.0.1');
		await event(server, 'listening');
		atEnd(t, () => server.close());
		const talker = new Talker(t, `http://127.0.0.1:${server.address().port}/`, { patience: 6000 });
		assert.deepEqual(await talker.end(20_000),
			{ code: 1006, reason: 'nothing gets through', wasClean: false });
		assert.deepEqual(talker.events, ['open', 'error', 'close']);
	});
}

test('nothing gets through: it gives up', async (t) => {
	const server = http.createServer((request, response) => response.destroy());
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	atEnd(t, () => server.close());
	const talker = new Talker(t, `http://127.0.0.1:${server.address().port}/`, { patience: 300 });
	assert.deepEqual(await talker.end(),
		{ code: 1006, reason: 'nothing gets through', wasClean: false });
});

// A server that opens sessions, whose first poll that waits gets `messages`, and whose `answer(response, n, method)`
// is to answer the posts, and what closes.
async function posted(t, answer, messages = []) {
	let n = 0;
	const server = http.createServer((request, response) => {
		if (request.url === '/')
			response.writeHead(201, { Location: '/~s' }).end();
		else if (request.method !== 'GET')
			answer(response, ++n, request.method);
		else if (request.url.endsWith('&wait=0'))
			response.end('{"messages":[],"cursor":0}');
		else if (messages.length > 0 && request.url.endsWith('?after=0'))
			response.end(JSON.stringify({ messages, cursor: messages.length }));
	});
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	const talker = new Talker(t, `http://127.0.0.1:${server.address().port}/`, { transports: ['poll'] });
	atEnd(t, () => {
		server.close();
		server.closeAllConnections();
	});
	await talker.opened();
	return talker;
}

test('a first poll whose body takes longer than the time to get through', async (t) => {
	const server = http.createServer((request, response) => {
		if (request.url === '/') {
			response.writeHead(201, { Location: '/~s' }).end();
		} else if (request.url.endsWith('&wait=0')) {
			response.writeHead(200).write('{"cursor":1,');
			setTimeout(() => response.end('"messages":[{"seq":1,"text":"late"}]}'), 1000);
		}
	});
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	const talker = new Talker(t, `http://127.0.0.1:${server.address().port}/`,
		{ transports: ['poll'], timeout: 500 });
	atEnd(t, () => {
		server.close();
		server.closeAllConnections();
	});
	assert.deepEqual(await talker.count(1), ['late']);
});

test('a message that is refused ends it', async (t) => {
	let nPosts;
	const talker = await posted(t, (response, n) => {
		nPosts = n;
		response.writeHead(405).end();
	});
	talker.socket.send('a');
	assert.deepEqual(await talker.end(), { code: 1006, reason: 'HTTP 405', wasClean: false });
	assert.equal(nPosts, 1);
});

test('a close waits for what was sent before, as long as it arrives', async (t) => {
	const talker = await posted(t, (response, n) => {
		setTimeout(() => response.writeHead(204, { 'Pollux-Seq': n }).end(), 6000);
	});
	talker.socket.send('a');
	talker.socket.send('b');
	talker.socket.close();
	await eventually(() => talker.socket.bufferedAmount === 0, 'all of it to arrive', 15_000);
	assert.equal(talker.socket.readyState, PolluxSocket.CLOSING);
});

test('a close goes out behind an acknowledgement that is under way', async (t) => {
	const asked = [];
	const talker = await posted(t, async (response, n, method) => {
		asked.push(method);
		if (n === 1) {
			await talker.count(1);
			talker.socket.close();
		}
		response.writeHead(204).end();
	}, [{ seq: 1, text: 'x'.repeat(200 * 1024) }]);
	await eventually(() => asked.length === 2, 'the close');
	assert.deepEqual(asked, ['POST', 'DELETE']);
});

test('Retry-After is heeded', async (t) => {
	const times = [];
	const server = http.createServer((request, response) => {
		times.push(Date.now());
		if (times.length === 1)
			response.writeHead(503, { 'Retry-After': '1' }).end();
		else
			response.writeHead(401).end();
	});
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	atEnd(t, () => server.close());
	const talker = new Talker(t, `http://127.0.0.1:${server.address().port}/`);
	assert.equal((await talker.end()).reason, 'HTTP 401');
	assert.ok(times[1] - times[0] >= 990, `${times[1] - times[0]} ms`);
});
