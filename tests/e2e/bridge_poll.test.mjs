// The plain dialect, long-poll: the sequence and its cursors, what a poll gets and when, polls that
// are repeated, overlap, or come with numbers that cannot be.
import assert from 'node:assert/strict';
import test from 'node:test';

import { EVENTS, TEXT, factsOf, flushed, jsonAnswer, openedSession, requestText }
	from './lib/bridge.mjs';

const WAIT_1S = { route: { poll_wait: '1s' } };

async function say(socket, ...messages) {
	for (const message of messages)
		socket.send(message);
	await flushed(socket);
}

function numbered(from, ...texts) {
	return texts.map((text, i) => ({ seq: from + i, text }));
}

async function timed(promise) {
	const start = performance.now();
	const response = await promise;
	return { response, ms: performance.now() - start };
}

// What a poll gets.

test('a poll gets all that waits at once, numbered from 1', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'one', 'two', Buffer.from([0, 1, 2]), '', Buffer.alloc(0));
	const { response, ms } = await timed(session.poll({ after: 0, wait: 20 }));
	assert.ok(ms < 5000);
	assert.deepEqual(factsOf(response), session.batch(5, [
		{ seq: 1, text: 'one' },
		{ seq: 2, text: 'two' },
		{ seq: 3, binary: 'AAEC' },
		{ seq: 4, text: '' },
		{ seq: 5, binary: '' },
	]));
});

test('a poll waits for the first message', async (t) => {
	const { session, socket } = await openedSession(t);

	const wire = await session.startPoll({ wait: 20 });
	await session.post('the poll has come, since requests are taken in order');
	await socket.received.next();
	socket.send('hi');
	assert.deepEqual(factsOf(await wire.readResponse()), session.batch(1, numbered(1, 'hi')));
});

test('a poll without news is answered after its wait, with an empty list and its cursor', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'one');
	await session.poll();
	const { response, ms } = await timed(session.poll({ after: 1, wait: 1 }));
	assert.ok(ms >= 990 && ms < 10_000, `${ms} ms`);
	assert.deepEqual(factsOf(response), session.batch(1));
});

test('?wait=0 does not wait', async (t) => {
	const { session } = await openedSession(t);

	const { response, ms } = await timed(session.poll({ wait: 0 }));
	assert.ok(ms < 5000);
	assert.deepEqual(factsOf(response), session.batch(0));
});

test('every text comes through JSON exactly', async (t) => {
	const { session, socket } = await openedSession(t);
	const texts = ['\r\n\t\b\f"\\/\u0000\u001f\u007f', '\u2028\u2029', 'äöü€😀', '</script>', '\ufeff\uffff'];
	let all = '';
	for (let code = 0; code < 0x3000; code++)
		all += String.fromCodePoint(code);
	texts.push(all);

	await say(socket, ...texts);
	const { json } = await session.poll();
	assert.deepEqual(json.messages, numbered(1, ...texts));
});

test('every length of binary comes through base64 exactly', async (t) => {
	const { session, socket } = await openedSession(t);
	const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

	await say(socket, ...[0, 1, 2, 3, 4, 5, 255, 256].map((n) => bytes.subarray(0, n)));
	const { json } = await session.poll();
	assert.deepEqual(json.messages.map(({ binary }) => binary),
		[0, 1, 2, 3, 4, 5, 255, 256].map((n) => bytes.subarray(0, n).toString('base64')));
});

test('fragments and pings between them are one message', async (t) => {
	const { session, socket } = await openedSession(t);

	socket.send('ä'.repeat(70_000), { fin: false });
	socket.ping('x');
	socket.send('', { fin: false });
	socket.send('end', { fin: true });
	await say(socket, 'next');
	const { json } = await session.poll();
	assert.deepEqual(json.messages, numbered(1, `${'ä'.repeat(70_000)}end`, 'next'));
});

test('a batch has so many messages at most', async (t) => {
	const { session, socket } = await openedSession(t, { route: { batch_messages: 2 } });

	await say(socket, 'a', 'b', 'c', 'd', 'e');
	assert.deepEqual(factsOf(await session.poll({ after: 0 })), session.batch(2, numbered(1, 'a', 'b')));
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), session.batch(4, numbered(3, 'c', 'd')));
	assert.deepEqual(factsOf(await session.poll({ after: 4 })), session.batch(5, numbered(5, 'e')));
});

test('a batch has so many bytes at most, and a larger message travels alone', async (t) => {
	const { session, socket } = await openedSession(t, { route: { batch_size: '1k' } });
	const [half, whole, large] = ['h'.repeat(512), 'w'.repeat(1024), 'l'.repeat(3000)];

	await say(socket, half, half, 'x', large, whole, half);
	const sizes = [];
	for (let after = 0; after < 6;) {
		const { json } = await session.poll({ after });
		sizes.push(json.messages.map(({ text }) => text.length));
		after = json.cursor;
	}
	assert.deepEqual(sizes, [[512, 512], [1], [3000], [1024], [512]]);
});

// How long a poll may wait.

test('wait is capped by the limit of the route, of whatever length it is', async (t) => {
	const { session } = await openedSession(t, WAIT_1S);

	for (const wait of ['2', '3600', '99999999999999999999999999']) {
		const { response, ms } = await timed(session.poll({ wait }));
		assert.ok(ms >= 990 && ms < 10_000, `wait=${wait} took ${ms} ms`);
		assert.equal(response.status, 200);
	}
	const wish = { Prefer: 'wait=3600' };
	const { response, ms } = await timed(session.poll({ fields: wish }));
	assert.ok(ms >= 990 && ms < 10_000);
	assert.equal(response.get('Preference-Applied'), 'wait=1');
});

test('without a wait a poll waits as long as it may', async (t) => {
	const { session } = await openedSession(t, WAIT_1S);

	const { response, ms } = await timed(session.poll());
	assert.ok(ms >= 990 && ms < 10_000);
	assert.deepEqual(factsOf(response), session.batch(0));
});

test('a malformed wait in the query is 400, in the header it is ignored', async (t) => {
	const { session, socket } = await openedSession(t);

	for (const query of ['wait=', 'wait=x', 'wait=-1', 'wait=1.5', 'wait=%31', 'wait=1&wait=2', 'wait']) {
		const response = await session.ask('GET', `?${query}`);
		assert.equal(response.status, 400, query);
		assert.deepEqual(response.json, { error: 'wait' });
	}
	await say(socket, 'hi');
	for (const Prefer of ['wait=x', 'wait', 'wait=-1', 'wait=""', '=1', ';;,,', 'return=minimal']) {
		const response = await session.poll({ after: 0, fields: { Prefer } });
		assert.deepEqual(factsOf(response), session.batch(1, numbered(1, 'hi')), Prefer);
	}
});

test('Preference-Applied is said where Prefer was obeyed', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'hi');
	for (const [Prefer, applied] of [
		['wait=5', 'wait=5'],
		['wait=0', 'wait=0'],
		['WAIT = "7"; x=y', 'wait=7'],
		['respond-async, wait=9', 'wait=9'],
		['wait=3, wait=4', 'wait=3'],
		['wait=x', undefined],
	]) {
		const response = await session.poll({ after: 0, fields: { Prefer } });
		assert.equal(response.get('Preference-Applied'), applied, Prefer);
	}
	const both = await session.poll({ after: 0, wait: 1, fields: { Prefer: 'wait=5' } });
	assert.equal(both.get('Preference-Applied'), undefined);
});

test('the wait of the query wins over the one of the header', async (t) => {
	const { session } = await openedSession(t);

	const { response, ms } = await timed(session.poll({ wait: 0, fields: { Prefer: 'wait=20' } }));
	assert.ok(ms < 5000);
	assert.deepEqual(factsOf(response), session.batch(0));
});

// Cursors.

test('asking again repeats the same messages, and newer ones may follow', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b');
	const first = await session.poll({ after: 0 });
	assert.deepEqual(factsOf(await session.poll({ after: 0 })), factsOf(first));
	await say(socket, 'c');
	assert.deepEqual(factsOf(await session.poll({ after: 0 })),
		session.batch(3, numbered(1, 'a', 'b', 'c')));
});

test('after acknowledges: what is below can no longer be asked for', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b', 'c');
	await session.poll({ after: 0 });
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), session.batch(3, numbered(3, 'c')));
	const expected = session.answer(409, { error: 'cursor', cursor: 2 }, { cursor: 2 });
	for (const after of [0, 1])
		assert.deepEqual(factsOf(await session.poll({ after })), expected);
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), session.batch(3, numbered(3, 'c')));
});

test('a missing after is the acknowledged cursor', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b');
	assert.deepEqual(factsOf(await session.poll()), session.batch(2, numbered(1, 'a', 'b')));
	assert.deepEqual(factsOf(await session.poll()), session.batch(2, numbered(1, 'a', 'b')));
	await session.poll({ after: 1 });
	assert.deepEqual(factsOf(await session.poll()), session.batch(2, numbered(2, 'b')));
});

test('a cursor above what was written, or malformed, is 409 with the lowest that works', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b', 'c');
	await session.poll({ after: 0 });
	await session.poll({ after: 1 });
	await say(socket, 'not yet written');
	const expected = session.answer(409, { error: 'cursor', cursor: 1 }, { cursor: 1 });
	for (const after of ['4', '5', '18446744073709551615', '18446744073709551616', '', 'x', '-1',
		'+2', '2.0', '%32', '0x2', '2e0', '2&after=2'])
		assert.deepEqual(factsOf(await session.poll({ after })), expected, `after=${after}`);
	assert.equal((await session.poll({ after: 1 })).json.cursor, 4);
});

test('409 disturbs nothing: a held poll is held on', async (t) => {
	const { session, socket } = await openedSession(t);

	const held = await session.startPoll({ after: 0, wait: 20 });
	await session.post('the poll has come');
	await socket.received.next();
	assert.equal((await session.poll({ after: 7 })).status, 409);
	assert.equal((await session.poll({ wait: 'x' })).status, 400);
	assert.equal((await session.post('', { 'Content-Type': 'image/png' })).status, 415);
	socket.send('hi');
	assert.deepEqual(factsOf(await held.readResponse()), session.batch(1, numbered(1, 'hi')));
});

test('the newest transport wins: a superseded poll is answered at once and says so', async (t) => {
	const { session, socket } = await openedSession(t);

	const older = await session.startPoll({ after: 0, wait: 20 });
	await session.post('the poll has come');
	const newer = await session.startPoll({ after: 0, wait: 20 });
	assert.deepEqual(factsOf(await older.readResponse()), session.batch(0, [], { superseded: true }));
	socket.send('hi');
	assert.deepEqual(factsOf(await newer.readResponse()), session.batch(1, numbered(1, 'hi')));
});

test('a stream supersedes a poll, and a poll a stream', async (t) => {
	const { session, socket } = await openedSession(t);

	const poll = await session.startPoll({ wait: 20 });
	await session.post('the poll has come');
	const stream = await session.stream('', EVENTS);
	assert.deepEqual(factsOf(await poll.readResponse()), session.batch(0, [], { superseded: true }));
	await stream.expect(session.prelude(0));
	const last = await session.startPoll({ wait: 20 });
	await stream.expectEnd();
	socket.send('hi');
	assert.deepEqual(factsOf(await last.readResponse()), session.batch(1, numbered(1, 'hi')));
});

test('one connection carries poll after poll, also in a pipeline', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	await say(socket, 'a', 'b');
	const wire = await bridge.connect();
	wire.send(requestText('GET', `${session.url}?after=0`), requestText('GET', `${session.url}?after=1`),
		requestText('GET', `${session.url}?after=2&wait=0`));
	assert.deepEqual(factsOf(await wire.readResponse()), session.batch(2, numbered(1, 'a', 'b')));
	assert.deepEqual(factsOf(await wire.readResponse()), session.batch(2, numbered(2, 'b')));
	assert.deepEqual(factsOf(await wire.readResponse()), session.batch(2));
});

// Pollux-Ack.

test('Pollux-Ack acknowledges on any request of the session', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b', 'c', 'd');
	await session.poll({ after: 0 });
	const posted = await session.post('x', { ...TEXT, 'Pollux-Ack': '1' });
	assert.deepEqual(factsOf(posted), session.answer(204, undefined, { cursor: 1, seq: 0 }));
	assert.equal((await session.poll({ after: 0 })).status, 409);
	assert.deepEqual(factsOf(await session.poll({ after: 1, fields: { 'Pollux-Ack': '3' } })),
		session.batch(4, numbered(4, 'd')));
	assert.deepEqual(factsOf(await session.poll()), session.batch(4, numbered(4, 'd')));
});

test('a Pollux-Ack out of range is 409, and its request has no effect', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'a', 'b');
	await session.poll({ after: 0 });
	const held = await session.startPoll({ after: 2, wait: 20 });
	await session.post('the poll has come');
	await socket.received.next();
	for (const ack of ['3', '18446744073709551616', 'x', '', '-1']) {
		const fields = { ...TEXT, 'Pollux-Ack': ack };
		const expected = session.answer(409, { error: 'cursor', cursor: 2 }, { cursor: 2 });
		assert.deepEqual(factsOf(await session.poll({ after: 2, fields })), expected, ack);
		assert.deepEqual(factsOf(await session.ask('DELETE', '', { fields })), expected, ack);
		expected.fields['Pollux-Seq'] = '0';
		assert.deepEqual(factsOf(await session.post('not sent', fields)), expected, ack);
	}
	await session.post('sent');
	assert.equal(await socket.received.next(), 'sent');
	socket.send('c');
	assert.deepEqual(factsOf(await held.readResponse()), session.batch(3, numbered(3, 'c')));
});

// The close.

test('the close stands beside the last messages, and the cursor is its number', async (t) => {
	const { session, socket, backend } = await openedSession(t);

	socket.send('last');
	socket.close(4001, 'bye "now"\n');
	await backend.closeOf(socket);
	const closed = { code: 4001, reason: 'bye "now"\n', undelivered: 0 };
	const whole = session.batch(2, numbered(1, 'last'), { closed });
	assert.deepEqual(factsOf(await session.poll({ after: 0 })), whole);
	assert.deepEqual(factsOf(await session.poll({ after: 0 })), whole, 'repeated');
	const rest = session.batch(2, [], { closed });
	assert.deepEqual(factsOf(await session.poll({ after: 1 })), rest);
	assert.deepEqual(factsOf(await session.poll({ after: 1 })), rest, 'repeated');
	const gone = session.answer(410, { error: 'closed', closed }, { cursor: 2 });
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), gone);
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), gone, 'repeated');
	assert.deepEqual(factsOf(await session.poll()), gone, 'at the acknowledged cursor');
	assert.equal((await session.poll({ after: 1 })).status, 409);
	assert.equal((await session.poll({ after: 3 })).status, 409);
});

test('a held poll gets the close at once', async (t) => {
	const { session, socket } = await openedSession(t);

	const held = await session.startPoll({ wait: 20 });
	await session.post('the poll has come');
	await socket.received.next();
	socket.close(1000, 'bye');
	assert.deepEqual(factsOf(await held.readResponse()),
		session.batch(1, [], { closed: { code: 1000, reason: 'bye', undelivered: 0 } }));
});

test('the close waits behind a full batch', async (t) => {
	const { session, socket, backend } = await openedSession(t, { route: { batch_messages: 2 } });

	['a', 'b', 'c'].forEach((text) => socket.send(text));
	socket.close(1000);
	await backend.closeOf(socket);
	assert.deepEqual(factsOf(await session.poll({ after: 0 })), session.batch(2, numbered(1, 'a', 'b')));
	assert.deepEqual(factsOf(await session.poll({ after: 2 })), session.batch(4, numbered(3, 'c'),
		{ closed: { code: 1000, reason: '', undelivered: 0 } }));
});

for (const [how, close, code] of [
	['with a code', (socket) => socket.close(3999), 3999],
	['without a code', (socket) => socket.close(), 1005],
	['by cutting the connection', (socket) => socket.terminate(), 1006],
	['by ending the connection', (socket) => socket._socket.end(), 1006],
]) {
	test(`a backend that closes ${how}: ${code}`, async (t) => {
		const { session, socket } = await openedSession(t);

		await say(socket, 'a');
		close(socket);
		let answer = await session.poll({ after: 0 });
		if (answer.json.closed === undefined)
			answer = await session.poll({ after: 1 });
		assert.deepEqual(answer.json.closed, { code, reason: '', undelivered: 0 });
		assert.equal(answer.json.cursor, 2);
	});
}

test('POST and DELETE on a closed session are 410, wherever the cursor stands', async (t) => {
	const { session, socket, backend } = await openedSession(t);

	await session.post('one', { ...TEXT, 'Pollux-Seq': '1' });
	socket.close(1000, 'bye');
	await backend.closeOf(socket);
	const closed = { code: 1000, reason: 'bye', undelivered: 0 };
	for (let n = 0; n < 2; n++) {
		const gone = session.answer(410, { error: 'closed', closed }, { cursor: n });
		assert.deepEqual(factsOf(await session.ask('DELETE')), gone);
		gone.fields['Pollux-Seq'] = '1';
		assert.deepEqual(factsOf(await session.post('x')), gone);
		assert.deepEqual(factsOf(await session.ask('POST', '?close')), gone);
		assert.deepEqual(factsOf(await session.post('one', { ...TEXT, 'Pollux-Seq': '1' })), gone);
		await session.poll({ after: 0 });
		await session.poll({ after: 1 });
	}
});

test('an unknown session is 404 for every method', async (t) => {
	const { bridge } = await openedSession(t);

	for (const method of ['GET', 'POST', 'DELETE']) {
		const { fields, status, body } = factsOf(await bridge.ask(method, '/chat/~w1.unknown'));
		assert.equal(status, 404, method);
		assert.equal(body, '{"error":"unknown session"}\n');
		assert.equal(fields['Pollux-Session'], undefined);
	}
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat/~w1.unknown', { fields: EVENTS })),
		jsonAnswer(404, { error: 'unknown session' }));
});
