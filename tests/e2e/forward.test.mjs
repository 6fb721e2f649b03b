// Forwarding over HTTP/1.1: messages, their framing, and the connections they travel on.
import assert from 'node:assert/strict';
import test from 'node:test';

import { chunked } from './lib/http_text.mjs';
import { page } from './lib/pages.mjs';
import { connect, forwardedGet, get, ok, passedOk, stage } from './lib/stage.mjs';

test('a request and its response pass', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/a?b=c', 'Accept: */*\r\n'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/a?b=c', 'Accept: */*\r\n'));
	conn.send(ok('hello', 'Content-Type: text/plain\r\n'));
	await client.expect(passedOk('hello', 'Content-Type: text/plain\r\n'));
});

test('both connections are used again', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/1'));
	const conn = await backend.accept();
	for (const n of [1, 2, 3]) {
		await conn.expect(forwardedGet(`/${n}`));
		conn.send(ok(String(n)));
		await client.expect(passedOk(String(n)));
		client.send(get(`/${n + 1}`));
	}
	assert.equal(backend.conns.length, 1);
});

test('another client gets the connection of the first', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send(get('/1'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/1'));
	conn.send(ok());
	await client.expect(passedOk());

	const other = await connect(t, pollux);
	other.send(get('/2'));
	await conn.expect(forwardedGet('/2'));
	conn.send(ok());
	await other.expect(passedOk());
});

test('pipelined requests are forwarded one by one and answered in order', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/1'), 'POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody', get('/3'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/1'));
	assert.equal(conn.size, 0);
	conn.send(ok('one'));
	await conn.expect('POST /2 HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nContent-Length: 4\r\n\r\nbody');
	conn.send(ok('two'));
	await conn.expect(forwardedGet('/3'));
	conn.send(ok('three'));
	await client.expect(passedOk('one'), passedOk('two'), passedOk('three'));
});

test('a thousand pipelined requests are answered in order', async (t) => {
	const { backend, client } = await stage(t);
	const targets = Array.from({ length: 1000 }, (_, n) => `/${n}`);

	backend.serve((request) => ok(request.target));
	client.send(targets.map((target) => get(target)));
	await client.expect(targets.map((target) => passedOk(target)));
});

test('a request that comes byte by byte is the same request', async (t) => {
	const { backend, client } = await stage(t);

	client.socket.setNoDelay(true);
	for (const byte of 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
		await client.sent(byte);
	const request = await (await backend.accept()).readRequest();
	assert.equal(request.target, '/a');
	assert.equal(request.body.toString(), 'abc');
});

test('a response that comes byte by byte is the same response', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.socket.setNoDelay(true);
	for (const byte of `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abc', 'd')}`)
		await conn.sent(byte);
	const response = await client.readResponse();
	assert.equal(response.body.toString(), 'abcd');
});

test('empty lines before a request are skipped', async (t) => {
	const { backend, client } = await stage(t);

	client.send('\r\n', get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.send(ok());
	await client.expect(passedOk());
});

// The end of connections.

test('Connection: close of a client is answered and obeyed', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/', 'Connection: close\r\n'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.send(ok());
	await client.expect('HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
	await client.expectEnd();
});

test('Connection: close of a backend stays between it and Pollux', async (t) => {
	const { backend, client } = await stage(t);

	for (const n of [1, 2]) {
		client.send(get(`/${n}`));
		const conn = await backend.accept();
		await conn.expect(forwardedGet(`/${n}`));
		conn.send(ok('ok', 'Connection: close\r\n'));
		await client.expect(passedOk());
		await conn.expectEnd();
	}
});

test('a client of HTTP/1.0 gets its answer and the end', async (t) => {
	const { backend, client } = await stage(t);

	client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
	const conn = await backend.accept();
	await conn.expect('GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 pollux\r\n\r\n');
	conn.send(ok());
	await client.expect('HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
	await client.expectEnd();
});

test('a client of HTTP/1.0 can keep its connection', async (t) => {
	const { backend, client } = await stage(t);

	backend.serve();
	for (let n = 0; n < 3; n++) {
		client.send('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
		await client.expect('HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\n'
			+ 'Connection: keep-alive\r\n\r\nok');
	}
});

test('a chunked body reaches a client of HTTP/1.0 without the coding', async (t) => {
	const { backend, client } = await stage(t);

	client.send('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abc', 'def')}`);
	await client.expect('HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nConnection: close\r\n\r\nabcdef');
	await client.expectEnd();
});

test('a request without Host in HTTP/1.0 gets the name of the server', async (t) => {
	const { backend, client } = await stage(t);

	client.send('GET / HTTP/1.0\r\n\r\n');
	await (await backend.accept()).expect(
		`GET / HTTP/1.1\r\nHost: ${backend.address}\r\nVia: 1.0 pollux\r\n\r\n`);
});

test('after keepalive_requests the connection is closed', async (t) => {
	const { backend, client } = await stage(t, { listen: { keepalive_requests: 2 } });

	backend.serve();
	client.send(get('/1'));
	await client.expect(passedOk());
	client.send(get('/2'));
	const last = await client.readResponse();
	assert.equal(last.get('connection'), 'close');
	await client.expectEnd();
});

test('a backend without keepalive gets a connection per request', async (t) => {
	const { backend, client } = await stage(t, { backend: { keepalive: false } });

	for (const n of [1, 2]) {
		client.send(get(`/${n}`));
		const conn = await backend.accept();
		await conn.expect(`GET /${n} HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nConnection: close\r\n\r\n`);
		conn.send(ok());
		await client.expect(passedOk());
		await conn.expectEnd();
	}
});

// Bodies and their framing.

test('a body with a length passes both ways', async (t) => {
	const { backend, client } = await stage(t);

	client.send('PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
	const conn = await backend.accept();
	await conn.expect('PUT /f HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nContent-Length: 5\r\n\r\nhello');
	conn.send(ok('goodbye'));
	await client.expect(passedOk('goodbye'));
});

test('a chunked body passes both ways and is chunked anew', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
	const conn = await backend.accept();
	await conn.expect('POST / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n');
	client.send('0003;name="value"\r\nabc\r\n');
	await conn.expect('3\r\nabc\r\n');
	client.send('A\r\n0123456789\r\n0\r\n\r\n');
	await conn.expect('a\r\n0123456789\r\n0\r\n\r\n');

	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
	await client.expect('HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n');
	conn.send('02\r\nok\r\n');
	await client.expect('2\r\nok\r\n');
	conn.send('0;last\r\n\r\n');
	await client.expect('0\r\n\r\n');
});

test('a response that ends with the connection is chunked for the client', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\n\r\nuntil the end').end();
	const response = await client.readResponse();
	assert.equal(response.get('transfer-encoding'), 'chunked');
	assert.equal(response.body.toString(), 'until the end');
	backend.serve();
	client.send(get('/next'));
	await client.expect(passedOk());
});

test('a response of HTTP/1.0 is forwarded as HTTP/1.1 and its connection not used again', async (t) => {
	const { backend, client } = await stage(t);

	for (let n = 0; n < 2; n++) {
		client.send(get('/'));
		const conn = await backend.accept();
		await conn.readRequest();
		conn.send('HTTP/1.0 200 Fine\r\nContent-Length: 2\r\n\r\nok');
		await client.expect('HTTP/1.1 200 Fine\r\nVia: 1.0 pollux\r\nContent-Length: 2\r\n\r\nok');
		await conn.expectEnd();
	}
});

test('trailers pass both ways, without those that would frame or route', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n',
		'3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\n\r\n');
	const conn = await backend.accept();
	const request = await conn.readRequest();
	assert.equal(request.get('trailer'), 'X-Sum');
	assert.deepEqual(request.trailers, ['X-Sum: 1']);

	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n',
		'2\r\nok\r\n0\r\nX-Sum: 2\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n');
	const response = await client.readResponse();
	assert.equal(response.get('trailer'), 'X-Sum');
	assert.deepEqual(response.trailers, ['X-Sum: 2']);
});

for (const body of ['', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n']) {
	test(`the answer to HEAD has no body (${body.trim() || 'no framing'})`, async (t) => {
		const { backend, client } = await stage(t);

		client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
		const conn = await backend.accept();
		await conn.expect('HEAD / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\n\r\n');
		conn.send(`HTTP/1.1 200 OK\r\n${body}\r\n`);
		const head = await client.readResponse({ method: 'HEAD' });
		assert.equal(head.get('content-length'), body.startsWith('Content') ? '5' : undefined);
		client.send(get('/next'));
		await conn.expect(forwardedGet('/next'));
		conn.send(ok());
		await client.expect(passedOk());
	});
}

for (const status of ['204 No Content', '304 Not Modified']) {
	test(`${status} has no body`, async (t) => {
		const { backend, client } = await stage(t);

		client.send(get('/'));
		const conn = await backend.accept();
		await conn.expect(forwardedGet('/'));
		conn.send(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`);
		await client.expect(`HTTP/1.1 ${status}\r\nETag: "x"\r\nVia: 1.1 pollux\r\n\r\n`);
		client.send(get('/next'));
		await conn.expect(forwardedGet('/next'));
		conn.send(ok());
		await client.expect(passedOk());
	});
}

test('an unknown method passes as it is', async (t) => {
	const { backend, client } = await stage(t);

	client.send('PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
	await (await backend.accept()).expect(
		'PROPFIND / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\n\r\nhi');
});

// Interim responses and Expect.

test('100 Continue comes from the backend, then the body goes there', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
	const conn = await backend.accept();
	await conn.expect('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nVia: 1.1 pollux\r\n'
		+ 'Content-Length: 4\r\n\r\n');
	assert.equal(client.size, 0);
	conn.send('HTTP/1.1 100 Continue\r\n\r\n');
	await client.expect('HTTP/1.1 100 Continue\r\nVia: 1.1 pollux\r\n\r\n');
	client.send('body');
	await conn.expect('body');
	conn.send(ok());
	await client.expect(passedOk());
});

test('a client need not wait for 100 Continue', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody');
	const conn = await backend.accept();
	const request = await conn.readRequest();
	assert.equal(request.body.toString(), 'body');
	conn.send(ok());
	await client.expect(passedOk());
	client.send(get('/next'));
	await conn.expect(forwardedGet('/next'));
});

test('a refusal instead of 100 Continue ends both connections: the body may still come', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
	const conn = await backend.accept();
	await conn.readUntil('\r\n\r\n');
	conn.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
	await client.expect('HTTP/1.1 403 Forbidden\r\nVia: 1.1 pollux\r\nContent-Length: 0\r\n'
		+ 'Connection: close\r\n\r\n');
	await client.expectEnd();
	await conn.expectGone();
	assert.equal(conn.size, 0);
});

test('103 Early Hints passes before the response', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
	await client.expect('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nVia: 1.1 pollux\r\n\r\n');
	conn.send('HTTP/1.1 102 Processing\r\n\r\n', ok());
	await client.expect('HTTP/1.1 102 Processing\r\nVia: 1.1 pollux\r\n\r\n', passedOk());
});

test('a 100 that nobody asked for does not pass, and none reaches HTTP/1.0', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	conn.send('HTTP/1.1 100 Continue\r\n\r\n', ok());
	await client.expect(passedOk());

	const old = await connect(t, pollux);
	old.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
	await conn.readRequest();
	conn.send('HTTP/1.1 103 Early Hints\r\n\r\n', ok());
	const response = await old.readResponse();
	assert.equal(response.interim.length, 0);
});

// Answers that come before the request is complete.

test('after an early answer the rest of a small body is skipped', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ');
	const conn = await backend.accept();
	await conn.readUntil('half ');
	conn.send(ok('enough'));
	await client.expect(passedOk('enough'));
	await conn.expectGone();

	client.send('rest.', get('/next'));
	const next = await backend.accept();
	await next.expect(forwardedGet('/next'));
	next.send(ok());
	await client.expect(passedOk());
});

test('after an early answer the connection of a large body is closed', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nhalf ');
	const conn = await backend.accept();
	await conn.readUntil('half ');
	conn.send(ok('enough'));
	const response = await client.readResponse();
	assert.equal(response.get('connection'), 'close');
	await client.expectEnd();
	await conn.expectGone();
});

// Broken off.

test('a client that leaves takes its backend connection along', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	client.close();
	await conn.expectGone();
	const entry = await pollux.accessed({ target: '/' });
	assert.equal(entry.status, 499);
	assert.equal(entry.reason, 'client-gone');
});

test('a request body that is broken off is broken off at the backend', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
	const conn = await backend.accept();
	await conn.readUntil('3\r\nabc\r\n');
	client.reset();
	await conn.expectGone();
	assert.equal(conn.size, 0);
});

for (const [framing, head, passed] of [
	['a length', 'Content-Length: 10\r\n', '12345'],
	['chunks', 'Transfer-Encoding: chunked\r\n', '5\r\n12345\r\n'],
]) {
	test(`a response with ${framing} that is cut is cut for the client`, async (t) => {
		const { backend, pollux, client } = await stage(t);

		client.send(get('/'));
		const conn = await backend.accept();
		await conn.expect(forwardedGet('/'));
		conn.send(`HTTP/1.1 200 OK\r\n${head}\r\n${passed}`);
		await client.expect(`HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\n${head}\r\n${passed}`);
		conn.end();
		await client.expectEnd();
		const entry = await pollux.accessed({ target: '/' });
		assert.equal(entry.reason, 'backend-cut');
	});
}

test('a cut response to HTTP/1.0 is a reset, because an end would look whole', async (t) => {
	const { backend, client } = await stage(t);

	client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n');
	await client.readUntil('12345');
	conn.end();
	await client.expectCut();
});

test('a backend that answers and resets has answered', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/'));
	await conn.sent(ok('whole'));
	conn.reset();
	await client.expect(passedOk('whole'));
});

test('an error page says what is wrong, and keeps the connection where it can', async (t) => {
	const { client } = await stage(t, { route: { path: '/only' } });

	client.send(get('/elsewhere'));
	await client.expect(page('no-route'));
	client.send('HEAD /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n');
	const head = await client.readResponse({ method: 'HEAD' });
	assert.equal(head.status, 404);
	client.send(get('/elsewhere'));
	await client.readResponse();
});
