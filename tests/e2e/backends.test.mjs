// Servers behind Pollux: how connections to them are used again, when a request is tried again, how
// long each step may take, and the kinds of sockets on either side.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test from 'node:test';

import { page } from './lib/pages.mjs';
import { Pollux, freePort } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, forwardedGet, get, ok, passedOk, stage } from './lib/stage.mjs';
import { pass } from './lib/wait.mjs';
import { Wire } from './lib/wire.mjs';

const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody';
const FORWARDED_POST = 'POST / HTTP/1.1\r\nHost: a\r\nVia: 1.1 pollux\r\nContent-Length: 4\r\n\r\nbody';

// The pool.

test('concurrent requests get connections of their own, later ones share them', async (t) => {
	const { backend, pollux, client } = await stage(t);
	const other = await connect(t, pollux);

	client.send(get('/1'));
	const first = await backend.accept();
	await first.expect(forwardedGet('/1'));
	other.send(get('/2'));
	const second = await backend.accept();
	await second.expect(forwardedGet('/2'));
	first.send(ok());
	second.send(ok());
	await client.expect(passedOk());
	await other.expect(passedOk());
	backend.serve();
	for (let n = 0; n < 4; n++) {
		client.send(get('/'));
		other.send(get('/'));
		await client.expect(passedOk());
		await other.expect(passedOk());
	}
	assert.equal(backend.conns.length, 2);
});

test('an unused connection is closed after idle_timeout', async (t) => {
	const { backend, client } = await stage(t, { backend: { idle_timeout: '80ms' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
	await conn.expectEnd();
	client.send(get('/again'));
	await (await backend.accept()).expect(forwardedGet('/again'));
});

test('no more than max_idle_connections are kept', async (t) => {
	const { backend, pollux } = await stage(t, { backend: { max_idle_connections: 1 } });
	const clients = await Promise.all([1, 2, 3].map(() => connect(t, pollux)));

	clients.forEach((client) => client.send(get()));
	const conns = [await backend.accept(), await backend.accept(), await backend.accept()];
	for (const conn of conns)
		await conn.readRequest();
	conns.forEach((conn) => conn.send(ok()));
	for (const client of clients)
		await client.expect(passedOk());
	await Promise.race(conns.flatMap((conn) => conns.filter((c) => c !== conn)
		.map((c) => Promise.all([conn.expectGone(), c.expectGone()]))));
	assert.equal(conns.filter((conn) => conn.hasEnded).length, 2);
});

test('a connection on which the backend speaks unasked is not used again', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/1'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
	await conn.expectGone();
	client.send(get('/2'));
	const next = await backend.accept();
	await next.expect(forwardedGet('/2'));
	next.send(ok('good'));
	await client.expect(passedOk('good'));
});

test('bytes behind a response are nobody\'s answer', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/1'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok(), ok('evil'));
	await client.expect(passedOk());
	await conn.expectGone();
	client.send(get('/2'));
	const next = await backend.accept();
	await next.readRequest();
	next.send(ok('good'));
	await client.expect(passedOk('good'));
});

test('with max_connections requests wait for their turn', async (t) => {
	const { backend, pollux, client } = await stage(t, { backend: { max_connections: 1 } });
	const other = await connect(t, pollux);

	client.send(get('/1'));
	const conn = await backend.accept();
	await conn.expect(forwardedGet('/1'));
	other.send(get('/2'));
	conn.send(ok('one'));
	await client.expect(passedOk('one'));
	await conn.expect(forwardedGet('/2'));
	conn.send(ok('two'));
	await other.expect(passedOk('two'));
	assert.equal(backend.conns.length, 1);
});

test('who waits for a full server too long gets 503', async (t) => {
	const { backend, pollux, client } = await stage(t, {
		backend: { max_connections: 1, connect_timeout: '80ms' },
	});
	const other = await connect(t, pollux);

	client.send(get('/1'));
	const conn = await backend.accept();
	await conn.readRequest();
	other.send(get('/2'));
	await other.expect(page('no-server'));
	assert.equal((await pollux.accessed({ target: '/2' })).reason, 'no-server');
	conn.send(ok());
	await client.expect(passedOk());
});

// Several servers.

test('round_robin: in turn', async (t) => {
	const servers = [await RawBackend.start(t), await RawBackend.start(t)];
	servers.forEach((server, n) => server.serve(() => ok(String(n))));
	const pollux = await Pollux.start(t, { backend: { servers } });
	const client = await connect(t, pollux);

	for (const n of [0, 1, 0, 1, 0]) {
		client.send(get());
		assert.equal((await client.readResponse()).body.toString(), String(n));
	}
});

test('least_conn: where the least is going on', async (t) => {
	const servers = [await RawBackend.start(t), await RawBackend.start(t)];
	const pollux = await Pollux.start(t, { backend: { servers, balance: 'least_conn' } });
	const busy = await connect(t, pollux);

	busy.send(get('/busy'));
	const held = await Promise.race(servers.map(async (server, n) => {
		await server.accept();
		return n;
	}));
	servers[1 - held].serve(() => ok('free'));
	for (let n = 0; n < 3; n++) {
		const client = await connect(t, pollux);
		client.send(get());
		assert.equal((await client.readResponse()).body.toString(), 'free');
	}
	assert.equal(servers[held].conns.length, 1);
});

test('a server that fails is left out, and comes back', async (t) => {
	const good = (await RawBackend.start(t)).serve(() => ok('good'));
	const port = await freePort();
	const pollux = await Pollux.start(t, {
		backend: {
			servers: [`127.0.0.1:${port}`, good],
			max_fails: 2,
			fail_timeout: '100ms',
		},
	});
	const client = await connect(t, pollux);

	for (let n = 0; n < 6; n++) {
		client.send(get());
		assert.equal((await client.readResponse()).body.toString(), 'good');
	}
	assert.equal(pollux.log.lines.filter((line) => line.includes(': connect:')).length, 2);
	await pollux.logged(new RegExp(`127.0.0.1:${port} is down after 2 failures`));
});

test('a request goes to the next server when the first cannot be reached, whatever its method',
	async (t) => {
		const good = await RawBackend.start(t);
		const pollux = await Pollux.start(t, {
			backend: { servers: [`127.0.0.1:${await freePort()}`, good] },
			route: { forwarded: 'off' },
		});
		const client = await connect(t, pollux);

		client.send(POST);
		const conn = await good.accept();
		await conn.expect(FORWARDED_POST);
		conn.send(ok());
		await client.expect(passedOk());
	});

// Trying again.

// Makes a connection that was used before, for the next request.
async function usedConnection({ backend, client }) {
	client.send(get('/first'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
	return conn;
}

test('a GET on a connection that the backend closes just then is sent again', async (t) => {
	const parts = await stage(t);
	const conn = await usedConnection(parts);

	parts.client.send(get('/again'));
	await conn.expect(forwardedGet('/again'));
	conn.end();
	const next = await parts.backend.accept();
	await next.expect(forwardedGet('/again'));
	next.send(ok('second'));
	await parts.client.expect(passedOk('second'));
});

test('a GET on a connection that is reset just then is sent again', async (t) => {
	const parts = await stage(t);
	const conn = await usedConnection(parts);

	parts.client.send(get('/again'));
	await conn.expect(forwardedGet('/again'));
	conn.reset();
	const next = await parts.backend.accept();
	await next.expect(forwardedGet('/again'));
	next.send(ok('second'));
	await parts.client.expect(passedOk('second'));
});

for (const [method, body] of [['POST', 'body'], ['POST', ''], ['PATCH', 'body'], ['LOCK', '']]) {
	test(`a ${method} of ${body.length} bytes whose connection breaks is not sent again`, async (t) => {
		const parts = await stage(t);
		const conn = await usedConnection(parts);

		parts.client.send(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
		await conn.readRequest();
		conn.end();
		await parts.client.expect(page('backend-gone'));
		assert.equal((await parts.pollux.accessed({ method })).reason, 'backend-gone');
		assert.equal(parts.backend.conns.length, 1);
	});
}

test('a PUT is not sent again once a byte of its body has left', async (t) => {
	const parts = await stage(t);
	const conn = await usedConnection(parts);

	parts.client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
	await conn.readRequest();
	conn.end();
	await parts.client.expect(page('backend-gone'));
	assert.equal(parts.backend.conns.length, 1);
});

test('half a head is no answer: a GET is sent again, a POST is not', async (t) => {
	const parts = await stage(t);
	const conn = await usedConnection(parts);

	parts.client.send(get('/again'));
	await conn.readRequest();
	conn.send('HTTP/1.1 200 O').end();
	const next = await parts.backend.accept();
	await next.expect(forwardedGet('/again'));
	next.send(ok());
	await parts.client.expect(passedOk());

	parts.client.send(POST);
	await next.readRequest();
	next.send('HTTP/1.1 200 O').end();
	await parts.client.expect(page('backend-gone'));
	assert.equal(parts.backend.conns.length, 2);
});

test('retries = 0: nothing is sent again', async (t) => {
	const parts = await stage(t, { backend: { retries: 0 } });
	const conn = await usedConnection(parts);

	parts.client.send(get('/again'));
	await conn.readRequest();
	conn.end();
	await parts.client.expect(page('backend-gone'));
	assert.equal(parts.backend.conns.length, 1);
});

// Failures and timeouts.

test('connection refused: 502', async (t) => {
	const pollux = await Pollux.start(t, { backend: `127.0.0.1:${await freePort()}` });
	const client = await connect(t, pollux);

	for (let n = 0; n < 2; n++) {
		client.send(get());
		await client.expect(page('connect'));
	}
	assert.equal((await pollux.accessed()).reason, 'connect');
});

test('a name that does not resolve: 502', async (t) => {
	const pollux = await Pollux.start(t, { backend: 'nowhere.invalid:80' });
	const client = await connect(t, pollux);

	client.send(get());
	await client.expect(page('connect'));
	assert.equal((await pollux.accessed()).reason, 'connect');
});

test('a name that resolves: localhost', async (t) => {
	const backend = (await RawBackend.start(t)).serve();
	const pollux = await Pollux.start(t, { backend: `localhost:${backend.port}` });
	const client = await connect(t, pollux);

	client.send(get());
	assert.equal((await client.readResponse()).status, 200);
	assert.equal((await pollux.accessed()).server, `localhost:${backend.port}`);
});

test('connect_timeout covers the TLS handshake: 504', async (t) => {
	const { pollux, client } = await stage(t, {
		backend: { tls: true, tls_verify: false, connect_timeout: '80ms' },
	});

	client.send(get());
	await client.expect(page('connect-timeout'));
	assert.equal((await pollux.accessed()).reason, 'connect-timeout');
});

test('response_timeout: 504, and the connection is given up', async (t) => {
	const { backend, pollux, client } = await stage(t, { backend: { response_timeout: '80ms' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await client.expect(page('response-timeout'));
	await conn.expectGone();
	assert.equal((await pollux.accessed()).reason, 'response-timeout');
});

test('response_timeout begins when the request has left, not before', async (t) => {
	const { backend, client } = await stage(t, { backend: { response_timeout: '100ms' } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
	const conn = await backend.accept();
	for (const byte of 'ab!') {
		await pass(150);
		client.send(byte);
	}
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
});

test('read_timeout: a response that stops is cut', async (t) => {
	const { backend, pollux, client } = await stage(t, { backend: { read_timeout: '80ms' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
	await client.readUntil('4\r\nhalf\r\n');
	await client.expectEnd();
	await conn.expectGone();
	assert.equal((await pollux.accessed()).reason, 'read-timeout');
});

test('write_timeout: a backend that takes no more of a request is given up', async (t) => {
	const { backend, pollux, client } = await stage(t, { backend: { write_timeout: '100ms' } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
	const conn = await backend.accept();
	conn.stall();
	client.socket.on('error', () => {});
	client.send(Buffer.alloc(30_000_000));
	const response = await client.readResponse();
	assert.equal(response.status, 504);
	assert.equal((await pollux.accessed()).reason, 'backend-stall');
});

test('a backend that answers without reading the request has answered', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n');
	const conn = await backend.accept();
	conn.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!').end();
	const response = await client.readResponse();
	assert.equal(response.status, 413);
	assert.equal(response.body.toString(), 'no!');
});

// Sockets of all kinds.

test('a unix socket in front and one behind', async (t) => {
	const backend = await RawBackend.start(t, { path: 'app.sock' });
	const pollux = await Pollux.start(t, {
		backend,
		listen: { path: 'front.sock' },
		route: { forwarded: 'both' },
	});
	const client = await Wire.connect(t, pollux.where());

	client.send(get());
	const conn = await backend.accept();
	await conn.expect('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n'
		+ 'Forwarded: for=unknown;host=a;proto=http\r\nVia: 1.1 pollux\r\n\r\n');
	conn.send(ok());
	await client.expect(passedOk());
});

test('a unix socket is taken away at the end, and a stale one replaced', async (t) => {
	const backend = (await RawBackend.start(t)).serve();
	const pollux = await Pollux.start(t, { backend, listen: { path: 'front.sock' } });
	const { path } = pollux.where();

	await pollux.kill();
	assert.ok(existsSync(path));
	const next = await Pollux.start(t, { backend, listen: { path } });
	const client = await Wire.connect(t, next.where());
	client.send(get());
	await client.expect(passedOk());
	client.end();
	await next.stop();
	assert.ok(!existsSync(path));
});

test('IPv6 in front and behind', async (t) => {
	const backend = await RawBackend.start(t, { host: '::1' });
	const pollux = await Pollux.start(t, {
		backend,
		listen: { host: '::1' },
		route: { forwarded: 'both' },
	});
	const client = await Wire.connect(t, pollux.where());

	client.send(`GET / HTTP/1.1\r\nHost: [::1]:${pollux.port}\r\n\r\n`);
	const conn = await backend.accept();
	const request = await conn.readRequest();
	assert.equal(request.get('host'), `[::1]:${pollux.port}`);
	assert.equal(request.get('x-forwarded-for'), '::1');
	assert.equal(request.get('forwarded'), `for="[::1]";host="[::1]:${pollux.port}";proto=http`);
	conn.send(ok());
	await client.expect(passedOk());
	assert.equal((await pollux.accessed()).client, '::1');
});

test('several listeners at once', async (t) => {
	const backend = (await RawBackend.start(t)).serve();
	const pollux = await Pollux.start(t, {
		backend,
		listen: [{}, { host: '::1' }, { path: 'front.sock' }],
	});

	for (const index of [0, 1, 2]) {
		const client = await connect(t, pollux, { index });
		client.send(get());
		await client.expect(passedOk());
	}
});
