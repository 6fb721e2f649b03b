// Requests that must be refused, and how: framing, heads, hosts. Every row is exact bytes in, the
// exact answer out, and exactly what reached the backend. After any doubt about framing the
// connection is closed.
import test from 'node:test';

import { arena, attacks, brokenBodies, harmless } from './lib/attack.mjs';
import { ok, passedOk } from './lib/stage.mjs';

const VIA = 'Via: 1.1 pollux\r\n';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

// A POST with these fields and then these bytes.
function post(fields, rest = '') {
	return `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${rest}`;
}

function head(fields) {
	return `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
}

test('Content-Length and Transfer-Encoding together', async (t) => {
	const both = (name, fields, body) => ({
		name,
		send: post(fields, body),
		reason: 'bad-framing',
	});

	await attacks(t, await arena(t), [
		both('CL.TE', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nG'),
		both('TE.CL', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n',
			`5c\r\n${SMUGGLED}\r\n0\r\n\r\n`),
		both('Content-Length: 0', 'Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', SMUGGLED),
		both('an unknown coding', 'Content-Length: 3\r\nTransfer-Encoding: x\r\n', 'abc'),
		both('behind others', 'Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n',
			`0\r\n\r\n${SMUGGLED}`),
		both('nominated by Connection',
			'Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
			`0\r\n\r\n${SMUGGLED}`),
		both('nominated the other way',
			'Connection: transfer-encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
			`0\r\n\r\n${SMUGGLED}`),
	]);
});

test('Transfer-Encoding in disguise', async (t) => {
	const coded = (value, reason) => ({
		name: JSON.stringify(value),
		send: post(`Transfer-Encoding: ${value}\r\n`, `0\r\n\r\n${SMUGGLED}`),
		reason,
	});
	const field = (name, line, reason) => ({
		name,
		send: post(line, `0\r\n\r\n${SMUGGLED}`),
		reason,
	});
	const chunked = (name, line) => harmless(name, post(line, '1\r\nx\r\n0\r\n\r\n'),
		`POST / HTTP/1.1\r\nHost: a\r\n${VIA}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`);

	await attacks(t, await arena(t), [
		coded('xchunked', 'transfer-coding'),
		coded('chunkedx', 'transfer-coding'),
		coded('identity', 'transfer-coding'),
		coded('gzip', 'transfer-coding'),
		coded('gzip, chunked', 'transfer-coding'),
		coded('chunked, identity', 'bad-framing'),
		coded('chunked, gzip', 'bad-framing'),
		coded('chunked, chunked', 'bad-framing'),
		coded('chunked,', 'bad-framing'),
		coded(',chunked', 'bad-framing'),
		coded(', chunked', 'bad-framing'),
		coded('', 'bad-framing'),
		coded('"chunked"', 'bad-framing'),
		coded('chunked;q=1', 'bad-framing'),
		coded('chun ked', 'bad-framing'),
		coded('chunked\x0b', 'bad-request'),
		coded('\x0bchunked', 'bad-request'),
		coded('\x0cchunked', 'bad-request'),
		coded('chunked\0', 'bad-request'),
		coded('\xa0chunked', 'bad-framing'),
		coded('\xffchunked', 'bad-framing'),
		field('twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', 'bad-framing'),
		field('twice, one unknown', 'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n',
			'bad-framing'),
		field('folded', 'Transfer-Encoding:\r\n chunked\r\n', 'bad-request'),
		field('folded behind the value', 'Transfer-Encoding: chunked\r\n , identity\r\n', 'bad-request'),
		field('in a folded line', 'X: y\r\n Transfer-Encoding: chunked\r\n', 'bad-request'),
		field('space before the colon', 'Transfer-Encoding : chunked\r\n', 'bad-request'),
		field('tab before the colon', 'Transfer-Encoding\t: chunked\r\n', 'bad-request'),
		field('space before the name', ' Transfer-Encoding: chunked\r\n', 'bad-request'),
		field('a NUL in the name', 'Transfer\0-Encoding: chunked\r\n', 'bad-request'),
		{
			name: 'in HTTP/1.0',
			send: `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
			reason: 'bad-framing',
		},
		chunked('tabs and spaces around the value are none of it', 'Transfer-Encoding:\t chunked\t \r\n'),
		chunked('no space after the colon', 'Transfer-Encoding:chunked\r\n'),
		chunked('any case', 'tRANSFER-eNCODING: ChUnKeD\r\n'),
		chunked('nominated by Connection', 'Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n'),
	]);
});

test('Content-Length that is no number, or not one', async (t) => {
	const length = (value, reason = 'bad-framing') => ({
		name: JSON.stringify(value),
		send: post(`Content-Length: ${value}\r\n`, `abcde${SMUGGLED}`),
		reason,
	});
	const twice = (first, second) => ({
		name: `${first} and ${second} in two fields`,
		send: post(`Content-Length: ${first}\r\nContent-Length: ${second}\r\n`, 'abcde'),
		reason: 'bad-framing',
	});

	await attacks(t, await arena(t), [
		...['+5', '-5', '-0', '0x5', '0b1', '1_0', '5.0', '5e0', '', '5, 5', '5,5', '5 5', '5;', '"5"', 'five',
			'5,', ',5', '18446744073709551616', '18446744073709551621', '9223372036854775808',
			'99999999999999999999999999', '\xb5', '5\xa0'].map((value) => length(value)),
		length('5\x0b', 'bad-request'),
		length('5\0', 'bad-request'),
		twice('5', '5'),
		twice('5', '6'),
		twice('0', '5'),
		{
			name: 'folded',
			send: post('Content-Length:\r\n 5\r\n', 'abcde'),
			reason: 'bad-request',
		},
		{
			name: 'space before the colon',
			send: post('Content-Length : 5\r\n', 'abcde'),
			reason: 'bad-request',
		},
		harmless('leading zeros are zeros', post('Content-Length: 0005\r\n', 'abcde'),
			`POST / HTTP/1.1\r\nHost: a\r\n${VIA}Content-Length: 5\r\n\r\nabcde`),
		harmless('nominated by Connection', post('Connection: content-length\r\nContent-Length: 5\r\n', 'abcde'),
			`POST / HTTP/1.1\r\nHost: a\r\n${VIA}Content-Length: 5\r\n\r\nabcde`),
	]);
});

test('a body on any method is forwarded with the framing it came with', async (t) => {
	const arenaOfAll = await arena(t);
	const rows = ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH', 'PUT', 'BREW'].flatMap((method) => {
		const row = (name, fields, body) => harmless(`${method}, ${name}`,
			`${method} / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`,
			`${method} / HTTP/1.1\r\nHost: a\r\n${VIA}${fields}\r\n${body}`);

		return [
			row('a length', `Content-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
			row('a length of 0', 'Content-Length: 0\r\n', ''),
			row('chunked', 'Transfer-Encoding: chunked\r\n',
				`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`),
		];
	});

	for (const row of rows)
		if (row.name.startsWith('HEAD'))
			row.answer = passedOk().slice(0, -2);
	arenaOfAll.backend.serve((request) => (request.method === 'HEAD' ? ok().slice(0, -2) : ok()));
	await attacks(t, arenaOfAll, rows);
});

test('Expect: only what it may be', async (t) => {
	const expected = (value) => ({
		name: JSON.stringify(value),
		send: post(`Expect: ${value}\r\nContent-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
		reason: 'expectation',
	});

	await attacks(t, await arena(t), [
		...['100', '100-continue, 100-continue', '100-continue;x', 'x100-continue', '100-continue,',
			'200-ok', '', '100 continue'].map(expected),
		{
			name: 'twice',
			send: post('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n', 'abc'),
			reason: 'expectation',
		},
		harmless('any case, with its body at once', post('Expect: 100-Continue\r\nContent-Length: 3\r\n', 'abc'),
			`POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n${VIA}Content-Length: 3\r\n\r\nabc`),
		harmless('in HTTP/1.0 it is ignored',
			'POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n'
				+ 'Content-Length: 3\r\n\r\nabc',
			'POST / HTTP/1.1\r\nHost: a\r\nVia: 1.0 pollux\r\nContent-Length: 3\r\n\r\nabc'),
	].map((row) => (row.name.startsWith('in HTTP/1.0')
		? { ...row, answer: 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok' }
		: row)));
});

test('chunked coding that is broken', async (t) => {
	const broken = (name, bad) => ({ name, good: '', passed: '', bad });
	// The same behind a good part, which passes: a chunk of three bytes.
	const later = (name, bad, good = '3\r\nabc\r\n') => ({ name, good, passed: '3\r\nabc\r\n', bad });

	await brokenBodies(t, await arena(t), [
		broken('no digit', '\r\nabc\r\n0\r\n\r\n'),
		broken('no hex digit', 'g\r\nabc\r\n0\r\n\r\n'),
		broken('a sign', '+3\r\nabc\r\n0\r\n\r\n'),
		broken('a negative size', '-3\r\nabc\r\n0\r\n\r\n'),
		broken('0x', '0x3\r\nabc\r\n0\r\n\r\n'),
		broken('an underscore', '0_3\r\nabc\r\n0\r\n\r\n'),
		broken('a space before the digits', ' 3\r\nabc\r\n0\r\n\r\n'),
		broken('a space behind the digits', '3 \r\nabc\r\n0\r\n\r\n'),
		broken('a tab behind the digits', '3\t\r\nabc\r\n0\r\n\r\n'),
		broken('a space within', '3 3\r\nabc\r\n0\r\n\r\n'),
		broken('17 digits', '00000000000000003\r\nabc\r\n0\r\n\r\n'),
		broken('more than 2^63', '8000000000000000\r\nabc\r\n0\r\n\r\n'),
		broken('all ones', 'ffffffffffffffff\r\nabc\r\n0\r\n\r\n'),
		broken('overflow to 3', '10000000000000003\r\nabc\r\n0\r\n\r\n'),
		broken('bare LF behind the size', '3\nabc\r\n0\r\n\r\n'),
		broken('bare CR behind the size', '3\rabc\r\n0\r\n\r\n'),
		broken('NUL behind the size', '3\0\r\nabc\r\n0\r\n\r\n'),
		broken('bare LF in an extension', '3;a\nb\r\nabc\r\n0\r\n\r\n'),
		broken('bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n'),
		broken('an extension that ends with a bare LF', `3;a\nabc\r\n0\r\n\r\n${SMUGGLED}`),
		broken('an extension that swallows a line', `2;\nxx\r\n4c\r\n0\r\n\r\n${SMUGGLED}`),
		broken('NUL in an extension', '3;a\0\r\nabc\r\n0\r\n\r\n'),
		broken('an extension without semicolon', '3 a=b\r\nabc\r\n0\r\n\r\n'),
		broken('an extension that is too long', `3;${'a'.repeat(300)}\r\nabc\r\n0\r\n\r\n`),
		later('too many extensions', `1;${'a'.repeat(200)}\r\nx\r\n`.repeat(30)),
		later('data that is too long', 'd\r\n0\r\n\r\n', '3\r\nabc'),
		later('data that spills over', 'XX5\r\nhello\r\n0\r\n\r\n', '3\r\nabc'),
		later('bare LF behind the data', '\n0\r\n\r\n', '3\r\nabc'),
		later('bare CR behind the data', '\r0\r\n\r\n', '3\r\nabc'),
		later('no digit in the second chunk', '\r\n0\r\n\r\n'),
		later('bare LF behind the last chunk', '0\n\n'),
		later('bare LF ends the trailers', '0\r\nX: y\n\r\n'),
		later('a trailer without colon', '0\r\nX\r\n\r\n'),
		later('a folded trailer', '0\r\nX: y\r\n z\r\n\r\n'),
		later('a NUL in a trailer', '0\r\nX: \0\r\n\r\n'),
		later('space before a colon in a trailer', '0\r\nX : y\r\n\r\n'),
		later('a request as trailer', `0\r\n${SMUGGLED}`),
		later('trailers beyond max_header_size', `0\r\nX: ${'y'.repeat(33000)}\r\n\r\n`),
		later('more trailers than max_header_fields', `0\r\n${'X: y\r\n'.repeat(101)}\r\n`),
	]);
});

test('chunks are sized anew and lose their extensions', async (t) => {
	const row = (name, body, passed) => harmless(name, post('Transfer-Encoding: chunked\r\n', body),
		`POST / HTTP/1.1\r\nHost: a\r\n${VIA}Transfer-Encoding: chunked\r\n\r\n${passed}`);

	await attacks(t, await arena(t), [
		row('leading zeros', '000000000000000A\r\n0123456789\r\n000\r\n\r\n', 'a\r\n0123456789\r\n0\r\n\r\n'),
		row('extensions', '3;a;b=c;d="e;f"\r\nabc\r\n0;g\r\n\r\n', '3\r\nabc\r\n0\r\n\r\n'),
		row('white space before an extension', '3 \t; a\r\nabc\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\n\r\n'),
		row('chunks that came together leave together', '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\n\r\n'),
		row('no data', '0\r\n\r\n', '0\r\n\r\n'),
	]);
});

test('trailers are trailers', async (t) => {
	const row = (name, trailers, passed) => harmless(name,
		post('Transfer-Encoding: chunked\r\n', `3\r\nabc\r\n0\r\n${trailers}\r\n`),
		`POST / HTTP/1.1\r\nHost: a\r\n${VIA}Transfer-Encoding: chunked\r\n\r\n`
			+ `3\r\nabc\r\n0\r\n${passed}\r\n`);
	const dropped = (field) => row(`${field} is dropped`, `${field}\r\n`, '');

	await attacks(t, await arena(t), [
		row('an ordinary one passes', 'X-Checksum: 1\r\n', 'X-Checksum: 1\r\n'),
		...['Content-Length: 5', 'Transfer-Encoding: chunked', 'Host: b', 'Connection: close', 'Trailer: X',
			'TE: trailers', 'Upgrade: websocket', 'Authorization: x', 'Cookie: a=b', 'Set-Cookie: a=b',
			'X-Forwarded-For: 1.2.3.4', 'Forwarded: for=1.2.3.4', 'Via: 1.1 x', 'Expect: 100-continue',
			'Content-Type: text/html', 'Content-Encoding: gzip', 'Content-Range: bytes 0-1/2',
			'Cache-Control: no-store', 'Max-Forwards: 1', 'Range: bytes=0-1', 'If-Match: x',
			'Location: /', 'Proxy-Authorization: x', 'Sec-WebSocket-Key: x', 'Origin: http://a',
		].map(dropped),
		row('good and bad ones', 'A: 1\r\nHost: b\r\nB: 2\r\n', 'A: 1\r\nB: 2\r\n'),
	]);
});

test('line ends and control bytes in heads', async (t) => {
	const bad = (name, send) => ({ name, send, reason: 'bad-request' });

	await attacks(t, await arena(t), [
		bad('bare LF everywhere', 'GET / HTTP/1.1\nHost: a\n\n'),
		bad('bare LF behind the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'),
		bad('bare LF behind a field', 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'),
		bad('bare LF as the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\n'),
		bad('bare CR in a value', head('X: a\rTransfer-Encoding: chunked\r\n')),
		bad('bare CR behind a value', head('X: a\r\r\n')),
		bad('bare CR in a name', head('X\r: a\r\n')),
		bad('bare CR in the target', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n'),
		bad('CR CR LF', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n'),
		bad('NUL in a value', head('X: a\0b\r\n')),
		bad('NUL in a name', head('X\0: a\r\n')),
		bad('NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n'),
		bad('NUL in the method', 'G\0T / HTTP/1.1\r\nHost: a\r\n\r\n'),
		...[1, 7, 8, 11, 12, 14, 27, 31, 127].map((code) =>
			bad(`control byte ${code} in a value`, head(`X: a${String.fromCharCode(code)}b\r\n`))),
		bad('a folded line', head('X: a\r\n b\r\n')),
		bad('a folded line with a tab', head('X: a\r\n\tb\r\n')),
		bad('a folded first line', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'),
		bad('a folded line of white space alone', head('X: a\r\n \r\n')),
		bad('space before the colon', head('X : a\r\n')),
		bad('tab before the colon', head('X\t: a\r\n')),
		bad('an empty name', head(': a\r\n')),
		bad('no colon', head('X\r\n')),
		...['(', ')', '<', '>', '@', ',', ';', '\\', '"', '/', '[', ']', '?', '=', '{', '}', ' ', '\x80', '\xff']
			.map((byte) => bad(`${JSON.stringify(byte)} in a name`, head(`X${byte}Y: a\r\n`))),
		harmless('a name of all the marks', head("!#$%&'*+-.^_`|~09azAZ: a\r\n"),
			`GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_\`|~09azAZ: a\r\n${VIA}\r\n`),
		harmless('tabs and bytes beyond ASCII in a value', head('X: a\tb\x80\xff\r\n'),
			`GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\x80\xff\r\n${VIA}\r\n`),
	]);
});

test('the request line', async (t) => {
	const line = (text, reason = 'bad-request') => ({
		name: JSON.stringify(text),
		send: `${text}\r\nHost: a\r\n\r\n`,
		reason,
	});

	await attacks(t, await arena(t, { listen: { h2c: false } }), [
		...['GET  / HTTP/1.1', 'GET /  HTTP/1.1', ' GET / HTTP/1.1', 'GET\t/ HTTP/1.1', 'GET /', 'GET',
			'GET / HTTP/1.1 ', 'GET / http/1.1', 'GET / HTTP/1', 'GET / HTTP/1.', 'GET / HTTP/.1',
			'GET / HTTP/01.1', 'GET / HTTP/1.10', 'GET / HTTP/1.1x', 'GET / HTTPS/1.1', 'GET / XTTP/1.1',
			'GET /a b HTTP/1.1', 'GET /a#b HTTP/1.1', 'GET /\x80 HTTP/1.1', 'GET a HTTP/1.1',
			'GET * HTTP/1.1', 'GET ?a HTTP/1.1', 'GET http:/b/ HTTP/1.1', 'GET ftp://b/ HTTP/1.1',
			'GET //', 'G(T / HTTP/1.1', 'GET: / HTTP/1.1', '"GET" / HTTP/1.1',
			`${'X'.repeat(100)} / HTTP/1.1`].map((text) => line(text)),
		line('GET / HTTP/2.0', 'version'),
		line('GET / HTTP/0.9', 'version'),
		line('GET / HTTP/3.0', 'version'),
		line('CONNECT b:443 HTTP/1.1', 'method'),
		line('CONNECT / HTTP/1.1', 'method'),
		{ name: 'the preface of HTTP/2, where it is not spoken', send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', reason: 'version' },
		{ name: 'TLS on a plain port', send: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', reason: 'bad-request' },
		{ name: 'HTTP/0.9', send: 'GET /\r\n\r\n', reason: 'bad-request' },
		harmless('a path with two slashes stays as it is', 'GET //b/../c%2f?d HTTP/1.1\r\nHost: a\r\n\r\n',
			`GET //b/../c%2f?d HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		harmless('a later minor version is ours', 'GET / HTTP/1.9\r\nHost: a\r\n\r\n',
			`GET / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		harmless('methods are told apart by case', 'get / HTTP/1.1\r\nHost: a\r\n\r\n',
			`get / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
	]);
});

test('Host', async (t) => {
	const host = (lines, name = JSON.stringify(lines)) => ({
		name,
		send: `GET / HTTP/1.1\r\n${lines}\r\n`,
		reason: 'bad-host',
	});
	const absolute = (target, hostLine = 'Host: a\r\n') => ({
		name: `${target} with ${JSON.stringify(hostLine)}`,
		send: `GET ${target} HTTP/1.1\r\n${hostLine}\r\n`,
		reason: 'bad-host',
	});

	await attacks(t, await arena(t), [
		host('', 'missing'),
		host('Host: a\r\nHost: a\r\n', 'twice the same'),
		host('Host: a\r\nHost: b\r\n', 'twice'),
		host('Host: a\r\nX: y\r\nhost: b\r\n', 'twice in different case'),
		host('Host: \r\n', 'empty'),
		...['user@a', 'user:pass@a', 'a/b', 'a/', '/a', 'a?b', 'a#b', 'a,b', 'a, b', 'a b', 'a\\b', 'a:80:80', 'a:x',
			'a:-1', 'a:+80', 'a:65536', 'a:999999', ':80', '[::1', '::1', '[::1]x', '[::1]:x', '[]', '[a]', '[::1%25eth0]',
			'"a"', '<a>', 'a\xe9', 'a;b', 'http://a', 'a|b', '{a}', 'a^b', 'a`b']
			.map((value) => host(`Host: ${value}\r\n`)),
		absolute('http://user@b/'),
		absolute('http://b,c/'),
		absolute('http:///'),
		absolute('http://:80/'),
		absolute('http://b:x/'),
		absolute('http://b\\c/'),
		absolute('http://b/', ''),
		absolute('http://b/', 'Host: a\r\nHost: a\r\n'),
		absolute('http://b/', 'Host: a@b\r\n'),
		harmless('an absolute target replaces Host (RFC 9112 3.2.2)', 'GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n',
			`GET /x HTTP/1.1\r\nHost: b\r\n${VIA}\r\n`),
		harmless('an absolute target without a path', 'GET http://b HTTP/1.1\r\nHost: a\r\n\r\n',
			`GET / HTTP/1.1\r\nHost: b\r\n${VIA}\r\n`),
		harmless('an absolute target with a query alone', 'GET HTTP://b?c HTTP/1.1\r\nHost: a\r\n\r\n',
			`GET /?c HTTP/1.1\r\nHost: b\r\n${VIA}\r\n`),
		harmless('OPTIONS of a whole server', 'OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n',
			`OPTIONS * HTTP/1.1\r\nHost: b\r\n${VIA}\r\n`),
		harmless('a port', 'GET / HTTP/1.1\r\nHost: a.b-c_d~e:65535\r\n\r\n',
			`GET / HTTP/1.1\r\nHost: a.b-c_d~e:65535\r\n${VIA}\r\n`),
		harmless('an IPv6 address', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n',
			`GET / HTTP/1.1\r\nHost: [::1]:80\r\n${VIA}\r\n`),
	]);
});

test('fields nominated by Connection', async (t) => {
	await attacks(t, await arena(t), [
		harmless('go no further', head('Connection: x-a, X-B\r\nX-A: 1\r\nx-b: 2\r\nX-C: 3\r\n'),
			`GET / HTTP/1.1\r\nHost: a\r\nX-C: 3\r\n${VIA}\r\n`),
		harmless('but not those that serve security',
			head('Connection: authorization, cookie, origin, sec-fetch-site, content-type\r\n'
				+ 'Authorization: x\r\nCookie: a\r\nOrigin: http://b\r\nSec-Fetch-Site: none\r\nContent-Type: x\r\n'),
			'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nCookie: a\r\nOrigin: http://b\r\n'
				+ `Sec-Fetch-Site: none\r\nContent-Type: x\r\n${VIA}\r\n`),
		harmless('nor Host and Via', head('Connection: host, via, close2\r\nVia: 1.1 x\r\n'),
			`GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\n${VIA}\r\n`),
	]);
});

test('h2c is never forwarded', async (t) => {
	const settings = 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n';

	await attacks(t, await arena(t), [
		harmless('as browsers would', head(`Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n${settings}`),
			`GET / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		harmless('without Connection', head(`Upgrade: h2c\r\n${settings}`), `GET / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		harmless('in a list', head(`Connection: upgrade\r\nUpgrade: foo, h2c, h2c\r\n${settings}`),
			`GET / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		harmless('twice', head('Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: h2\r\n'),
			`GET / HTTP/1.1\r\nHost: a\r\n${VIA}\r\n`),
		{
			name: 'behind websocket',
			send: head('Connection: upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Version: 13\r\n'
				+ 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'),
			reason: 'bad-websocket',
			stays: true,
		},
	]);
});
