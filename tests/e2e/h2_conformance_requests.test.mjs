// HTTP/2, RFC 9113 section 8: which requests are malformed, and what a backend that speaks HTTP/1.1
// gets of those that are not. Sections in names are of RFC 9113 where no other is named.
import assert from 'node:assert/strict';
import test from 'node:test';

import { CODE, TYPE, data, headers } from './lib/h2_frames.mjs';
import { block } from './lib/h2_hpack.mjs';
import { h2Arena, h2Rows, requestLines } from './lib/h2_rows.mjs';
import { request } from './lib/h2_wire.mjs';

const END = { endStream: true };

const malformed = (name, fields, reason = 'bad-request') => ({ name, fields, malformed: true, reason });
const fine = (name, fields) => ({ name, fields, status: 200 });
const without = (left) => request().filter(([name]) => name !== left);
const withField = (name, value) => request({ fields: [[name, value]] });

// Refused one way or the other: as malformed, or with a status that says what is wrong.
function refused(name, fields, ...statuses) {
	return {
		name,
		does: async (client, id, { backend }) => {
			const from = backend.heard.length;
			client.send(headers(id, fields, END));
			await client.expectOutcome(id);
			assert.deepEqual(requestLines(backend, from), [], 'what was forwarded');
		},
		oneOf: [{ stream: CODE.PROTOCOL_ERROR }, { status: statuses.length > 0 ? statuses : [400] }],
	};
}

test('pseudo-header fields', async (t) => {
	const moved = (name) => {
		const all = request();
		const at = all.findIndex(([given]) => given === name);
		return [...all.slice(0, at), ...all.slice(at + 1), ['x', 'y'], all[at]];
	};

	await h2Rows(t, await h2Arena(t), [
		fine('in any order (8.3)', request().reverse()),
		malformed('without :method (8.3.1)', without(':method')),
		malformed('without :scheme (8.3.1)', without(':scheme')),
		malformed('without :path (8.3.1)', without(':path')),
		malformed('none at all (8.3.1)', [['x', 'y']]),
		malformed('an empty block (8.3.1)', []),
		malformed('an empty :path (8.3.1)', request({ path: '' })),
		...[':method', ':scheme', ':path', ':authority'].map((name) =>
			malformed(`${name} twice (8.3)`, [request().find(([given]) => given === name), ...request()])),
		...[':method', ':scheme', ':path', ':authority'].map((name) =>
			malformed(`${name} behind a field (8.3)`, moved(name))),
		malformed('one that nobody knows (8.3)', [...request(), [':foo', 'x']]),
		malformed('one of responses (8.3)', [...request(), [':status', '200']]),
		malformed('one with an empty name (8.3)', [...request(), [':', 'x']]),
		malformed('one in upper case (8.2.1, 8.3)', [...without(':path'), [':PATH', '/']]),
		malformed(':authority with user and password (8.3.1)', request({ authority: 'u:p@a' }), 'bad-host'),
		malformed(':authority with a user (8.3.1)', request({ authority: 'u@a' }), 'bad-host'),
		refused('neither :authority nor Host (RFC 9110, 7.2)', without(':authority')),
		refused('an empty :authority (RFC 9110, 4.2.1)', request({ authority: '' })),
		malformed('a method that is no token (RFC 9110, 9.1)', request({ method: 'G ET' })),
		malformed('an empty method (RFC 9110, 9.1)', request({ method: '' })),
		refused('a path that does not begin with a slash (8.3.1)', request({ path: 'a' })),
		refused('a whole URI as the path (8.3.1)', request({ path: 'http://a/' })),
		refused('an asterisk with another method than OPTIONS (8.3.1)', request({ path: '*' })),
		refused('a fragment in the path (8.3.1)', request({ path: '/a#b' })),
		refused('CONNECT as it is (8.5)', [[':method', 'CONNECT'], [':authority', 'a:443']], 405, 501),
		refused('CONNECT with a path and a scheme (8.5)', request({ method: 'CONNECT' })),
		refused('CONNECT without an authority (8.5)', [[':method', 'CONNECT']]),
		refused('TRACE (RFC 9110, 9.3.8)', request({ method: 'TRACE' }), 405, 501),
	]);
});

test('the host', async (t) => {
	const host = (authority, value, scheme = 'http') => request({ scheme, authority, fields: [['host', value]] });

	await h2Rows(t, await h2Arena(t), [
		fine('as :authority says (8.3.1)', host('a', 'a')),
		fine('in another case (8.3.1)', host('a.example', 'A.Example')),
		fine('with the default port spelled out (8.3.1)', host('a', 'a:80')),
		fine('with the default port in :authority (8.3.1)', host('a:80', 'a')),
		malformed('another one than :authority (8.3.1)', host('a', 'b'), 'bad-host'),
		malformed('another port than :authority (8.3.1)', host('a', 'a:81'), 'bad-host'),
		malformed('another one behind the same one (8.3.1)', [...host('a', 'a'), ['host', 'b']]),
		malformed('an empty one beside :authority (8.3.1)', host('a', '')),
	]);

	await t.test('reaches a backend from :authority, or from Host where there is none (8.3.1)', async (sub) => {
		const { backend, connect } = await h2Arena(sub);
		const client = await connect(sub);
		for (const [path, fields, expected] of [
			['/1', request({ path: '/1', authority: 'one.example:81' }), 'one.example:81'],
			['/2', [...without(':authority').filter(([name]) => name !== ':path'), [':path', '/2'], ['host', 'two']], 'two'],
			['/3', request({ path: '/3', authority: 'a', fields: [['host', 'A']] }), 'a'],
		]) {
			const id = client.nextStream();
			client.send(headers(id, fields, END));
			await client.expectStatus(id, 200);
			const head = backend.heard.split(`GET ${path} HTTP/1.1\r\n`)[1];
			assert.deepEqual(head.match(/^host: .*(?=\r$)/gim), [`Host: ${expected}`]);
		}
	});
});

test('names of fields', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		malformed('an empty one (8.2.1)', withField('', 'x')),
		malformed('in upper case (8.2)', withField('X-A', 'x')),
		malformed('one letter of it in upper case (8.2.1)', withField('x-A', 'x')),
		malformed('a colon within (8.2.1)', withField('x:y', 'x')),
		malformed('a colon behind (8.2.1)', withField('x:', 'x')),
		malformed('a line behind (8.2.1)', withField('x: y\r\nhost', 'b')),
	]);

	// All bytes; a name that fails would be an error each, so each has its connection.
	await t.test('each byte that no name may have (8.2.1, RFC 9110 5.1)', async (sub) => {
		const { backend, connect } = await h2Arena(sub);
		const token = /^[!#$%&'*+.^_`|~0-9a-z-]$/;
		for (let byte = 0; byte < 256; byte++) {
			const character = String.fromCharCode(byte);
			const client = await connect(sub);
			client.send(headers(1, request({ path: `/name/${byte}`, fields: [[`x${character}y`, 'z']] }), END));
			if (token.test(character))
				await client.expectStatus(1, 200);
			else
				await client.expectReset(1, CODE.PROTOCOL_ERROR);
			client.close();
		}
		const passed = requestLines(backend).map((line) => Number(/\/name\/(\d+)/.exec(line)[1]));
		assert.ok(passed.every((byte) => token.test(String.fromCharCode(byte))), passed.join(' '));
	});
});

test('values of fields', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		fine('an empty one (RFC 9110, 5.5)', withField('x', '')),
		fine('spaces and tabs within (RFC 9110, 5.5)', withField('x', 'a \t b')),
		fine('bytes beyond ASCII (RFC 9110, 5.5)', withField('x', 'caf\xe9 \xff\x80')),
		...[['NUL', '\0'], ['CR', '\r'], ['LF', '\n'], ['CRLF', '\r\n']].flatMap(([name, bytes]) => [
			malformed(`${name} within (8.2.1)`, withField('x', `a${bytes}b`)),
			malformed(`${name} in front (8.2.1)`, withField('x', `${bytes}b`)),
			malformed(`${name} behind (8.2.1)`, withField('x', `a${bytes}`)),
			malformed(`${name} alone (8.2.1)`, withField('x', bytes)),
		]),
		...[['a space', ' '], ['a tab', '\t']].flatMap(([name, bytes]) => [
			malformed(`${name} in front (8.2.1)`, withField('x', `${bytes}b`)),
			malformed(`${name} behind (8.2.1)`, withField('x', `a${bytes}`)),
			malformed(`${name} alone (8.2.1)`, withField('x', bytes)),
		]),
	]);
});

test('fields of connections', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		malformed('Connection (8.2.2)', withField('connection', 'close')),
		malformed('Connection that names a field (8.2.2)', [...withField('connection', 'x'), ['x', 'y']]),
		malformed('an empty Connection (8.2.2)', withField('connection', '')),
		malformed('Keep-Alive (8.2.2)', withField('keep-alive', 'timeout=5')),
		malformed('Proxy-Connection (8.2.2)', withField('proxy-connection', 'keep-alive')),
		malformed('Transfer-Encoding (8.2.2)', withField('transfer-encoding', 'chunked')),
		malformed('an empty Transfer-Encoding (8.2.2)', withField('transfer-encoding', '')),
		malformed('Transfer-Encoding: identity (8.2.2)', withField('transfer-encoding', 'identity')),
		malformed('Upgrade (8.2.2)', withField('upgrade', 'websocket')),
		fine('TE: trailers (8.2.2)', withField('te', 'trailers')),
		malformed('TE: gzip (8.2.2)', withField('te', 'gzip')),
		malformed('TE: trailers and more (8.2.2)', withField('te', 'trailers, deflate')),
		malformed('an empty TE (8.2.2)', withField('te', '')),
	]);
});

test('Content-Length', async (t) => {
	const post = (...values) => request({ method: 'POST', fields: values.map((value) => ['content-length', value]) });
	const withBody = (name, values, bodies, row) => ({
		name, ...row, frames: (id) => [headers(id, post(...values)),
			...bodies.map((body, n) => data(id, body, { endStream: n === bodies.length - 1 }))],
	});

	await h2Rows(t, await h2Arena(t), [
		withBody('that is right (8.1.1)', ['6'], ['abc', '', 'def'], { status: 200 }),
		withBody('0 and an empty body (8.1.1)', ['0'], [''], { status: 200 }),
		{ name: '0 without DATA (8.1.1)', status: 200, frames: (id) => [headers(id, post('0'), END)] },
		malformed('of a request that ends with its head (8.1.1)', post('3')),
		...['', 'x', '-1', '+3', '3.0', '0x3', '3 3', '3;', '3, 4', '9223372036854775808', '18446744073709551619'].map(
			(value) => malformed(`${JSON.stringify(value)} (8.1.1, RFC 9110 8.6)`, post(value))),
		malformed('two that differ (RFC 9110, 8.6)', post('0', '1')),
		{ name: 'two that are the same: taken as one, or malformed (RFC 9110, 8.6)',
			frames: (id) => [headers(id, post('3', '3')), data(id, 'abc', END)],
			oneOf: [{ status: 200 }, { stream: CODE.PROTOCOL_ERROR }] },
	]);

	// These are noticed only when part of the request may have left already; its end never does.
	const cut = async (sub, path, length, frames) => {
		const { backend, connect } = await h2Arena(sub);
		const client = await connect(sub);
		client.send(headers(1, request({ method: 'POST', path, fields: [['content-length', length]] })), ...frames);
		await client.expectReset(1, CODE.PROTOCOL_ERROR);
		assert.equal(client.stream(1).response, undefined);
		await client.expectServes('/fence');
		const conn = backend.conns.find((given) => given.received.includes(`POST ${path}`));
		if (conn === undefined)
			return;
		await conn.expectGone();
		const body = conn.received.toString('latin1').split('\r\n\r\n')[1];
		assert.ok(body.length < Number(length), `the backend got ${JSON.stringify(body)} of ${length} bytes`);
	};
	await t.test('larger than the body (8.1.1)', (sub) => cut(sub, '/larger', '10', [data(1, 'abc', END)]));
	await t.test('larger than the body, with an empty end (8.1.1)', (sub) =>
		cut(sub, '/empty', '10', [data(1, 'abc'), data(1, '', END)]));
	await t.test('larger than the body, with trailers (8.1.1)', (sub) =>
		cut(sub, '/trailers', '10', [data(1, 'abc'), headers(1, [['x', 'y']], END)]));
	await t.test('smaller than the body (8.1.1)', (sub) => cut(sub, '/smaller', '3', [data(1, 'abcd', END)]));
	await t.test('smaller than the body, in two frames (8.1.1)', (sub) =>
		cut(sub, '/two', '3', [data(1, 'ab'), data(1, 'cd', END)]));
});

test('trailers', async (t) => {
	const behind = (name, fields, row = { stream: CODE.PROTOCOL_ERROR }) => ({
		name, ...row, frames: (id) => [headers(id, request({ method: 'POST' })), data(id, 'x'), headers(id, fields, END)],
	});

	await h2Rows(t, await h2Arena(t), [
		behind('with fields (8.1)', [['x-sum', '1']], { status: 200 }),
		behind('without fields (8.1)', [], { status: 200 }),
		{ name: 'straight behind the head (8.1)', status: 200,
			frames: (id) => [headers(id, request({ method: 'POST' })), headers(id, [['x', 'y']], END)] },
		behind('with a pseudo-header field (8.1, 8.3)', [[':path', '/']]),
		behind('with one of responses (8.3)', [[':status', '200']]),
		behind('with a name in upper case (8.2.1)', [['X', 'y']]),
		behind('with a line in a value (8.2.1)', [['x', 'a\r\nb']]),
		behind('with Transfer-Encoding (8.2.2)', [['transfer-encoding', 'chunked']]),
		behind('with Connection (8.2.2)', [['connection', 'close']]),
		{ name: 'that do not end the stream (8.1)', stream: CODE.PROTOCOL_ERROR, frames: (id) => [
			headers(id, request({ method: 'POST' })), data(id, 'x'), headers(id, [['x', 'y']])] },
		{ name: 'a second head in their place (8.1)', stream: CODE.PROTOCOL_ERROR, frames: (id) => [
			headers(id, request({ method: 'POST' })), headers(id, request({ method: 'POST' }))] },
	]);

	await t.test('a backend never sees the end of a request whose trailers are malformed (8.1.1)', async (sub) => {
		const { backend, connect } = await h2Arena(sub);
		const client = await connect(sub);
		client.send(headers(1, request({ method: 'POST', path: '/bad' })), data(1, 'x'));
		await backend.until(() => /\r\n\r\n1\r\nx\r\n$/.test(backend.heard), 'the body');
		client.send(headers(1, [['x', 'a\r\nb']], END));
		await client.expectReset(1, CODE.PROTOCOL_ERROR);
		const [conn] = backend.conns;
		await conn.expectGone();
		assert.ok(conn.received.toString('latin1').endsWith('\r\n\r\n1\r\nx\r\n'));
	});
});

test('what a backend gets', async (t) => {
	const { backend, connect } = await h2Arena(t);

	// The request as it is forwarded, names in lower case, and whatever Via says of HTTP/2.
	const forwarded = async (sub, fields, ...frames) => {
		const client = await connect(sub);
		const from = backend.heard.length;
		client.send(headers(1, fields, { endStream: frames.length === 0 }), ...frames);
		await client.expectStatus(1, 200);
		const [head, ...rest] = backend.heard.slice(from).split('\r\n\r\n');
		const [line, ...lines] = head.split('\r\n');
		return {
			line,
			fields: lines.map((text) => text.replace(/^[^:]+/, (name) => name.toLowerCase()))
				.filter((text) => !/^via: 2(\.0)? pollux$/.test(text)).sort(),
			body: rest.join('\r\n\r\n'),
		};
	};
	const both = { method: 'POST', path: '/x?y=%20' };

	await t.test('a request without a body (8.8.1)', async (sub) => {
		assert.deepEqual(await forwarded(sub, request({ path: '/a?b', fields: [['x-a', '1'], ['x-a', '2']] })), {
			line: 'GET /a?b HTTP/1.1', fields: ['host: a', 'x-a: 1', 'x-a: 2'], body: '',
		});
	});
	await t.test('a body of known length (8.8.3)', async (sub) => {
		assert.deepEqual(await forwarded(sub, request({ ...both, fields: [['content-length', '3']] }), data(1, 'abc', END)), {
			line: 'POST /x?y=%20 HTTP/1.1', fields: ['content-length: 3', 'host: a'], body: 'abc',
		});
	});
	await t.test('a body of unknown length (8.1)', async (sub) => {
		assert.deepEqual(await forwarded(sub, request(both), data(1, 'abc', END)), {
			line: 'POST /x?y=%20 HTTP/1.1', fields: ['host: a', 'transfer-encoding: chunked'], body: '3\r\nabc\r\n0\r\n\r\n',
		});
	});
	await t.test('trailers (8.1)', async (sub) => {
		const got = await forwarded(sub, request(both), data(1, 'abc'), headers(1, [['x-sum', '1'], ['x-sum', '2']], END));
		assert.match(got.body, /^3\r\nabc\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n$/i);
	});
	await t.test('no trailers that could be taken for framing or routing (RFC 9110, 6.5.1)', async (sub) => {
		const got = await forwarded(sub, request(both), data(1, 'abc'),
			headers(1, [['host', 'b'], ['content-length', '9'], ['authorization', 'x'], ['x-sum', '1']], END))
			.catch((error) => {
				assert.match(error.message, /PROTOCOL_ERROR/); // malformed, says nghttp2
				return undefined;
			});
		if (got !== undefined)
			assert.match(got.body, /^3\r\nabc\r\n0\r\n(x-sum: 1\r\n)?\r\n$/i);
	});
	await t.test('cookies as one field (8.2.3)', async (sub) => {
		const cookies = [['cookie', 'a=b'], ['x', 'y'], ['cookie', 'c=d; e=f'], ['cookie', 'g=h']];
		assert.deepEqual((await forwarded(sub, request({ fields: cookies }))).fields,
			['cookie: a=b; c=d; e=f; g=h', 'host: a', 'x: y']);
	});
	await t.test('an asterisk (8.3.1)', async (sub) => {
		assert.equal((await forwarded(sub, request({ method: 'OPTIONS', path: '*' }))).line, 'OPTIONS * HTTP/1.1');
	});
	await t.test('a method that nobody knows (RFC 9110, 9.1)', async (sub) => {
		assert.equal((await forwarded(sub, request({ method: 'M-SEARCH' }))).line, 'M-SEARCH / HTTP/1.1');
	});
	await t.test('none of the fields of this hop (8.2.2)', async (sub) => {
		const fields = [['te', 'trailers'], ['http2-settings', 'AAMAAABk'], ['x', 'y']];
		const got = await forwarded(sub, request({ fields }));
		assert.ok(!got.fields.some((text) => /^(te|http2-settings|connection|upgrade):/.test(text)), got.fields.join());
	});
	await t.test('DATA frames without content change nothing (6.1)', async (sub) => {
		const got = await forwarded(sub, request(both),
			data(1, ''), data(1, 'abc'), data(1, '', { padding: 9 }), data(1, '', END));
		assert.equal(got.body, '3\r\nabc\r\n0\r\n\r\n');
	});
});

test('heads that are too large', async (t) => {
	const stage = await h2Arena(t, { listen: { max_header_size: 4096, max_header_fields: 20, max_uri_size: 1000 } });
	const large = (fields) => request({ path: '/large', fields });

	await h2Rows(t, stage, [
		fine('one that is not', large([['x', 'y'.repeat(3500)]])),
		{ name: 'one field that is too large gets 431 (10.5.1)', fields: large([['x', 'y'.repeat(5000)]]), status: 431 },
		{ name: 'many small ones get 431 (10.5.1)', status: 431,
			fields: large(Array.from({ length: 19 }, (_, n) => [`x${n}`, 'y'.repeat(300)])) },
		{ name: 'too many fields get 431', fields: large(Array.from({ length: 21 }, () => ['x', 'y'])), status: 431 },
		{ name: 'a target that is too long gets 414', fields: request({ path: `/${'x'.repeat(1000)}` }), status: 414 },
	]);

	await t.test('and the table of compression is still in order (10.5.1)', async (sub) => {
		const client = await stage.connect(sub);
		const id = client.nextStream();
		client.send(headers(id, large([['x', 'y'.repeat(5000)]]), END));
		await client.expectStatus(id, 431);
		assert.ok(!client.frames.some(({ type }) => type === TYPE.GOAWAY));
		client.send(headers(id + 2, block(request()), END));
		await client.expectStatus(id + 2, 200);
	});
});
