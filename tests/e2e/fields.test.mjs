// What Pollux takes out of heads, puts in, and leaves alone; where it sends a request.
import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, get, ok, passedOk, stage } from './lib/stage.mjs';
import { withoutDate } from './lib/wire.mjs';

// Sends one request and returns it as the backend gets it; the client gets its answer, too.
async function forwarded({ backend, client }, request, answer = ok()) {
	client.send(request);
	const conn = await backend.accept();
	const got = await conn.readRequest();
	conn.send(answer);
	got.response = await client.readResponse({ method: got.method });
	return got;
}

// Hop by hop.

test('fields of one hop stay there, in requests', async (t) => {
	const got = await forwarded(await stage(t), get('/', 'Connection: keep-alive, X-Hop, Close-Not\r\n'
		+ 'Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n'
		+ 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nX-Hop: 1\r\nX-End: 2\r\nProxy: evil\r\n'));

	assert.equal(got.text, 'GET / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\nVia: 1.1 pollux\r\n\r\n');
});

test('fields of one hop stay there, in responses', async (t) => {
	const { response } = await forwarded(await stage(t), get(), 'HTTP/1.1 200 OK\r\n'
		+ 'Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n'
		+ 'X-Hop: 1\r\nX-End: 2\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n');

	assert.equal(withoutDate(response.text), 'HTTP/1.1 200 OK\r\nX-End: 2\r\nVia: 1.1 pollux\r\nContent-Length: 0\r\n\r\n');
});

test('Connection cannot take away what serves security, nor what we add', async (t) => {
	const got = await forwarded(
		await stage(t, { route: { forwarded: 'x-forwarded' } }),
		get('/', 'Connection: x-forwarded-for, x-forwarded-proto, via, authorization, cookie, '
			+ 'content-type, host\r\nAuthorization: x\r\nCookie: a=b\r\nContent-Type: text/plain\r\n'));

	assert.equal(got.get('x-forwarded-for'), '127.0.0.1');
	assert.equal(got.get('x-forwarded-proto'), 'http');
	assert.equal(got.get('via'), '1.1 pollux');
	assert.equal(got.get('authorization'), 'x');
	assert.equal(got.get('cookie'), 'a=b');
	assert.equal(got.get('content-type'), 'text/plain');
	assert.equal(got.get('host'), 'a');
});

test('other fields pass in their order, in their spelling, as often as they came', async (t) => {
	const fields = 'x-B: 1\r\nX-a: 2\r\nx-b: 3\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty: \r\n'
		+ 'X-Bytes: caf\xe9 \xff\r\n';
	const got = await forwarded(await stage(t), get('/', fields), ok('', `${fields}Set-Cookie: a\r\nSet-Cookie: b\r\n`));

	assert.equal(got.text, `GET / HTTP/1.1\r\nHost: a\r\n${fields}Via: 1.1 pollux\r\n\r\n`);
	assert.equal(withoutDate(got.response.text), `HTTP/1.1 200 OK\r\n${fields}Set-Cookie: a\r\nSet-Cookie: b\r\n`
		+ 'Via: 1.1 pollux\r\nContent-Length: 0\r\n\r\n');
});

test('white space around values is not part of them', async (t) => {
	const got = await forwarded(await stage(t), 'GET / HTTP/1.1\r\nHost:a\r\nX-A:\t 1 \t\r\n\r\n');

	assert.equal(got.text, 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nVia: 1.1 pollux\r\n\r\n');
});

test('a response without Date gets one, another keeps its own', async (t) => {
	const given = 'Mon, 01 Jan 2024 00:00:00 GMT';
	const kept = await forwarded(await stage(t), get(), ok('', `Date: ${given}\r\n`));
	const added = await forwarded(await stage(t), get(), ok());

	assert.deepEqual(kept.response.getAll('date'), [given]);
	assert.ok(Math.abs(Date.parse(added.response.get('date')) - Date.now()) < 10_000);
});

test('Via is added behind the Via of others, under the configured name', async (t) => {
	const got = await forwarded(
		await stage(t, { program: { via: 'edge-1' } }),
		get('/', 'Via: 1.0 fred\r\n'),
		ok('', 'Via: 1.1 origin\r\n'));

	assert.deepEqual(got.getAll('via'), ['1.0 fred', '1.1 edge-1']);
	assert.deepEqual(got.response.getAll('via'), ['1.1 origin', '1.1 edge-1']);
});

test('Max-Forwards is counted down for OPTIONS and answered at 0', async (t) => {
	const parts = await stage(t);
	const got = await forwarded(parts, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n');

	assert.equal(got.line, 'OPTIONS * HTTP/1.1');
	assert.equal(got.get('max-forwards'), '2');
	parts.client.send('OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n');
	const answer = await parts.client.readResponse();
	assert.equal(answer.status, 200);
	assert.equal(parts.backend.conns.length, 1);
});

test('TRACE and CONNECT are not forwarded', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n');
	const trace = await client.readResponse();
	assert.equal(trace.status, 405);
	assert.match(trace.get('allow'), /\bGET\b/);

	const other = await connect(t, pollux);
	other.send('CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n');
	assert.equal((await other.readResponse()).status, 501);
	await other.expectEnd();
	assert.equal(backend.conns.length, 0);
});

// Who the client is.

test('X-Forwarded-* tells of the client; its own are not believed', async (t) => {
	const parts = await stage(t, { route: { forwarded: 'x-forwarded' } });
	const got = await forwarded(parts, get('/', 'X-Forwarded-For: 1.2.3.4\r\n'
		+ 'X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n'
		+ 'Forwarded: for=1.2.3.4\r\n'));

	assert.equal(got.text, 'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\n'
		+ 'X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n'
		+ `X-Forwarded-Port: ${parts.pollux.port}\r\nVia: 1.1 pollux\r\n\r\n`);
});

test('Forwarded (RFC 7239) in their place', async (t) => {
	const got = await forwarded(await stage(t, { route: { forwarded: 'forwarded' } }),
		'GET / HTTP/1.1\r\nHost: a:81\r\nForwarded: for=1.2.3.4\r\n\r\n');

	assert.deepEqual(got.getAll('forwarded'), ['for=127.0.0.1;host="a:81";proto=http']);
	assert.equal(got.get('x-forwarded-for'), undefined);
});

test('both of them, or none', async (t) => {
	const both = await forwarded(await stage(t, { route: { forwarded: 'both' } }), get());
	assert.equal(both.get('x-forwarded-for'), '127.0.0.1');
	assert.equal(both.get('forwarded'), 'for=127.0.0.1;host=a;proto=http');

	const none = await forwarded(await stage(t, { route: { forwarded: 'off' } }),
		get('/', 'X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n'));
	assert.equal(none.get('x-forwarded-for'), undefined);
	assert.equal(none.get('forwarded'), undefined);
});

test('a trusted proxy is believed and its list extended', async (t) => {
	const parts = await stage(t, {
		program: { trusted_proxies: ['127.0.0.0/8', '10.0.0.0/8'] },
		route: { forwarded: 'x-forwarded' },
	});
	const got = await forwarded(parts, get('/', 'X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.1.1\r\n'
		+ 'X-Forwarded-Proto: https\r\nX-Forwarded-Host: site.example\r\n'));

	assert.equal(got.get('x-forwarded-for'), '6.6.6.6, 203.0.113.7, 10.1.1.1, 127.0.0.1');
	assert.equal(got.get('x-forwarded-proto'), 'https');
	assert.equal(got.get('x-forwarded-host'), 'site.example');
	const entry = await parts.pollux.accessed({ target: '/' });
	assert.equal(entry.client, '203.0.113.7');
});

test('Forwarded of a trusted proxy names the client in the log, in IPv6 too', async (t) => {
	const parts = await stage(t, {
		program: { trusted_proxies: ['127.0.0.1'] },
		route: { forwarded: 'forwarded' },
	});
	const given = 'for="[2001:db8::7]:4711";proto=https';
	const got = await forwarded(parts, get('/', `Forwarded: ${given}\r\n`));

	assert.deepEqual(got.getAll('forwarded').join(', '), `${given}, for=127.0.0.1;host=a;proto=http`);
	assert.equal((await parts.pollux.accessed({ target: '/' })).client, '2001:db8::7');
});

// Host.

test('the Host of an absolute target wins and becomes the Host', async (t) => {
	const got = await forwarded(await stage(t),
		'GET http://b.example:8080/x?y HTTP/1.1\r\nHost: b.example:8080\r\n\r\n');

	assert.equal(got.text, 'GET /x?y HTTP/1.1\r\nHost: b.example:8080\r\nVia: 1.1 pollux\r\n\r\n');
});

for (const [host_header, wanted] of [
	['preserve', () => 'a'],
	['server', ({ backend }) => backend.address],
	['inner.example', () => 'inner.example'],
]) {
	test(`host_header = ${host_header}`, async (t) => {
		const parts = await stage(t, { backend: { host_header } });
		const got = await forwarded(parts, get());

		assert.deepEqual(got.getAll('host'), [wanted(parts)]);
	});
}

// Routes.

// Several routes to one backend, each to be told by a Host of its own.
async function routed(t, routes) {
	const backend = (await RawBackend.start(t)).serve(
		(request) => ok(request.get('host')));
	const backends = Object.fromEntries(routes.map(({ name }) =>
		[name, { servers: [backend], host_header: name }]));
	const pollux = await Pollux.start(t, {
		backends,
		route: routes.map(({ name, ...route }) => ({ ...route, backend: name })),
	});
	const client = await connect(t, pollux);
	return async (target, host = 'a') => {
		client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
		const response = await client.readResponse();
		return response.status === 200 ? response.body.toString() : response.status;
	};
}

test('the longest prefix wins, by whole segments', async (t) => {
	const find = await routed(t, [
		{ name: 'root', path: '/' },
		{ name: 'chat', path: '/chat' },
		{ name: 'room', path: '/chat/room/' },
	]);

	assert.equal(await find('/'), 'root');
	assert.equal(await find('/chat'), 'chat');
	assert.equal(await find('/chat?x=/chat/room/'), 'chat');
	assert.equal(await find('/chat/'), 'chat');
	assert.equal(await find('/chatter'), 'root');
	assert.equal(await find('/chat/room/1'), 'room');
	assert.equal(await find('/Chat'), 'root');
});

test('exact wins over a prefix of the same length and matches nothing else', async (t) => {
	const find = await routed(t, [
		{ name: 'prefix', path: '/a' },
		{ name: 'exact', path: '/a', match: 'exact' },
	]);

	assert.equal(await find('/a'), 'exact');
	assert.equal(await find('/a?b'), 'exact');
	assert.equal(await find('/a/'), 'prefix');
	assert.equal(await find('/b'), 404);
});

test('a route for the host wins over one for all, a name over a wildcard', async (t) => {
	const find = await routed(t, [
		{ name: 'all', path: '/long/path' },
		{ name: 'star', path: '/', hosts: ['*.site.example'] },
		{ name: 'www', path: '/', hosts: ['www.site.example', 'site.example'] },
	]);

	assert.equal(await find('/long/path'), 'all');
	assert.equal(await find('/long/path', 'WWW.site.example:8080'), 'www');
	assert.equal(await find('/', 'site.example'), 'www');
	assert.equal(await find('/', 'b.site.example'), 'star');
	assert.equal(await find('/', 'b.c.site.example'), 'star');
	assert.equal(await find('/', 'evilsite.example'), 404);
	assert.equal(await find('/x'), 404);
});

test('the Host of an absolute target chooses the route', async (t) => {
	const find = await routed(t, [
		{ name: 'inner', path: '/', hosts: ['inner.example'] },
		{ name: 'outer', path: '/', hosts: ['outer.example'] },
	]);

	assert.equal(await find('http://inner.example/', 'outer.example'), 'inner');
});

test('no route: 404, and the log says so', async (t) => {
	const { pollux, client } = await stage(t, { route: { path: '/only' } });

	client.send(get('/'));
	await client.expect(page('no-route'));
	const entry = await pollux.accessed({ target: '/' });
	assert.equal(entry.reason, 'no-route');
	assert.equal(entry.status, 404);
});

test('fields that only look like ours pass', async (t) => {
	const fields = 'X-Forwarded-Fo: 1\r\nX-Forwarded: 2\r\nTransfer-Encodin: 3\r\nHosts: 4\r\n';
	const got = await forwarded(await stage(t), get('/', fields), ok());

	assert.equal(got.text, `GET / HTTP/1.1\r\nHost: a\r\n${fields}Via: 1.1 pollux\r\n\r\n`);
	assert.equal(withoutDate(got.response.text + got.response.body), passedOk());
});
