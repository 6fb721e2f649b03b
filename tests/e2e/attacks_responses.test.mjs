// What backends may not say, and what becomes of it: a response that is not valid is 502 and the
// end of the backend's connection; one that breaks in its body is cut, never completed.
import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, forwardedGet, get, ok, passedOk } from './lib/stage.mjs';
import { withoutDate } from './lib/wire.mjs';

const SPLIT = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

async function arena(t) {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, { backend, route: { forwarded: 'off' } });
	return { backend, pollux };
}

/*
 * One row: the backend answers a GET with `says`; the client gets exactly `gets` (a page's reason or
 * bytes). Then the connection to the backend is gone, and the next request goes over a new one.
 */
async function answered(t, { backend, pollux }, { says, gets, reason, ends, isCut, method = 'GET' }) {
	const client = await connect(t, pollux);

	client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
	const conn = await backend.accept();
	await conn.expect(`${method} / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\n\r\n`);
	conn.send(says);
	if (ends)
		conn.end();
	const wanted = gets ?? page(reason);
	if (isCut) {
		assert.equal(withoutDate((await client.readAll()).toString('latin1')), wanted);
	} else {
		await client.expect(wanted);
	}
	await conn.expectGone();
	assert.equal(conn.size, 0);
	if (reason !== undefined)
		await pollux.accessed({ reason });

	const next = isCut ? await connect(t, pollux) : client;
	next.send(get('/next'));
	const other = await backend.accept();
	await other.expect(forwardedGet('/next'));
	other.send(ok('good', 'Connection: close\r\n'));
	await next.expect(passedOk('good'));
}

async function all(t, rows) {
	const stage = await arena(t);
	for (const row of rows)
		await t.test(row.name, (sub) => answered(sub, stage, row));
}

const bad = (name, says) => ({ name, says, reason: 'backend-protocol' });

test('heads that are not valid: 502', async (t) => {
	const field = (line, name = JSON.stringify(line)) =>
		bad(name, `HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 0\r\n\r\n`);
	const line = (text) => bad(JSON.stringify(text), `${text}\r\nContent-Length: 0\r\n\r\n`);

	await all(t, [
		...['HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 +20 OK', 'HTTP/1.1 0x2 OK', 'HTTP/1.1  200 OK',
			'HTTP/1.1 200\tOK', ' HTTP/1.1 200 OK', 'http/1.1 200 OK', 'HTTP/2.0 200 OK', 'HTTP/1 200 OK',
			'HTTP/1.1\t200 OK', 'HTTP/1.1 099 OK', 'HTTP/1.1 000 OK', 'ICY 200 OK', 'HTTP/1.1 200 O\0K',
			'HTTP/1.1 200 O\rK', 'hello', '<html>'].map(line),
		...['X : a', 'X\t: a', ': a', 'X', 'X: a\r\n b', 'X: a\0b', 'X: a\rb', 'X: a\x0bb', 'X\0: a', 'X(: a',
			'X: a\r\n\tContent-Length: 3', ' X: a', 'X\x80: a'].map((text) => field(text)),
		bad('bare LF behind the status line', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'),
		bad('bare LF behind a field', 'HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n'),
		bad('bare LF as the empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n'),
		bad('a head that is too large', `HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(70)}\r\n`),
		bad('too many fields', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(201)}\r\n`),
	]);
});

test('framing that is in doubt: 502', async (t) => {
	const framed = (fields, name = JSON.stringify(fields)) =>
		bad(name, `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);

	await all(t, [
		framed('Content-Length: 5\r\nTransfer-Encoding: chunked'),
		framed('Transfer-Encoding: chunked\r\nContent-Length: 5'),
		...['+5', '-5', '0x5', '', '5, 5', '5,6', '5 5', '1_0', '18446744073709551616', 'five']
			.map((length) => framed(`Content-Length: ${length}`)),
		framed('Content-Length: 5\r\nContent-Length: 5'),
		framed('Content-Length: 5\r\nContent-Length: 6'),
		...['xchunked', 'gzip', 'gzip, chunked', 'chunked, chunked', 'chunked, identity', ', chunked', 'chunked;a=b', '']
			.map((coding) => framed(`Transfer-Encoding: ${coding}`)),
		framed('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
		bad('Transfer-Encoding in HTTP/1.0',
			'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'),
	]);
});

test('bodies that break: what was good, and no end', async (t) => {
	const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
	const PASSED = 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n';
	const stage = await arena(t);
	// The good part comes first and has passed when the bad one is sent.
	const rows = [
		['no digit', '\r\nabc\r\n0\r\n\r\n'],
		['no hex digit', 'xyz\r\nabc\r\n0\r\n\r\n'],
		['a sign', '+3\r\nabc\r\n0\r\n\r\n'],
		['17 digits', '00000000000000003\r\nabc\r\n0\r\n\r\n'],
		['all ones', 'ffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
		['bare LF behind the size', '3\nabc\r\n0\r\n\r\n'],
		['bare LF in an extension', '3;a\nb\r\nabc\r\n0\r\n\r\n'],
		['an endless extension', `3;${'a'.repeat(5000)}\r\nabc\r\n0\r\n\r\n`],
		['data that is too long', '3\r\nabcd\r\n0\r\n\r\n'],
		['another response instead of a chunk', SPLIT],
		['bare LF behind the last chunk', '0\n\n'],
		['a trailer without colon', '0\r\nX\r\n\r\n'],
		['a folded trailer', '0\r\nX: y\r\n z\r\n\r\n'],
		['trailers that are too large', `0\r\nX: ${'y'.repeat(70_000)}\r\n\r\n`],
	];

	for (const [name, broken] of rows) {
		await t.test(name, async (sub) => {
			const client = await connect(sub, stage.pollux);
			client.send(get('/'));
			const conn = await stage.backend.accept();
			await conn.expect(forwardedGet('/'));
			conn.send(CHUNKED, '4\r\ngood\r\n');
			await client.expect(PASSED, '4\r\ngood\r\n');
			conn.send(broken);
			await client.expectGone();
			const rest = client.peek().toString('latin1');
			assert.ok(rest === '' || rest === '3\r\nabc\r\n', `after the good part: ${rest}`);
			await conn.expectGone();
			await stage.pollux.accessed({ reason: 'backend-cut' });
		});
	}
});

test('a response shorter than its length is cut', async (t) => {
	await all(t, [{
		name: 'with Content-Length',
		says: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort',
		ends: true,
		gets: 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 10\r\n\r\nshort',
		isCut: true,
		reason: 'backend-cut',
	}, {
		name: 'with chunks',
		says: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n',
		ends: true,
		gets: 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n',
		isCut: true,
		reason: 'backend-cut',
	}, {
		name: 'between last chunk and empty line',
		says: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n',
		ends: true,
		gets: 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n',
		isCut: true,
		reason: 'backend-cut',
	}]);
});

test('bytes beyond a response go nowhere', async (t) => {
	const beyond = (name, says, gets, method) => ({ name, says, gets, method });

	await all(t, [
		beyond('behind a length', `${ok()}${SPLIT}`, passedOk()),
		beyond('behind the last chunk', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${SPLIT}`,
			'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
		beyond('behind 204', `HTTP/1.1 204 No Content\r\n\r\n${SPLIT}`,
			'HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n'),
		beyond('behind 204 that announces a body',
			`HTTP/1.1 204 No Content\r\nContent-Length: ${SPLIT.length}\r\n\r\n${SPLIT}`,
			'HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n'),
		beyond('behind 304', `HTTP/1.1 304 Not Modified\r\nContent-Length: ${SPLIT.length}\r\n\r\n${SPLIT}`,
			`HTTP/1.1 304 Not Modified\r\nVia: 1.1 pollux\r\nContent-Length: ${SPLIT.length}\r\n\r\n`),
		beyond('behind the answer to HEAD', `HTTP/1.1 200 OK\r\nContent-Length: ${SPLIT.length}\r\n\r\n${SPLIT}`,
			`HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: ${SPLIT.length}\r\n\r\n`, 'HEAD'),
		beyond('behind a length of 0', `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${SPLIT}`, passedOk('')),
	]);
});

test('a request body that the backend did not wait for does not become the next request', async (t) => {
	const { backend, pollux } = await arena(t);
	const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

	for (const method of ['OPTIONS', 'HEAD', 'GET', 'POST']) {
		await t.test(method, async (sub) => {
			const client = await connect(sub, pollux);
			const [first, rest] = [smuggled.slice(0, 3), smuggled.slice(3)];
			client.send(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${first}`);
			const conn = await backend.accept();
			await conn.expect(`${method} / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\n`
				+ `Content-Length: ${smuggled.length}\r\n\r\n${first}`);
			conn.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
			await client.expect(passedOk(''));
			await conn.expectGone();
			assert.equal(conn.size, 0);
			client.send(rest, get('/next'));
			const next = await backend.accept();
			await next.expect(forwardedGet('/next'));
			next.send(ok('good', 'Connection: close\r\n'));
			await client.expect(passedOk('good'));
		});
	}
});

test('101 that nobody asked for: 502', async (t) => {
	await all(t, [
		bad('to a GET', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nsecret'),
		bad('without fields', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'),
		bad('behind 100', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n'),
	]);
});

test('interim responses without end are no response', async (t) => {
	const { backend, pollux } = await arena(t);
	const client = await connect(t, pollux);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(10_000));
	const response = await client.readResponse();
	assert.equal(response.status, 502);
	await conn.expectGone();
	await pollux.accessed({ reason: 'backend-protocol' });
});
