// SockJS sessions byte by byte: frames and their chunks, one receiver at a time, what ends a
// session, and what its client is told then.
import assert from 'node:assert/strict';
import test from 'node:test';

import { flushed, isRead, requestText } from './lib/bridge.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { RECEIVERS, openedSock, sockStage } from './lib/sockjs.mjs';
import { pass } from './lib/wait.mjs';

const INTERRUPTED = 'c[1002,"Connection interrupted"]';
const BUSY = 'c[2010,"Another connection still open"]';

for (const [transport, shape] of Object.entries(RECEIVERS)) {
	const { wrap } = shape;

	test(`${transport}: opens, gets messages, then the close`, async (t) => {
		const { sock, backend } = await sockStage(t);
		const session = sock.session();
		let receiver = await session.receive(transport);
		const next = async () => {
			if (shape.polls) {
				await receiver.expectEnd();
				receiver.close();
				receiver = await session.receive(transport);
			}
		};

		await receiver.expect(wrap('o'));
		const socket = await backend.accept();
		await next();
		socket.send('a "b" 100% </script>\n');
		await receiver.expect(wrap('a["a \\"b\\" 100% </script>\\n"]'));
		await next();
		socket.close(3000, 'Go away!');
		await receiver.expect(wrap('c[3000,"Go away!"]'));
		await receiver.expectEnd();
		// Again, for whoever asks.
		receiver = await session.receive(transport);
		await receiver.expect(wrap('c[3000,"Go away!"]'));
		await receiver.expectEnd();
	});

	test(`${transport}: a second receiver is told of the first, which stays`, async (t) => {
		const { sock, backend } = await sockStage(t);
		const session = sock.session();
		let first = await session.receive(transport);
		await first.expect(wrap('o'));
		if (shape.polls) {
			await first.expectEnd();
			first = undefined;
		}
		const socket = await backend.accept();
		const waiting = first ?? await session.wait(transport);
		const second = await session.receive(transport);
		await second.expect(wrap(BUSY));
		await second.expectEnd();
		socket.send('for the first');
		await waiting.expect(wrap('a["for the first"]'));
	});

	test(`${transport}: a receiver that is cut while it waits ends the session`, async (t) => {
		const { sock, backend } = await sockStage(t);
		const session = sock.session();
		let receiver = await session.receive(transport);
		await receiver.expect(wrap('o'));
		const socket = await backend.accept();
		if (shape.polls) {
			await receiver.expectEnd();
			receiver = await session.wait(transport);
		}
		receiver.reset();
		assert.equal((await backend.closeOf(socket)).code, 1001);
		const late = await session.receive(transport);
		await late.expect(wrap(INTERRUPTED));
		await late.expectEnd();
		assert.equal((await session.send('["x"]')).status, 404);
	});

	test(`${transport}: a heartbeat where nothing comes`, async (t) => {
		const { sock } = await sockStage(t, { route: { sockjs_heartbeat: '200ms' } });
		const session = sock.session();
		let receiver = await session.receive(transport);
		await receiver.expect(wrap('o'));
		if (shape.polls) {
			await receiver.expectEnd();
			receiver = await session.receive(transport);
			await receiver.expect(wrap('h'));
			await receiver.expectEnd();
		} else {
			await receiver.expect(wrap('h'), wrap('h'));
		}
	});

	if (!shape.polls) {
		test(`${transport}: ends at the limit, and the session goes on`, async (t) => {
			const { sock, backend } = await sockStage(t, { route: { sockjs_response_limit: '4k' } });
			const session = sock.session();
			let receiver = await session.receive(transport);
			await receiver.expect(wrap('o'));
			const socket = await backend.accept();
			const text = 'x'.repeat(128);
			const frame = wrap(`a["${text}"]`);
			for (let n = wrap('o').length; n < 4096; n += frame.length) {
				socket.send(text);
				await receiver.expect(frame);
			}
			await receiver.expectEnd();
			receiver = await session.receive(transport);
			const big = 'y'.repeat(4096);
			socket.send(big);
			await receiver.expect(wrap(`a["${big}"]`));
			await receiver.expectEnd();
			receiver = await session.receive(transport);
			socket.send('and on');
			await receiver.expect(wrap('a["and on"]'));
		});
	}
}

test('the limit is one of frames: 30 of 134 bytes do not reach 4096, 31 do', async (t) => {
	const { sock, backend } = await sockStage(t, { route: { sockjs_response_limit: '4k' } });
	const session = sock.session();
	const receiver = await session.receive();
	await receiver.expect('o\n');
	const socket = await backend.accept();
	for (let n = 0; n < 31; n++) {
		socket.send('x'.repeat(128));
		await receiver.expect(`a["${'x'.repeat(128)}"]\n`);
	}
	await receiver.expectEnd();
});

test('the close that follows the opening at once comes in a chunk of its own', async (t) => {
	const ws = { onSocket: (socket) => socket.close(3000, 'Go away!') };
	const { sock } = await sockStage(t, { ws });
	for (const transport of ['xhr_streaming', 'eventsource', 'htmlfile']) {
		const { wrap } = RECEIVERS[transport];
		const receiver = await sock.session().receive(transport);
		await receiver.expect(wrap('o'), wrap('c[3000,"Go away!"]'));
		await receiver.expectEnd();
	}
	const session = sock.session();
	await session.expectFrame('o');
	await session.expectFrame('c[3000,"Go away!"]');
	await session.expectFrame('c[3000,"Go away!"]');
});

test('messages go before the close, all in one frame where they wait', async (t) => {
	const { session, socket, backend } = await openedSock(t);
	for (const text of ['one', '', 'three'])
		socket.send(text);
	socket.close(4321, 'ü');
	await backend.closeOf(socket);
	await session.expectFrame('a["one","","three"]');
	await session.expectFrame('c[4321,"ü"]');
});

test('a frame has no more messages than a batch', async (t) => {
	const { session, socket } = await openedSock(t, { route: { batch_messages: 2, batch_size: 10 } });
	for (const text of ['1', '2', '3', '45678901234', '5'])
		socket.send(text);
	await flushed(socket);
	await session.expectFrame('a["1","2"]');
	await session.expectFrame('a["3"]');
	await session.expectFrame('a["45678901234"]');
	await session.expectFrame('a["5"]');
});

test('close codes: none is 1000, no close frame 1006, bytes 1003', async (t) => {
	const { sock, backend } = await sockStage(t);
	const closing = async (end) => {
		const session = sock.session();
		const socket = await session.open();
		end(socket);
		const frame = await session.frame();
		await session.expectFrame(frame.trimEnd());
		return { frame, socket };
	};
	assert.equal((await closing((socket) => socket.close())).frame, 'c[1000,"Normal closure"]\n');
	assert.equal((await closing((socket) => socket.close(1000))).frame, 'c[1000,""]\n');
	assert.equal((await closing((socket) => socket.terminate())).frame, 'c[1006,"Connection lost"]\n');
	const { frame, socket } = await closing((one) => one.send(Buffer.from([1, 2])));
	assert.equal(frame, 'c[1003,"Binary message"]\n');
	assert.equal((await backend.closeOf(socket)).code, 1003);
});

test('without a receiver the session ends after the delay; who comes then is told', async (t) => {
	const { session, socket, backend, pollux } = await openedSock(t,
		{ route: { sockjs_disconnect_delay: '200ms' } });
	assert.equal((await backend.closeOf(socket)).code, 1001);
	await session.expectFrame(INTERRUPTED);
	await session.expectFrame(INTERRUPTED);
	assert.equal((await session.send('["x"]')).status, 404);
	assert.equal(backend.sockets.length, 1);
	const entry = await pollux.accessed({ method: 'POST', status: 404 });
	assert.ok(!JSON.stringify(entry).includes(session.id), 'the id stands in no log');
});

test('a poll in time keeps the session', async (t) => {
	const { session, socket, backend } = await openedSock(t,
		{ route: { sockjs_disconnect_delay: '300ms', sockjs_heartbeat: '100ms' } });
	for (let n = 0; n < 10; n++)
		await session.expectFrame('h');
	assert.equal(socket.readyState, socket.OPEN);
	assert.equal(backend.sockets.length, 1);
});

test('a receiver that goes before the backend has answered leaves nothing behind', async (t) => {
	const server = await RawBackend.start(t);
	const { sock } = await sockStage(t, { server });
	const session = sock.session();
	const wire = await session.startPoll();
	const conn = await server.accept();
	await conn.readRequest();
	wire.reset();
	await conn.expectGone();
	// The id was never told of: it is as new.
	const again = await session.startPoll();
	const next = await server.accept();
	await next.readRequest();
	next.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Type: text/x\r\n\r\nno');
	const response = await again.readResponse();
	assert.equal(response.status, 403);
	assert.equal(response.body.toString(), 'no');
	assert.equal(response.get('Content-Type'), 'text/x');
});

test('a refusal after half a second is told in the response that has begun', async (t) => {
	const server = await RawBackend.start(t);
	const { sock } = await sockStage(t, { server });
	const session = sock.session();
	const receiver = await session.receive();
	const second = await session.receive('eventsource');
	await second.expect(`data: ${BUSY}\r\n\r\n`);
	const conn = await server.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
	await receiver.expect('c[1011,"No connection to the backend"]\n');
	await receiver.expectEnd();
});

test('a refusal after half a second is the answer to a poll', async (t) => {
	const server = await RawBackend.start(t);
	const { sock } = await sockStage(t, { server });
	const wire = await sock.session().startPoll();
	const conn = await server.accept();
	await conn.readRequest();
	await pass(600);
	conn.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
	assert.equal((await wire.readResponse()).status, 403);
});

test('no backend: 502, and the id is free', async (t) => {
	const { sock } = await sockStage(t, { server: '127.0.0.1:1' });
	const session = sock.session();
	assert.equal((await session.poll('xhr')).status, 502);
	assert.equal((await session.poll('xhr')).status, 502);
});

test('over the cap of sessions: 503', async (t) => {
	const { sock } = await openedSock(t, { route: { max_sessions: 1 } });
	const response = await sock.session().poll('xhr');
	assert.equal(response.status, 503);
	assert.equal(response.get('Retry-After'), '1');
});

test('what the backend hears: the path, the query without our parameters, the client', async (t) => {
	const { sock, backend } = await sockStage(t, { path: '/a/b' });
	const ask = async (query, fields) => {
		const session = sock.session();
		const response = await session.ask('GET', `jsonp?${query}`, { fields });
		assert.equal(response.body.toString(), '/**/f("o");\r\n');
		await backend.accept();
		return backend.requests.at(-1);
	};
	assert.equal((await ask('c=f&t=1')).url, '/a/b');
	assert.equal((await ask('x=1&callback=f&&y=%20&t=2&c=g')).url, '/a/b?x=1&&y=%20');
	const { headers } = await ask('c=f', {
		Cookie: 'a=b', Authorization: 'Basic x', 'X-Own': 'y', Origin: 'http://a', 'User-Agent': 'u',
	});
	assert.equal(headers.cookie, 'a=b');
	assert.equal(headers.authorization, 'Basic x');
	assert.equal(headers['x-own'], 'y');
	assert.equal(headers.origin, 'http://a');
	assert.equal(headers['user-agent'], 'u');
});

test('a route at / has the sessions of its root', async (t) => {
	const { sock, backend } = await sockStage(t, { path: '/', base: '' });
	await sock.session().open();
	assert.equal(backend.requests[0].url, '/');
});

test('the head of a poll comes with its frame', async (t) => {
	const { session, socket } = await openedSock(t);
	const poll = await session.wait('xhr');
	assert.equal(poll.wire.peek().length, 0);
	socket.send('x');
	await poll.expect('a["x"]\n');
	await poll.expectEnd();
});

test('HTTP/1.0: no chunks, and the end of the connection is the end', async (t) => {
	const { session, bridge, pollux } = await openedSock(t);
	const wire = await bridge.connect();
	const text = requestText('POST', `${session.url}/xhr`, {}).replace('HTTP/1.1', 'HTTP/1.0');
	await session.sends('echo me?');
	const socket = session.sock.backend.sockets[0];
	await isRead(pollux, () => wire.send(text));
	socket.send('x');
	const head = await wire.readHead();
	assert.equal(head.get('Transfer-Encoding'), undefined);
	assert.equal(head.get('Content-Length'), undefined);
	assert.equal((await wire.readAll()).toString(), 'a["x"]\n');
});

test('several workers: each request of a session finds it, whatever connection it comes by', async (t) => {
	const { sock, backend } = await sockStage(t, { program: { workers: 4 } });
	const N = 24;
	const sessions = Array.from({ length: N }, () => sock.session());
	for (const session of sessions) {
		const socket = await session.open();
		await session.sends('up', session.id);
		assert.deepEqual(await socket.received.count(2), ['up', session.id]);
		socket.send(`down ${session.id}`);
		await session.expectFrame(`a["down ${session.id}"]`);
	}
	const receivers = [];
	for (const session of sessions)
		receivers.push(await session.wait('xhr'));
	for (const session of sessions)
		await session.expectFrame(BUSY);
	receivers.forEach((receiver) => receiver.reset());
	for (const [n, session] of sessions.entries()) {
		assert.equal((await backend.closeOf(backend.sockets[n])).code, 1001);
		await session.expectFrame(INTERRUPTED);
	}
});

test('SIGTERM: receivers are told 1001, backends too', async (t) => {
	const { session, sock, socket, backend, pollux } = await openedSock(t);
	const poll = await session.wait('xhr');
	const receiver = await sock.session().receive();
	await receiver.expect('o\n');
	pollux.signal('SIGTERM');
	await poll.expect('c[1001,"Going away"]\n');
	await poll.expectEnd();
	await receiver.expect('c[1001,"Going away"]\n');
	await receiver.expectEnd();
	assert.equal((await backend.closeOf(socket)).code, 1001);
});
