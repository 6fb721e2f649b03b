// Requests that reach another worker than the one that has their session: what their clients get and
// what the log says of them is as with one worker.
import assert from 'node:assert/strict';
import test from 'node:test';

import { bridgeStage, openedSession, requestText } from './lib/bridge.mjs';
import { pass } from './lib/wait.mjs';
import { handshake } from './lib/websocket_bytes.mjs';

// Nearly all of the requests of a session come by another worker than its own.
const WORKERS = 4;
const MANY = { program: { workers: WORKERS } };
const TIMES = 8;

const upload = ({ url }, fields, ...body) =>
	[`POST ${url} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n${fields}\r\n`, ...body];

// One after the other, each on a connection of its own, which another connection's worker may have.
async function eachTime(bridge, use) {
	for (let n = 0; n < TIMES; n++) {
		const wire = await bridge.connect();
		await use(wire);
		wire.close();
	}
}

// The log has as many entries of the method as there were requests; a last request marks the end.
async function countOf(pollux, session, method) {
	await session.delete();
	await pollux.accessed({ method: 'DELETE' });
	return pollux.accessLog.lines.filter((line) => line.startsWith('{') && JSON.parse(line).method === method).length;
}

// The worker with the session has begun to read the body: it asks for it.
async function begun(wire, session, fields) {
	wire.send(upload(session, `Expect: 100-continue\r\n${fields}`));
	assert.equal((await wire.readHead()).line, 'HTTP/1.1 100 Continue');
}

test('a body that is broken halfway: the log has the answer that the client has got', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, MANY);

	await eachTime(bridge, async (wire) => {
		await begun(wire, session, 'Transfer-Encoding: chunked\r\n');
		wire.send('3\r\nabc\r\nno size\r\n');
		const { status, body } = await wire.readResponse();
		assert.equal(status, 400);
		const entry = await pollux.accessed({ method: 'POST', status: 400 });
		assert.equal(entry.reason, 'bad-body');
		assert.equal(entry.response_bytes, body.length);
		assert.ok(entry.session);
	});
	assert.equal(await countOf(pollux, session, 'POST'), TIMES + 1);
});

test('a body that does not come in time: the log has the answer that the client has got', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, { ...MANY, listen: { body_timeout: '200ms' } });

	await eachTime(bridge, async (wire) => {
		await begun(wire, session, 'Content-Length: 10\r\n');
		wire.send('abc');
		assert.equal((await wire.readResponse()).status, 408);
		const entry = await pollux.accessed({ method: 'POST', status: 408 });
		assert.equal(entry.reason, 'body-timeout');
		assert.equal(entry.request_bytes, 3);
	});
	assert.equal(await countOf(pollux, session, 'POST'), TIMES + 1);
});

test('a client that breaks off in the middle of a body stands in the log once', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, MANY);

	await eachTime(bridge, async (wire) => {
		await begun(wire, session, 'Content-Length: 10\r\n');
		wire.send('abc');
		wire.end();
		assert.equal((await pollux.accessed({ method: 'POST', status: 499 })).reason, 'client-gone');
	});
	assert.equal(await countOf(pollux, session, 'POST'), TIMES + 1);
});

test('a WebSocket that its session gives up stands in the log once', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, { ...MANY, route: { heartbeat: '100ms', send_timeout: '300ms' } });

	// It answers no ping.
	await eachTime(bridge, async (wire) => {
		wire.send(handshake({ target: session.url, fields: { 'Sec-WebSocket-Protocol': 'pollux.v1' } }));
		assert.match((await wire.readHead()).line, /^HTTP\/1.1 101 /);
		await wire.expectGone();
		assert.equal((await pollux.accessed({ method: 'GET', status: 101 })).reason, 'tunnel-timeout');
	});
	assert.equal(await countOf(pollux, session, 'GET'), TIMES);
});

test('a stream that its client does not take is cut, and the log says why', async (t) => {
	const { pollux, bridge, backend } = await bridgeStage(t, {
		...MANY, listen: { write_timeout: '300ms' }, route: { send_timeout: '30s' },
	});

	for (let n = 0; n < TIMES; n++) {
		const session = await bridge.open();
		const socket = await backend.accept();
		const stream = await session.stream();
		stream.wire.stall();
		for (let i = 0; i < 200; i++)
			socket.send('x'.repeat(100_000));
		const entry = await pollux.accessed({ method: 'GET' });
		assert.equal(entry.reason, 'client-stall');
		assert.equal(entry.status, 200);
		stream.close();
		socket.close();
	}
});

test('heads and fields as large as the listener takes them reach the session', async (t) => {
	const { bridge, session } = await openedSession(t, { ...MANY, listen: { max_header_size: '1m', max_header_fields: 1000 } });
	const large = Array.from({ length: 15 }, (_, n) => `X-${n}: ${'~'.repeat(65_000)}\r\n`).join('');

	await eachTime(bridge, async (wire) => {
		wire.send(`GET ${session.url}?wait=0 HTTP/1.1\r\nHost: a\r\n${large}\r\n`);
		assert.equal((await wire.readResponse()).status, 200);
	});
});

test('a field that is too large between workers is refused by each of them', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, { ...MANY, listen: { max_header_size: '1m' } });

	for (const [size, status] of [[65_536, 200], [65_537, 431]])
		await eachTime(bridge, async (wire) => {
			wire.send(`GET ${session.url}?wait=0 HTTP/1.1\r\nHost: a\r\nX: ${'~'.repeat(size)}\r\n\r\n`);
			assert.equal((await wire.readResponse()).status, status);
			const entry = await pollux.accessed({ method: 'GET' });
			assert.equal(entry.reason, status === 431 ? 'header-too-large' : undefined);
		});
});

test('a trailer that is too large between workers ends nobody else\'s streams', async (t) => {
	const { bridge, session } = await openedSession(t, { ...MANY, listen: { max_header_size: '1m' } });
	const others = await Promise.all(Array.from({ length: TIMES }, () => bridge.open()));
	const streams = await Promise.all(others.map((other) => other.stream()));
	let n = 1;

	await eachTime(bridge, async (wire) => {
		wire.send(upload(session, `Pollux-Seq: ${n++}\r\nTransfer-Encoding: chunked\r\n`,
			`3\r\nabc\r\n0\r\nX: ${'~'.repeat(70_000)}\r\n\r\n`));
		assert.equal((await wire.readResponse()).status, 204);
	});
	await Promise.all(others.map((other) => other.delete()));
	for (const stream of streams)
		await stream.eventOf('close');
});

test('a request of HTTP/1.0 without a host has none at the other worker', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, MANY);

	await eachTime(bridge, async (wire) => {
		wire.send(`GET ${session.url}?wait=0 HTTP/1.0\r\n\r\n`);
		assert.equal((await wire.readResponse()).status, 200);
		const entry = await pollux.accessed({ method: 'GET' });
		assert.equal(entry.version, '1.0');
		assert.equal(entry.host, undefined);
	});
});

test('requests behind one that another worker answers are answered in their turn', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, MANY);

	await eachTime(bridge, async (wire) => {
		wire.send(requestText('GET', `${session.url}?wait=0`), requestText('PUT', session.url),
			requestText('GET', `${session.url}x?wait=0`), requestText('GET', '/none'));
		for (const status of [200, 405, 404, 404]) {
			assert.equal((await wire.readResponse()).status, status);
			await pollux.accessed({ status });
		}
	});
	assert.equal(await countOf(pollux, session, 'GET'), 3 * TIMES);
});

test('what is cut at the end of a drain stands in the log once', async (t) => {
	const { pollux, bridge, session } = await openedSession(t, { program: { workers: WORKERS, drain: '500ms' } });

	for (let n = 0; n < TIMES; n++)
		await begun(await bridge.connect(), session, 'Content-Length: 10\r\n');
	await pollux.drain();
	await pollux.left();
	const entries = pollux.accessLog.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
		.filter(({ target }) => target.startsWith('/chat/'));
	assert.deepEqual(entries.map(({ status, reason }) => [status, reason]), Array(TIMES).fill([0, 'drain']));
});

// What a client reads a session by, on a wire that it does not read any more.
const READERS = {
	'a stream': async (bridge, session) => (await session.stream()).wire,
	async 'a WebSocket'(bridge, session) {
		const wire = await bridge.connect();
		wire.send(handshake({ target: session.url, fields: { 'Sec-WebSocket-Protocol': 'pollux.v1' } }));
		assert.match((await wire.readHead()).line, /^HTTP\/1.1 101 /);
		return wire;
	},
};

for (const [name, read] of Object.entries(READERS))
	test(`${name} whose client acknowledges nothing for send_timeout is cut`, async (t) => {
		const { pollux, bridge, backend } = await bridgeStage(t, { ...MANY, route: { send_timeout: '400ms' } });

		for (let n = 0; n < TIMES; n++) {
			const session = await bridge.open();
			const socket = await backend.accept();
			const wire = await read(bridge, session);
			wire.stall();
			for (let i = 0; i < 200; i++)
				socket.send('x'.repeat(100_000));
			const entry = await pollux.accessed({ method: 'GET' });
			assert.equal(entry.reason, 'client-stall');
			assert.ok(entry.total_ms < 10_000, `${entry.total_ms} ms`);
			wire.close();
			socket.close();
		}
	});

test('a stream whose client takes slowly, but takes, is not cut', async (t) => {
	const { pollux, bridge, backend } = await bridgeStage(t, { ...MANY, route: { send_timeout: '1500ms' } });
	const AT_ONCE = 65_536;
	const MORE_THAN_TCP_HOLDS = 12_000_000;

	await Promise.all(Array.from({ length: TIMES }, async () => {
		const session = await bridge.open();
		const socket = await backend.accept();
		const stream = await session.stream();
		stream.wire.stall();
		for (let n = 0; n < MORE_THAN_TCP_HOLDS; n += 100_000)
			socket.send('x'.repeat(100_000));
		for (let n = 0; n < 40; n++) {
			await pass(150);
			stream.wire.goOn();
			await stream.wire.read(AT_ONCE);
			stream.wire.stall();
		}
		stream.close();
		assert.equal((await pollux.accessed({ method: 'GET', session: new RegExp(session.id.slice(0, 6).replace('.', '\\.')) })).reason, 'client-gone');
	}));
});
