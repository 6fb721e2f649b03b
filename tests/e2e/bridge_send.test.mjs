// The plain dialect, sending: what a post becomes, what is refused, Pollux-Seq, and a backend that
// does not take what it is sent.
import assert from 'node:assert/strict';
import test from 'node:test';

import { BINARY, NDJSON, TEXT, bridgeStage, factsOf, openedSession, requestText }
	from './lib/bridge.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { acceptOf, closeFrame, readFrame, switching } from './lib/websocket_bytes.mjs';

function seq(n, fields = TEXT) {
	return { ...fields, 'Pollux-Seq': String(n) };
}

// An answer without a body, but with the number used up.
function sent(session, n = 0) {
	return session.answer(204, undefined, { seq: n });
}

function refused(session, status, object, n = 0) {
	return session.answer(status, object, { seq: n });
}

// A session whose backend is a raw one: { conn } speaks frames.
async function rawSession(t, options) {
	const server = await RawBackend.start(t);
	const stage = await bridgeStage(t, { server, program: { drain: '50ms' }, ...options });
	const opening = stage.bridge.open();
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	return { ...stage, conn, session: await opening };
}

// What a post becomes.

for (const type of [undefined, 'text/plain', 'text/html; charset=utf-8', 'TEXT/X-Any',
	'application/json', 'application/vnd.api+json', 'APPLICATION/LD+JSON',
	'application/x-www-form-urlencoded', 'text/plain;charset="UTF-8"', 'text/plain; charset=utf8',
	'text/plain; charset=US-ASCII', 'text/plain; format=flowed; charset=UTF-8', '']) {
	test(`${type ?? 'no type'} is one text frame, verbatim`, async (t) => {
		const { session, socket } = await openedSession(t);

		const text = '{"ä":"€"}\r\n+a=b&c%20\u0000';
		const response = await session.post(text, { 'Content-Type': type });
		assert.deepEqual(factsOf(response), sent(session));
		assert.equal(await socket.received.next(), text);
	});
}

test('application/octet-stream is one binary frame', async (t) => {
	const { session, socket } = await openedSession(t);

	const data = Buffer.from([0, 255, 128, 10, 13]);
	assert.deepEqual(factsOf(await session.post(data, BINARY)), sent(session));
	assert.deepEqual(await socket.received.next(), data);
	const typed = { 'Content-Type': 'application/octet-stream; charset=latin1' };
	assert.equal((await session.post(data, typed)).status, 204);
	assert.deepEqual(await socket.received.next(), data);
});

test('application/x-ndjson is a text frame a line', async (t) => {
	const { session, socket } = await openedSession(t);

	const body = '{"a":1}\n\n{"b":2}\r\n\r\n \n\r{"c":3}\r\r\n\n{"last":"ü"}';
	assert.deepEqual(factsOf(await session.post(body, NDJSON)), sent(session));
	assert.deepEqual(await socket.received.count(5),
		['{"a":1}', '{"b":2}', ' ', '\r{"c":3}\r', '{"last":"ü"}']);
});

test('an empty body is an empty message of its type', async (t) => {
	const { session, socket } = await openedSession(t);

	assert.deepEqual(factsOf(await session.post('', TEXT)), sent(session));
	assert.deepEqual(factsOf(await session.post('', BINARY)), sent(session));
	assert.deepEqual(factsOf(await session.ask('POST')), sent(session), 'no body at all');
	assert.deepEqual(await socket.received.count(3), ['', Buffer.alloc(0), '']);
});

test('JSON lines without lines: 204, and nothing is sent', async (t) => {
	const { session, socket } = await openedSession(t);

	for (const body of ['', '\n', '\r\n\n'])
		assert.deepEqual(factsOf(await session.post(body, NDJSON)), sent(session));
	await session.post('next');
	assert.equal(await socket.received.next(), 'next');
});

test('a chunked body, and one that its sender announces with Expect', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	const wire = await bridge.connect();
	wire.send(requestText('POST', session.url, {
		fields: { ...TEXT, 'Transfer-Encoding': 'chunked' },
	}), '3\r\nabc\r\n', '5;x=y\r\ndefgh\r\n0\r\nTrailer: x\r\n\r\n');
	assert.deepEqual(factsOf(await wire.readResponse()), sent(session));
	assert.equal(await socket.received.next(), 'abcdefgh');
	wire.send(requestText('POST', session.url, {
		fields: { ...TEXT, 'Content-Length': 2, Expect: '100-continue' },
	}));
	await wire.expect('HTTP/1.1 100 Continue\r\n\r\n');
	wire.send('ok');
	assert.deepEqual(factsOf(await wire.readResponse()), sent(session));
	assert.equal(await socket.received.next(), 'ok');
});

test('the first message of an opening obeys the same rules', async (t) => {
	const { bridge, backend } = await bridgeStage(t, { route: { max_message_size: 10 } });

	for (const [fields, body, status, error] of [
		[{ 'Content-Type': 'image/png' }, 'x', 415, 'content type'],
		[TEXT, Buffer.from([0xff]), 400, 'utf-8'],
		[TEXT, 'x'.repeat(11), 413, 'too big'],
	]) {
		const response = await bridge.ask('POST', '/chat', { fields, body });
		assert.equal(response.status, status);
		assert.deepEqual(response.json, { error });
		assert.equal(response.get('Pollux-Seq'), '0');
	}
	assert.equal(backend.sockets.length, 0, 'before the backend is dialled');
	await bridge.open({ fields: NDJSON, body: 'a\nb\n' });
	const socket = await backend.accept();
	assert.deepEqual(await socket.received.count(2), ['a', 'b']);
});

// What is refused.

for (const type of ['application/xml', 'image/png', 'multipart/form-data; boundary=x',
	'text/plain; charset=latin1', 'text/plain; charset=utf-16', 'application/json; charset=iso-8859-1',
	'application/x-ndjson; charset=utf-16', 'text', '/', 'text/', 'application/+json',
	'text/plain; charset="utf-8', 'text/plain; charset=utf-8; charset=latin1', 'text/plain, text/html']) {
	test(`the type ${type} is 415`, async (t) => {
		const { session, socket } = await openedSession(t);

		const response = await session.post('x', { 'Content-Type': type });
		assert.deepEqual(factsOf(response), refused(session, 415, { error: 'content type' }));
		await session.post('next');
		assert.equal(await socket.received.next(), 'next');
	});
}

test('a compressed body is 415', async (t) => {
	const { session } = await openedSession(t);

	const response = await session.post('x', { ...TEXT, 'Content-Encoding': 'gzip' });
	assert.equal(response.status, 415);
});

test('text that is no UTF-8 is 400; binary may be anything', async (t) => {
	const { session, socket } = await openedSession(t);

	for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
		const body = Buffer.from([0x61, ...bytes]);
		const expected = refused(session, 400, { error: 'utf-8' });
		assert.deepEqual(factsOf(await session.post(body, TEXT)), expected);
		assert.deepEqual(factsOf(await session.post(body, {})), expected);
		const lines = Buffer.concat([Buffer.from('good\n'), body, Buffer.from('\n')]);
		assert.deepEqual(factsOf(await session.post(lines, NDJSON)), expected, 'not even the good line');
		assert.equal((await session.post(body, BINARY)).status, 204);
		assert.deepEqual(await socket.received.next(), body);
	}
});

test('the message limit holds per frame: 413, which ends nothing', async (t) => {
	const { session, socket } = await openedSession(t, { route: { max_message_size: '1k', queue: '4k' } });
	const fits = 'x'.repeat(1024);
	const tooBig = refused(session, 413, { error: 'too big' });

	assert.deepEqual(factsOf(await session.post(fits)), sent(session));
	assert.deepEqual(factsOf(await session.post(`${fits}x`)), tooBig);
	assert.deepEqual(factsOf(await session.post(`${fits}x`, BINARY)), tooBig);
	assert.deepEqual(factsOf(await session.post(`${fits}\n${fits}\n`, NDJSON)), sent(session));
	assert.deepEqual(factsOf(await session.post(`short\n${fits}x\n`, NDJSON)), tooBig);
	assert.deepEqual(factsOf(await session.post(`${fits}\n`.repeat(4), NDJSON)), tooBig,
		'an ndjson body over the queue limit');
	assert.deepEqual(await socket.received.count(3), [fits, fits, fits]);
	await session.post('next');
	assert.deepEqual((await socket.received.count(4)).at(-1), 'next');
});

test('a body over the limit is refused as soon as that is known', async (t) => {
	const { bridge, session } = await openedSession(t, { route: { max_message_size: '1k' } });

	const announced = await bridge.connect();
	announced.send(requestText('POST', session.url, {
		fields: { ...TEXT, 'Content-Length': 1025, Expect: '100-continue' },
	}));
	assert.equal((await announced.readResponse()).status, 413);
	const chunked = await bridge.connect();
	chunked.send(requestText('POST', session.url, {
		fields: { ...TEXT, 'Transfer-Encoding': 'chunked' },
	}), `401\r\n${'x'.repeat(0x401)}\r\n`);
	assert.equal((await chunked.readResponse()).status, 413);
	assert.equal((await session.post('next')).status, 204);
});

// Order.

test('order is that in which bodies became complete; a slow one holds nobody up', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	const slow = await bridge.connect();
	slow.send(requestText('POST', session.url, { fields: { ...TEXT, 'Content-Length': 4 } }), 'slo');
	assert.equal((await session.post('first')).status, 204);
	assert.equal((await session.post('second')).status, 204);
	slow.send('w');
	assert.equal((await slow.readResponse()).status, 204);
	assert.deepEqual(await socket.received.count(3), ['first', 'second', 'slow']);
});

test('a body that is cut is no message', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	const cut = await bridge.connect();
	cut.send(requestText('POST', session.url, { fields: { ...TEXT, 'Content-Length': 4 } }), 'cut');
	cut.end();
	await cut.expectGone();
	const reset = await bridge.connect();
	reset.send(requestText('POST', session.url, {
		fields: { ...seq(1), 'Transfer-Encoding': 'chunked' },
	}), '3\r\ncut\r\n');
	reset.reset();
	assert.deepEqual(factsOf(await session.post('whole', seq(1))), sent(session, 1));
	assert.deepEqual(await socket.received.count(1), ['whole']);
});

test('posts in a pipeline keep their order', async (t) => {
	const { bridge, session, socket } = await openedSession(t);
	const wire = await bridge.connect();
	const texts = Array.from({ length: 50 }, (_, n) => `message ${n}`);

	wire.send(texts.map((body) => requestText('POST', session.url, { fields: TEXT, body }) + body));
	for (const text of texts)
		assert.deepEqual(factsOf(await wire.readResponse()), sent(session), text);
	assert.deepEqual(await socket.received.count(50), texts);
});

// Pollux-Seq.

test('Pollux-Seq counts posts, and a repeat is sent once', async (t) => {
	const { session, socket } = await openedSession(t);

	assert.deepEqual(factsOf(await session.post('one', seq(1))), sent(session, 1));
	assert.deepEqual(factsOf(await session.post('one', seq(1))), sent(session, 1));
	assert.deepEqual(factsOf(await session.post('a\nb\n', seq(2, NDJSON))), sent(session, 2));
	assert.deepEqual(factsOf(await session.post('three', seq(3))), sent(session, 3));
	assert.deepEqual(factsOf(await session.post('a\nb\n', seq(2, NDJSON))), sent(session, 3));
	assert.deepEqual(factsOf(await session.post('other', seq(1))), sent(session, 3));
	assert.deepEqual(factsOf(await session.post('unnumbered')), sent(session, 3));
	assert.deepEqual(await socket.received.count(5), ['one', 'a', 'b', 'three', 'unnumbered']);
});

test('a gap is 409 and says which is expected', async (t) => {
	const { session, socket } = await openedSession(t);

	assert.deepEqual(factsOf(await session.post('x', seq(2))),
		refused(session, 409, { error: 'gap', expected: 1 }));
	await session.post('one', seq(1));
	assert.deepEqual(factsOf(await session.post('x', seq('18446744073709551615'))),
		refused(session, 409, { error: 'gap', expected: 2 }, 1));
	await session.post('two', seq(2));
	assert.deepEqual(await socket.received.count(2), ['one', 'two']);
});

test('a malformed Pollux-Seq is 400', async (t) => {
	const { session, socket } = await openedSession(t);

	for (const n of ['0', '', 'x', '-1', '+1', '1.0', '0x1', '18446744073709551616', '1, 1']) {
		const response = await session.post('x', seq(n));
		assert.deepEqual(factsOf(response), refused(session, 400, { error: 'Pollux-Seq' }), n);
	}
	const twice = await session.post('x', { ...TEXT, 'Pollux-Seq': ['1', '1'] });
	assert.deepEqual(factsOf(twice), refused(session, 400, { error: 'Pollux-Seq' }));
	await session.post('one', seq(1));
	assert.equal(await socket.received.next(), 'one');
});

test('only 204 and 201 use a number up', async (t) => {
	const { session, socket } = await openedSession(t, { route: { max_message_size: '1k' } });

	assert.equal((await session.post('x', seq(1, { 'Content-Type': 'image/png' }))).get('Pollux-Seq'), '0');
	assert.equal((await session.post(Buffer.from([0xff]), seq(1))).get('Pollux-Seq'), '0');
	assert.equal((await session.post('x'.repeat(2000), seq(1))).get('Pollux-Seq'), '0');
	assert.equal((await session.post('\n', seq(1, NDJSON))).get('Pollux-Seq'), '1', 'without lines');
	assert.equal((await session.post('two', seq(2))).get('Pollux-Seq'), '2');
	assert.deepEqual(await socket.received.count(1), ['two']);
});

test('an opening POST may carry 1', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	const session = await bridge.open({ fields: seq(1), body: 'one' });
	assert.equal(session.response.get('Pollux-Seq'), '1');
	assert.deepEqual(factsOf(await session.post('one', seq(1))), sent(session, 1));
	assert.deepEqual(factsOf(await session.post('two', seq(2))), sent(session, 2));
	const socket = await backend.accept();
	assert.deepEqual(await socket.received.count(2), ['one', 'two']);
	const empty = await bridge.open({ fields: seq(1) });
	assert.equal(empty.response.get('Pollux-Seq'), '1');
	assert.deepEqual(factsOf(await empty.post('two', seq(2))), sent(empty, 2));
	assert.deepEqual(await (await backend.accept()).received.count(1), ['two']);
	for (const [n, status, object] of [
		['2', 409, { error: 'gap', expected: 1 }],
		['0', 400, { error: 'Pollux-Seq' }],
		['x', 400, { error: 'Pollux-Seq' }],
	]) {
		const response = await bridge.ask('POST', '/chat', { fields: seq(n), body: 'x' });
		assert.equal(response.status, status);
		assert.deepEqual(response.json, object);
	}
	assert.equal(backend.sockets.length, 2);
});

test('the same post many times at once is sent once, and all are 204', async (t) => {
	const { bridge, session, socket } = await openedSession(t);
	const wires = await Promise.all(Array.from({ length: 8 }, () => bridge.connect()));

	for (let n = 1; n <= 20; n++) {
		const body = `message ${n}`;
		const text = requestText('POST', session.url, { fields: seq(n), body }) + body;
		wires.forEach((wire) => wire.send(text));
		for (const wire of wires)
			assert.deepEqual(factsOf(await wire.readResponse()), sent(session, n));
	}
	await session.post('end');
	const all = await socket.received.count(21);
	assert.deepEqual(all, [...Array.from({ length: 20 }, (_, n) => `message ${n + 1}`), 'end']);
});

test('a repeat counts by when its body is complete', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	const slow = await bridge.connect();
	slow.send(requestText('POST', session.url, { fields: { ...seq(1), 'Content-Length': 3 } }), 'on');
	assert.deepEqual(factsOf(await session.post('one', seq(1))), sent(session, 1));
	assert.deepEqual(factsOf(await session.post('two', seq(2))), sent(session, 2));
	slow.send('e');
	assert.deepEqual(factsOf(await slow.readResponse()), sent(session, 2));
	assert.deepEqual(await socket.received.count(2), ['one', 'two']);
});

// A backend that does not take what it is sent.

const SMALL = { queue: '256k', max_message_size: '256k' };
const BIG = 'b'.repeat(200_000);

// Posts until one gets another answer than 204; how many got that, and the other.
async function fill(session, fields = () => TEXT) {
	for (let n = 0; ; n++) {
		const response = await session.post(BIG, fields(n));
		if (response.status !== 204)
			return { n, response };
	}
}

test('the queue to the backend stays full: 503 with Retry-After, and later it goes on', async (t) => {
	const { conn, session } = await rawSession(t, { route: { ...SMALL, send_timeout: '200ms' } });

	conn.stall();
	const { n, response } = await fill(session, (i) => seq(i + 1));
	const expected = refused(session, 503, { error: 'queue is full' }, n);
	expected.fields['Retry-After'] = '1';
	assert.deepEqual(factsOf(response), expected);
	conn.goOn();
	for (let i = 0; i < n; i++)
		assert.equal((await readFrame(conn)).payload.length, BIG.length);
	assert.deepEqual(factsOf(await session.post('next', seq(n + 1))), sent(session, n + 1));
	assert.equal((await readFrame(conn)).payload.toString(), 'next');
});

test('a post that waits for room is answered when there is some, and in its turn', async (t) => {
	const { bridge, conn, session } = await rawSession(t, { route: SMALL });

	conn.stall();
	let n = 0;
	for (let isFull = false; !isFull;) {
		const answered = session.post(BIG, seq(n + 1));
		const wire = await bridge.connect();
		wire.send(requestText('GET', `${session.url}?wait=1`));
		isFull = await Promise.race([
			answered.then(() => false),
			wire.readResponse().then(() => true),
		]);
		wire.close();
		if (isFull) {
			const repeat = session.post(BIG, seq(n + 1));
			const after = session.post('after', seq(n + 2));
			conn.goOn();
			for (let i = 0; i <= n; i++)
				assert.equal((await readFrame(conn)).payload.length, BIG.length);
			assert.equal((await readFrame(conn)).payload.toString(), 'after', 'the repeat is not sent');
			assert.equal((await answered).status, 204);
			assert.equal((await repeat).status, 204);
			assert.equal((await after).status, 204);
		}
		n++;
	}
});

test('closed.undelivered counts what was accepted and not handed to TCP', async (t) => {
	const { conn, session } = await rawSession(t, { route: { ...SMALL, send_timeout: '100ms' } });

	conn.stall();
	const { n } = await fill(session);
	conn.send(closeFrame(4000, 'enough'));
	const { closed } = (await session.poll()).json;
	assert.equal(closed.code, 4000);
	assert.equal(closed.reason, 'enough');
	assert.ok(closed.undelivered >= 1 && closed.undelivered < n, `${closed.undelivered} of ${n}`);
	conn.goOn();
	let nFrames = 0;
	for (let frame = await readFrame(conn); frame.opcode !== 8; frame = await readFrame(conn))
		nFrames++;
	assert.ok(nFrames >= n - closed.undelivered && nFrames <= n);
	conn.end();
});

test('what waits for a backend that is gone is told to the waiting posts', async (t) => {
	const { conn, session, bridge } = await rawSession(t, { route: SMALL });

	conn.stall();
	const waiting = [];
	let nDone = 0;
	for (let n = 0; n < 60; n++)
		waiting.push(session.post(BIG).then((response) => (nDone++, response)));
	const early = await bridge.ask('GET', `${session.url}?wait=1`);
	assert.equal(early.json.messages.length, 0);
	assert.ok(nDone < 60);
	conn.reset();
	const statuses = new Set((await Promise.all(waiting)).map((response) => response.status));
	assert.deepEqual([...statuses].sort(), [204, 410]);
});

test('memory stays bounded while many big posts wait', async (t) => {
	const { pollux, conn, session } = await rawSession(t, {
		route: { ...SMALL, send_timeout: '50ms' },
	});

	conn.stall();
	await fill(session);
	const before = pollux.memory();
	for (let n = 0; n < 20; n++)
		assert.equal((await session.post(BIG)).status, 503);
	assert.ok(pollux.memory() - before < 48 * 1024 * 1024, 'a sanitizer keeps freed memory for a while');
});
