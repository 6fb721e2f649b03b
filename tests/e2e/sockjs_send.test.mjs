// What SockJS clients send, byte by byte, and what the backend gets of it; escapes both ways.
import assert from 'node:assert/strict';
import test from 'node:test';

import { heldBack } from './lib/bridge.mjs';
import { openedSock, sockStage } from './lib/sockjs.mjs';
import { pass } from './lib/wait.mjs';

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

test('xhr_send: one text frame for each string of the array, in order', async (t) => {
	const { session, socket } = await openedSock(t);
	assert.equal((await session.send('[]')).status, 204);
	await session.sends('a', '', 'c');
	await session.sends('ü€😀');
	assert.equal((await session.send(' [ "\\u0000\\/\\"" ,\n"\\ud83d\\ude00"] ')).status, 204);
	assert.deepEqual(await socket.received.count(6), ['a', '', 'c', 'ü€😀', '\0/"', '😀']);
});

test('lone surrogates become U+FFFD, where a string has them and nowhere else', async (t) => {
	const { session, socket } = await openedSock(t);
	const body = '["\\ud800","\\udc00x","\\ud83d\\ud83d\\ude00","\\\\ud800","\\uD800\\u0041","\\ud800\\n"]';
	assert.equal((await session.send(body)).status, 204);
	assert.deepEqual(await socket.received.count(6), ['\ufffd', '\ufffdx', '\ufffd😀', '\\ud800', '\ufffdA', '\ufffd\n']);
});

const PAYLOAD = 'Payload expected.';
const BROKEN = 'Broken JSON encoding.';

test('what is no array of strings is told, before whether the session is known', async (t) => {
	const { session, socket, sock } = await openedSock(t);
	for (const [body, text] of [['', PAYLOAD], [' \r\n', PAYLOAD], ['{}', PAYLOAD], ['"x"', PAYLOAD], ['1', PAYLOAD], ['null', PAYLOAD],
		['[1]', PAYLOAD], ['["a",null]', PAYLOAD], ['[["a"]]', PAYLOAD], ['["x', BROKEN], ['["x"', BROKEN], ['[x]', BROKEN],
		['["x",]', BROKEN], ['["x"]y', BROKEN], ['["\xff"]', BROKEN], ['["\\x"]', BROKEN], ['["\\u12"]', BROKEN], ['["\n"]', BROKEN],
		['\\', BROKEN], ['["\\', BROKEN], ['['.repeat(5000), BROKEN]]) {
		for (const one of [session, sock.session()]) {
			const response = await one.send(Buffer.from(body, 'latin1'));
			assert.equal(response.status, 500, body);
			assert.match(response.body.toString(), new RegExp(text), body);
		}
	}
	assert.equal((await sock.session().send('["x"]')).status, 404);
	await session.sends('good');
	assert.deepEqual(await socket.received.count(1), ['good']);
});

test('xhr_send takes the types that browsers have sent it as', async (t) => {
	const { session, socket } = await openedSock(t);
	const types = ['text/plain', 'T', 'application/json', 'application/xml', 'text/xml', 'text/plain; charset=UTF-8',
		'application/json;charset=utf-8', '', undefined, 'TEXT/PLAIN'];
	for (const type of types)
		assert.equal((await session.send('["x"]', { fields: { 'Content-Type': type } })).status, 204, type);
	assert.equal((await socket.received.count(types.length)).length, types.length);
	for (const type of ['application/x-www-form-urlencoded', 'text/html', 'application/octet-stream', 'image/png']) {
		const response = await session.send('["x"]', { fields: { 'Content-Type': type } });
		assert.equal(response.status, 500);
		assert.match(response.body.toString(), /Payload expected\./);
	}
});

test('jsonp_send: a form with d, or the array as it is', async (t) => {
	const { session, socket } = await openedSock(t);
	const send = (body, fields = FORM) => session.send(body, { fields, transport: 'jsonp_send' });
	for (const [body, fields] of [['d=%5B%22a+b%22%5D', FORM], ['x=y&d=["c"]&d=["no"]', FORM], ['["d"]', { 'Content-Type': 'text/plain' }],
		[`d=${encodeURIComponent('["é+😀%"]')}`, FORM], ['["f"]', {}]]) {
		const response = await send(body, fields);
		assert.equal(response.status, 200, body);
		assert.equal(response.body.toString(), 'ok');
	}
	assert.deepEqual(await socket.received.count(5), ['a b', 'c', 'd', 'é+😀%', 'f']);
	for (const [body, text] of [['', PAYLOAD], ['d=', PAYLOAD], ['x=["a"]', PAYLOAD], ['d', PAYLOAD], ['d={}', PAYLOAD], ['d=[', BROKEN],
		['d=%5B%22%FF%22%5D', BROKEN]]) {
		const response = await send(body);
		assert.equal(response.status, 500);
		assert.match(response.body.toString(), new RegExp(text), body);
	}
	assert.equal((await send('["x"]', { 'Content-Type': 'application/json' })).status, 500);
});

test('the limit of a message holds for each: at it 204, one byte more 413, and nothing is sent', async (t) => {
	const { session, socket } = await openedSock(t, { route: { max_message_size: 100, queue: '1k' } });
	await session.sends('x'.repeat(100), '€'.repeat(33));
	assert.equal((await session.send(JSON.stringify(['a', 'x'.repeat(101)]))).status, 413);
	assert.equal((await session.send(JSON.stringify(['€'.repeat(34)]))).status, 413);
	// 600 bytes of text, and 100 of the message.
	assert.equal((await session.send(`["${'\\u0041'.repeat(100)}"]`)).status, 204);
	// Together more than the queue.
	assert.equal((await session.send(JSON.stringify(Array(20).fill('x'.repeat(60))))).status, 413);
	assert.equal((await session.send(JSON.stringify(Array(2000).fill('')))).status, 413);
	assert.equal((await session.send(' '.repeat(100_000))).status, 413);
	await session.sends('still here');
	assert.deepEqual(await socket.received.count(4),
		['x'.repeat(100), '€'.repeat(33), 'A'.repeat(100), 'still here']);
});

test('a backend that does not read: the send waits, then 503, and the session lives', async (t) => {
	const { session, socket } = await openedSock(t, { route: { queue: '1M', send_timeout: '300ms', sockjs_disconnect_delay: '30s' } });
	socket.pause();
	const text = 'x'.repeat(500_000);
	let response;
	for (let n = 0; n < 64 && response?.status !== 503; n++)
		response = await session.send(JSON.stringify([text]));
	assert.equal(response.status, 503);
	socket.resume();
	await socket.received.next();
	await session.sends('on');
	await socket.received.until(() => socket.received.all.at(-1) === 'on', 'the last');
	assert.ok(socket.received.all.slice(0, -1).every((one) => one === text));
});

test('a client that does not ask: the backend is held back, and nothing is lost', async (t) => {
	const { session, socket } = await openedSock(t, { route: { max_message_size: '20k', queue: '64k', sockjs_disconnect_delay: '30s' } });
	const N = 4000;
	for (let n = 0; n < N; n++)
		socket.send(`${n}:${'x'.repeat(10_000)}`);
	await heldBack(socket);
	let next = 0;
	while (next < N) {
		const texts = JSON.parse((await session.frame()).slice(1));
		for (const text of texts)
			assert.equal(text, `${next++}:${'x'.repeat(10_000)}`);
	}
});

test('what is escaped to the client', async (t) => {
	const { session, socket } = await openedSock(t);
	const ranges = [[0, 0x1f], [0x200c, 0x200f], [0x2028, 0x202f], [0x2060, 0x206f], [0xfff0, 0xffff]];
	const short = { 8: '\\b', 9: '\\t', 10: '\\n', 12: '\\f', 13: '\\r' };
	let text = '';
	let wanted = '';
	for (const [from, to] of ranges) {
		for (let c = from; c <= to; c++) {
			text += String.fromCharCode(c);
			wanted += short[c] ?? `\\u${c.toString(16).padStart(4, '0')}`;
		}
	}
	socket.send(text);
	await session.expectFrame(`a["${wanted}"]`);
	socket.send('\u200b\u2010\u2027\u2030\u205f\u2070\uffef\u007f\u0080é€ "\\/');
	await session.expectFrame('a["\u200b\u2010\u2027\u2030\u205f\u2070\uffef\u007f\u0080é€ \\"\\\\/"]');
	socket.send('😀\u{10000}\u{10ffff}');
	await session.expectFrame('a["\\ud83d\\ude00\\ud800\\udc00\\udbff\\udfff"]');
});

test('event streams escape what would end a line, and the percent', async (t) => {
	const { sock, backend } = await sockStage(t);
	const receiver = await sock.session().receive('eventsource');
	await receiver.expect('data: o\r\n\r\n');
	(await backend.accept()).send('100% %41 \r\n');
	await receiver.expect('data: a["100%25 %2541 \\r\\n"]\r\n\r\n');
});

test('a body that is cut is no message', async (t) => {
	const { session, socket, bridge } = await openedSock(t);
	const wire = await bridge.connect();
	await wire.sent(`POST ${session.url}/xhr_send HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n["a"`);
	wire.reset();
	await session.sends('b');
	assert.deepEqual(await socket.received.count(1), ['b']);
	await pass(50);
	assert.deepEqual(socket.received.all, ['b']);
});
