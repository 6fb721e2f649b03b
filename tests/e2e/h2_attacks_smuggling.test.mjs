// What an HTTP/2 client may try to write into the HTTP/1.1 connection of a backend: each row is what it
// sends, and exactly what the backend gets, which is nothing where it is refused. Names of fields are
// compared without case.
import assert from 'node:assert/strict';
import test from 'node:test';

import { CODE, data, headers } from './lib/h2_frames.mjs';
import { added, block, huffmanString, indexed, neverIndexed, plain } from './lib/h2_hpack.mjs';
import { h2Arena } from './lib/h2_rows.mjs';
import { request } from './lib/h2_wire.mjs';

const END = { endStream: true };
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const VIA = 'via: 2.0 pollux\r\n';
const PLAIN = 'GET / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\n'; // up to the end of its head
const FENCE = `GET /fence HTTP/1.1\r\nhost: a\r\n${VIA}\r\n`;

// Field names in lower case, and one spelling of the version in Via.
function comparable(text) {
	return text.replace(/^[A-Za-z0-9-]+(?=: )/gm, (name) => name.toLowerCase())
		.replace(/^via: 2 pollux/gm, 'via: 2.0 pollux');
}

/*
 * One row: { name, frames: (id) => [...] } or { name, fields }, and
 *	forwarded  what the backend gets, and the client's 200; or
 *	reason     (or several) in the access log, of a request that no backend hears of: the stream is
 *	           reset with PROTOCOL_ERROR, or gets a 4xx or 501
 */
async function row(t, { backend, pollux, connect }, { fields, frames, forwarded = '', reason }) {
	const client = await connect(t);
	const id = client.nextStream();
	const from = backend.heard.length;

	client.send(...(frames?.(id) ?? [headers(id, fields, END)]));
	if (reason === undefined) {
		await client.expectStatus(id, 200);
	} else {
		await client.expectOutcome(id);
		const { response, code } = client.stream(id);
		if (response === undefined)
			assert.equal(code, CODE.PROTOCOL_ERROR);
		else
			assert.ok((response.status >= 400 && response.status < 500) || response.status === 501, `${response.status}`);
		await pollux.accessed({ reason: new RegExp(`^(${[reason].flat().join('|')})$`) });
	}
	await client.expectServes('/fence');
	assert.equal(comparable(backend.heard.slice(from)), comparable(forwarded) + FENCE);
	client.close();
}

async function rows(t, stage, given) {
	for (const one of given)
		await t.test(one.name, (sub) => row(sub, stage, one));
}

const refused = (name, fields, reason = 'bad-request') => ({ name, fields, reason });
const field = (name, value) => request({ fields: [[name, value]] });
const passed = (name, fields, head) => ({ name, fields, forwarded: `${head}\r\n` });

test('lines and requests within fields', async (t) => {
	const values = (name, value) => refused(`${name}, in a value`, field('x', value));
	const names = (name, value) => refused(`${name}, in a name`, field(value, 'y'));

	await rows(t, await h2Arena(t), [
		values('a field', 'y\r\nX-Injected: 1'),
		values('a field behind LF', 'y\nX-Injected: 1'),
		values('a field behind CR', 'y\rX-Injected: 1'),
		values('a whole request', `y\r\n\r\n${SMUGGLED}`),
		values('the end of a head', 'y\r\n\r\n'),
		values('NUL', 'y\0z'),
		values('a folded line', 'y\r\n z'),
		values('LF in front', '\ny'),
		values('CR behind', 'y\r'),
		values('a space in front', ' y'),
		values('a tab behind', 'y\t'),
		names('a field', 'x: y\r\nx-injected'),
		names('a whole request', `x: y\r\n\r\n${SMUGGLED}x`),
		names('a colon', 'x:y'),
		names('a colon behind', 'transfer-encoding:'),
		names('a colon and a value', 'transfer-encoding: chunked'),
		names('a space behind', 'transfer-encoding '),
		names('a space in front', ' transfer-encoding'),
		names('a tab', 'transfer-encoding\t'),
		names('LF', 'x\ny'),
		names('NUL', 'x\0'),
		names('an upper case letter', 'Transfer-Encoding'),
		names('a byte beyond ASCII', 'x\xe9'),
		names('a bracket', 'x(y)'),
		names('a slash', 'x/y'),
		refused('an empty name', field('', 'transfer-encoding: chunked')),
		refused('a field in a cookie', field('cookie', 'a=b\r\nX-Injected: 1')),
		refused('a field in the second of two cookies', request({ fields: [['cookie', 'a=b'], ['cookie', 'c=d\r\nX: 1']] })),
		...[
			['from the dynamic table', [added('x', 'y\r\nZ: 1'), indexed(62)]],
			['never indexed', [neverIndexed('x', 'y\r\nZ: 1')]],
			// CR is 28 ones and 01, LF 28 ones and 00, and four ones are padding.
			['as a Huffman code', [plain('x', huffmanString([0xff, 0xff, 0xff, 0xf7, 0xff, 0xff, 0xff, 0xcf]))]],
		].map(([name, bytes]) => ({ name: `a line ${name}`, reason: 'bad-request',
			frames: (id) => [headers(id, Buffer.concat([block(request()), ...bytes]), END)] })),
		passed('what only looks like it passes', field('x', 'a: b, c\\r\\nd %0d%0a e\x80'),
			'GET / HTTP/1.1\r\nHost: a\r\nx: a: b, c\\r\\nd %0d%0a e\x80\r\nVia: 2.0 pollux\r\n'),
	]);
});

test('lines and requests within pseudo-header fields', async (t) => {
	const method = (name, value, reason) => refused(`${name}, in :method`, request({ method: value }), reason);
	const path = (name, value, reason) => refused(`${name}, in :path`, request({ path: value }), reason);
	const scheme = (name, value) => refused(`${name}, in :scheme`, request({ scheme: value }));
	const authority = (name, value) =>
		refused(`${name}, in :authority`, request({ authority: value }), ['bad-host', 'bad-request']);

	await rows(t, await h2Arena(t), [
		method('a request', `GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET`),
		method('a target', 'GET /smuggled?'),
		method('a target and a version', 'GET /smuggled HTTP/1.1\r\nX:'),
		method('a space behind', 'GET '),
		method('LF', 'G\nET'),
		method('NUL', 'GET\0'),
		method('nothing', ''),
		method('a bracket', 'G(ET'),
		method('200 letters', 'A'.repeat(200), ['bad-request', 'method']),
		path('a request', `/ HTTP/1.1\r\nHost: a\r\n\r\n${SMUGGLED}`),
		path('a version', '/smuggled HTTP/1.0'),
		path('a space', '/a b'),
		path('a space in front', ' /a'),
		path('a tab', '/a\tb'),
		path('CR', '/a\rb'),
		path('LF', '/a\nb'),
		path('NUL', '/a\0b'),
		path('a byte beyond ASCII', '/\xe9'),
		path('DEL', '/\x7f'),
		path('nothing', ''),
		path('a host', 'http://b/smuggled'),
		path('a host without a scheme', 'b:80'),
		path('no slash', 'smuggled'),
		path('a question mark alone', '?x'),
		path('a fragment', '/a#b'),
		path('an asterisk', '*'),
		scheme('a host', 'http://b'),
		scheme('a line', 'http\r\nX: y'),
		scheme('a space', 'http '),
		scheme('two', 'http, https'),
		scheme('nothing', ''),
		scheme('another one', 'file'),
		scheme('a bracket', 'ht(tp'),
		authority('a line', 'a\r\nX: y'),
		authority('a request', `a\r\n\r\n${SMUGGLED}`),
		authority('a user', 'user@a'),
		authority('a user and a password', 'user:password@a'),
		authority('an empty user', '@a'),
		authority('a path', 'a/b'),
		authority('a query', 'a?b'),
		authority('a fragment', 'a#b'),
		authority('a backslash', 'a\\b'),
		authority('a space', 'a b'),
		authority('a space behind', 'a '),
		authority('a comma', 'a,b'),
		authority('two ports', 'a:80:81'),
		authority('a port that is none', 'a:x'),
		authority('half an IPv6 address', '[::1'),
		authority('NUL', 'a\0'),
		authority('a byte beyond ASCII', 'a\xe9'),
		authority('nothing', ''),
		passed('what is strange but right passes in :path', request({ path: '//b/..;/%0d%0a?x=http://c/?&*' }),
			'GET //b/..;/%0d%0a?x=http://c/?&* HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\n'),
		passed('an IPv6 address passes in :authority', request({ authority: '[::1]:8080' }),
			'GET / HTTP/1.1\r\nHost: [::1]:8080\r\nVia: 2.0 pollux\r\n'),
		passed('any token passes in :method', request({ method: "a!#$%&'*+-.^_`|~1" }),
			"a!#$%&'*+-.^_`|~1 / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\n"),
	]);
});

test('the host', async (t) => {
	const BAD = ['bad-host', 'bad-request'];
	const host = (name, value, given = {}) => refused(name, request({ ...given, fields: [['host', value]] }), BAD);
	const second = (value) => request().concat([['host', 'a'], ['host', value]]);

	await rows(t, await h2Arena(t), [
		host('another one than :authority', 'b'),
		host('one that goes on in another line', 'a\r\nHost: b'),
		host('a list with :authority', 'a, b'),
		host('another one in the place of :authority, with a path', 'a/b', { authority: null }),
		host('with a user', 'x@a', { authority: null }),
		host('empty', '', { authority: null }),
		refused('two, one right', second('b'), BAD),
		refused('none at all', request({ authority: null }), BAD),
		passed('the same one passes once', request({ fields: [['host', 'a']] }), PLAIN),
		passed('it may stand for :authority', request({ authority: null, fields: [['host', 'b:81']] }),
			'GET / HTTP/1.1\r\nHost: b:81\r\nVia: 2.0 pollux\r\n'),
	]);
});

test('framing of HTTP/1.1 (H2.CL and H2.TE)', async (t) => {
	const post = (fields) => request({ method: 'POST', fields });
	const withBody = (name, fields, ...bodies) => ({ name, reason: 'bad-request', frames: (id) => [
		headers(id, post(fields)), ...bodies.map((body, n) => data(id, body, { endStream: n === bodies.length - 1 }))] });
	const chunked = ['transfer-encoding', 'chunked'];

	await rows(t, await h2Arena(t), [
		withBody('Transfer-Encoding, and a request behind the last chunk', [chunked], `0\r\n\r\n${SMUGGLED}`),
		withBody('Transfer-Encoding and Content-Length', [['content-length', '4'], chunked], 'abcd'),
		withBody('Transfer-Encoding in another case', [['transfer-encoding', 'CHUNKED']], `0\r\n\r\n${SMUGGLED}`),
		refused('Transfer-Encoding without a body', post([chunked])),
		refused('Transfer-Encoding: identity', post([['transfer-encoding', 'identity']])),
		refused('Connection that takes a field away', request({ fields: [['connection', 'x'], ['x', 'y']] })),
		refused('Connection: close', field('connection', 'close')),
		refused('Keep-Alive', field('keep-alive', '1')),
		refused('Proxy-Connection', field('proxy-connection', 'close')),
		refused('Upgrade to WebSocket', field('upgrade', 'websocket')),
		refused('Upgrade: h2c', field('upgrade', 'h2c')),
		refused('TE of more than trailers', field('te', 'trailers, chunked')),
		refused('Content-Length without a body', post([['content-length', '5']])),
		refused('Content-Length of a GET without a body', field('content-length', '5')),
		...['-1', '+0', '0x0', '0,0', '0, 5', '', 'x', '1e1', '0 '].map((value) =>
			withBody(`Content-Length ${JSON.stringify(value)}`, [['content-length', value]], SMUGGLED)),
		withBody('two Content-Length fields', [['content-length', '0'], ['content-length', `${SMUGGLED.length}`]], SMUGGLED),
		{ name: 'a body that looks like a request passes as a body', frames: (id) => [
			headers(id, post([['content-length', `${SMUGGLED.length}`]])), data(id, SMUGGLED, END)],
		forwarded: `POST / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}` },
		{ name: 'a body that looks like chunks passes as one chunk', frames: (id) => [
			headers(id, post([])), data(id, '0\r\n\r\n', END)],
		forwarded: 'POST / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\nTransfer-Encoding: chunked\r\n\r\n'
			+ '5\r\n0\r\n\r\n\r\n0\r\n\r\n' },
		{ name: 'a GET with a body is framed, too', frames: (id) => [headers(id, request()), data(id, SMUGGLED, END)],
			forwarded: 'GET / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\nTransfer-Encoding: chunked\r\n\r\n'
				+ `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n` },
		{ name: 'a POST without a body says so', fields: post([]),
			forwarded: 'POST / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\nContent-Length: 0\r\n\r\n' },
	]);

	// The head may have left when DATA show that the length is wrong.
	for (const [name, length, ...bodies] of [
		['Content-Length: 0 before a request', '0', SMUGGLED],
		['a Content-Length that ends before a request', '3', `abc${SMUGGLED}`],
		['a Content-Length that ends with a frame, before a request', '3', 'abc', SMUGGLED],
	]) {
		await t.test(name, async (sub) => {
			const { backend, connect } = await h2Arena(sub);
			const client = await connect(sub);
			client.send(headers(1, post([['content-length', length]])), ...bodies.map((body) => data(1, body)));
			await client.expectReset(1, CODE.PROTOCOL_ERROR);
			await client.expectServes('/fence');
			const [conn] = backend.conns;
			await backend.until(() => backend.heard.includes('/fence'), 'the fence');
			assert.ok(!backend.heard.includes('smuggled'), backend.heard);
			if (!conn.received.includes('/fence'))
				await conn.expectGone();
		});
	}
});

test('trailers', async (t) => {
	const stage = await h2Arena(t);
	const head = 'POST / HTTP/1.1\r\nHost: a\r\nVia: 2.0 pollux\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n';
	const trailers = (...fields) => (id) =>
		[headers(id, request({ method: 'POST' })), data(id, 'x'), headers(id, fields, END)];

	await rows(t, stage, [
		{ name: 'pass', frames: trailers(['x-sum', '1']), forwarded: `${head}0\r\nx-sum: 1\r\n\r\n` },
		{ name: 'of framing, routing and rights are left out', forwarded: `${head}0\r\nx-sum: 1\r\n\r\n`,
			frames: trailers(['authorization', 'x'], ['cookie', 'a=b'], ['x-sum', '1']) },
	]);

	// What came before may have left; what comes is no end of it.
	for (const [name, ...fields] of [
		['a line in a value', ['x', `y\r\n\r\n${SMUGGLED}`]],
		['a line in a name', [`x: y\r\n\r\n${SMUGGLED}`, 'y']],
		['Transfer-Encoding', ['transfer-encoding', 'chunked']],
		['a pseudo-header field', [':path', '/smuggled']],
		['an upper case name', ['Content-Length', '0']],
	]) {
		await t.test(`${name} in trailers`, async (sub) => {
			const { backend, connect, pollux } = await h2Arena(sub);
			const client = await connect(sub);
			client.send(...trailers(...fields)(1));
			await client.expectReset(1, CODE.PROTOCOL_ERROR);
			await client.expectServes('/fence');
			await pollux.accessed({ target: '/', reason: /./ });
			assert.ok(!backend.heard.includes('smuggled') && !backend.heard.includes('0\r\n\r\n'), backend.heard);
		});
	}
	for (const name of ['host', 'content-length', 'content-type', 'expect', 'te', 'range', 'x-forwarded-for']) {
		await t.test(`${name} in trailers never reaches a backend`, async (sub) => {
			const { backend, connect } = await h2Arena(sub);
			const client = await connect(sub);
			client.send(...trailers([name, '1'])(1));
			await client.expectOutcome(1);
			await client.expectServes('/fence');
			assert.ok(!new RegExp(`^${name}: 1\r$`, 'im').test(backend.heard), backend.heard);
		});
	}
});

test('fields of this hop, or about it, are not for backends', async (t) => {
	await rows(t, await h2Arena(t), [
		passed('TE: trailers', field('te', 'trailers'), PLAIN),
		passed('HTTP2-Settings', field('http2-settings', 'AAMAAABkAARAAAAA'), PLAIN),
		passed('Proxy', field('proxy', 'http://evil/'), PLAIN),
	]);
});

test('extended CONNECT', async (t) => {
	const connect = (protocol, given = {}) => [[':protocol', protocol], ...request({ method: 'CONNECT', ...given })];

	await rows(t, await h2Arena(t), [
		refused(':protocol with a line', connect('websocket\r\nX: y'), ['bad-request', 'method']),
		refused(':protocol with a request', connect(`websocket\r\n\r\n${SMUGGLED}`), ['bad-request', 'method']),
		refused('another protocol', connect('h2c'), ['bad-request', 'method']),
		refused('a path with a line', connect('websocket', { path: `/ HTTP/1.1\r\n\r\n${SMUGGLED}` })),
		refused('Upgrade beside it', connect('websocket', { fields: [['upgrade', 'h2c']] })),
		refused(':protocol with GET', [[':protocol', 'websocket'], ...request()]),
		refused('a key with a line', connect('websocket', { fields: [['sec-websocket-key', 'x\r\nY: z']] })),
		refused('CONNECT to another host', [[':method', 'CONNECT'], [':authority', 'b:443']], ['bad-request', 'method']),
	]);
});
