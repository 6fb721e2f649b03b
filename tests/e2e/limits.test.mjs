// Limits: each on the size, the time or the number of something, each with its status, and none at
// the cost of clients that behave.
import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { Authority } from './lib/certificates.mjs';
import { connect, forwardedGet, get, ok, passedOk, stage } from './lib/stage.mjs';
import { eventually, pass } from './lib/wait.mjs';
import { handshake, switching } from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const OVERLOAD = page('overload', { closes: true });

// Sizes.

test('a head of just max_header_size passes, one more byte is 431', async (t) => {
	const { backend, pollux, client } = await stage(t, { listen: { max_header_size: 2048, max_uri_size: 1024 } });
	const head = (size) => {
		const start = 'GET / HTTP/1.1\r\nHost: a\r\nX: ';
		return `${start}${'y'.repeat(size - start.length - 4)}\r\n\r\n`;
	};

	backend.serve();
	client.send(head(2048));
	await client.expect(passedOk());
	client.send(head(2049));
	await client.expect(page('header-too-large', { closes: true }));
	await client.expectEnd();
	assert.equal((await pollux.accessed({ status: 431 })).reason, 'header-too-large');
	assert.equal(backend.conns.length, 1);
});

test('a head without end is 431 as soon as it is too large', async (t) => {
	const { pollux, client } = await stage(t, { listen: { max_header_size: 2048, max_uri_size: 1024 } });

	client.send('GET / HTTP/1.1\r\nHost: a\r\nX: ', 'y'.repeat(2048));
	await client.expect(page('header-too-large', { closes: true }));
	const other = await connect(t, pollux);
	other.send('GET / HTTP/1.1\r\n', 'X: y\r\n'.repeat(500));
	await other.expect(page('header-too-large', { closes: true }));
});

test('max_header_fields pass, one more is 431', async (t) => {
	const { backend, client } = await stage(t, { listen: { max_header_fields: 5 } });

	backend.serve();
	client.send(get('/', 'X: y\r\n'.repeat(4)));
	await client.expect(passedOk());
	client.send(get('/', 'X: y\r\n'.repeat(5)));
	await client.expect(page('header-too-large', { closes: true }));
	await client.expectEnd();
});

test('a target of just max_uri_size passes, one more byte is 414', async (t) => {
	const { backend, pollux, client } = await stage(t, { listen: { max_uri_size: 100 } });
	const target = (size) => `/${'a'.repeat(size - 1)}`;

	backend.serve();
	client.send(get(target(100)));
	await client.expect(passedOk());
	client.send(get(target(101)));
	await client.expect(page('uri-too-long', { closes: true }));
	await client.expectEnd();
	const other = await connect(t, pollux);
	other.send(`GET ${target(5000)}`); // never a space, never a line
	await other.expect(page('uri-too-long', { closes: true }));
	assert.equal(backend.heard, forwardedGet(target(100)));
});

test('a body of just max_body_size passes; a longer one is 413 before the backend hears of it', async (t) => {
	const { backend, pollux, client } = await stage(t, { route: { max_body_size: 10 } });

	backend.serve();
	client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789`);
	await client.expect(passedOk());
	const heard = backend.heard;
	client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n0123456789x`);
	const response = await client.readResponse();
	assert.equal(response.status, 413);
	assert.equal(backend.heard, heard);
	assert.equal((await pollux.accessed({ status: 413 })).reason, 'body-too-large');
});

test('a client that waits for 100 Continue learns of 413 before it sends', async (t) => {
	const { backend, client } = await stage(t, { route: { max_body_size: 10 } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n');
	await client.expect(page('body-too-large', { closes: true }));
	await client.expectEnd();
	assert.equal(backend.conns.length, 0);
});

test('a chunked body is 413 when it passes max_body_size, and the backend never sees its end', async (t) => {
	const { backend, pollux, client } = await stage(t, { route: { max_body_size: 10 } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n');
	const conn = await backend.accept();
	await conn.readUntil('5\r\n01234\r\n');
	client.send('6\r\n56789x\r\n0\r\n\r\n');
	await client.expect(page('body-too-large', { closes: true }));
	await client.expectEnd();
	await conn.expectGone();
	assert.equal(conn.size, 0);
	assert.equal((await pollux.accessed({ status: 413 })).reason, 'body-too-large');
});

// Times.

test('a head that is slow as a whole is 408, however steadily its bytes come', async (t) => {
	const { backend, pollux, client } = await stage(t, { listen: { header_timeout: '300ms' } });
	let isOver = false;

	const answered = client.expect(page('header-timeout', { closes: true }))
		.finally(() => (isOver = true));
	const began = Date.now();
	for (const byte of `GET / HTTP/1.1\r\nX: ${'y'.repeat(1000)}`) {
		if (isOver)
			break;
		client.send(byte);
		await pass(10);
	}
	await answered;
	await client.expectEnd();
	const took = Date.now() - began;
	assert.ok(took >= 290 && took < 3000, `${took} ms`);
	assert.equal((await pollux.accessed({ status: 408 })).reason, 'header-timeout');
	assert.equal(backend.conns.length, 0);
});

test('a connection on which nothing comes is closed without a word', async (t) => {
	const { pollux, client } = await stage(t, { listen: { header_timeout: '100ms' } });

	await client.expectEnd();
	assert.equal(pollux.accessLog.lines.length, 0);
});

test('a connection between requests is closed after idle_timeout', async (t) => {
	const { backend, client } = await stage(t, { listen: { idle_timeout: '100ms' } });

	backend.serve();
	client.send(get());
	await client.expect(passedOk());
	await client.expectEnd();
});

test('the deadline of a head begins anew with each request', async (t) => {
	const { backend, client } = await stage(t, { listen: { header_timeout: '400ms' } });

	backend.serve();
	for (let n = 0; n < 4; n++) {
		client.send('GET / HTTP/1.1\r\n');
		await pass(150);
		client.send('Host: a\r\n\r\n');
		await client.expect(passedOk());
	}
});

test('a body that stops is 408', async (t) => {
	const { backend, pollux, client } = await stage(t, { listen: { body_timeout: '120ms' } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
	const conn = await backend.accept();
	await conn.readUntil('half');
	await client.expect(page('body-timeout', { closes: true }));
	await client.expectEnd();
	await conn.expectGone();
	assert.equal((await pollux.accessed()).reason, 'body-timeout');
});

test('a body may be slow as long as it goes on', async (t) => {
	const { backend, client } = await stage(t, { listen: { body_timeout: '300ms' } });

	backend.serve();
	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n');
	for (let n = 0; n < 5; n++) {
		await pass(100);
		client.send('slow, slow');
	}
	await client.expect(passedOk());
});

test('a body that trickles gets 408 although it never pauses for long', async (t) => {
	const { backend, client, pollux } = await stage(t, { listen: { body_timeout: '1s' } });

	backend.serve();
	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n');
	for (let n = 0; n < 12; n++) {
		client.send('x');
		await pass(100);
	}
	await client.expect(page('body-timeout', { closes: true }));
	assert.equal((await pollux.accessed()).reason, 'body-timeout');
});

test('behind the head of its response a body may pause for longer than body_timeout', async (t) => {
	const { backend, client, pollux } = await stage(t, { listen: { body_timeout: '100ms', write_timeout: '100ms' } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf');
	const conn = await backend.accept();
	await conn.readUntil('half');
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n');
	await client.readHead();
	for (const byte of 'done') {
		await pass(150);
		client.send('x');
		await conn.expect('x');
		conn.send(byte);
		await client.expect(byte);
	}
	assert.equal((await pollux.accessed()).reason, undefined);
});

test('in a conversation in which both pause, read_timeout ends it', async (t) => {
	const { backend, client, pollux } = await stage(t, {
		listen: { body_timeout: '100ms' },
		backend: { read_timeout: '300ms' },
	});

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf');
	const conn = await backend.accept();
	await conn.readUntil('half');
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nx');
	await client.expectGone();
	assert.equal((await pollux.accessed()).reason, 'read-timeout');
});

test('while the backend takes nothing the client is not to blame for its body', async (t) => {
	const { backend, client } = await stage(t, {
		listen: { body_timeout: '150ms' },
		backend: { response_timeout: '10s', write_timeout: '10s' },
	});

	const body = Buffer.alloc(20_000_000, 'x');
	client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`, body);
	const conn = await backend.accept();
	conn.stall();
	await pass(500);
	conn.goOn();
	assert.equal((await conn.readRequest()).body.length, body.length);
	conn.send(ok());
	await client.expect(passedOk());
});

test('a TLS handshake that does not come on is cut after handshake_timeout', async (t) => {
	const certificate = new Authority(t).issue(['a']);
	const { pollux, client } = await stage(t, {
		listen: { certificates: [certificate.pem], handshake_timeout: '120ms' },
	});

	await client.expectGone();
	await pollux.logged(/TLS handshake: timeout/);
	const slow = await connect(t, pollux);
	slow.send('\x16\x03\x01\x02\x00\x01'); // the beginning of a ClientHello
	await slow.expectGone();
});

// Numbers.

test('connections of one address beyond its share get 503, others are served', async (t) => {
	const { backend, pollux, client } = await stage(t, {
		program: { max_connections_per_address: 2 },
	});
	const second = await connect(t, pollux);

	backend.serve();
	const third = await connect(t, pollux);
	await third.expect(OVERLOAD);
	await third.expectEnd();
	const other = await connect(t, pollux, { localAddress: '127.0.0.2' });
	for (const served of [client, second, other]) {
		served.send(get());
		await served.expect(passedOk());
	}
	second.end();
	await second.expectEnd();
	const next = await connect(t, pollux);
	next.send(get());
	await next.expect(passedOk());
	await pollux.logged(/max_connections_per_address reached/);
});

test('at max_connections, all busy: the next gets 503, and those at work are not touched', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { max_connections: 2 } });
	const second = await connect(t, pollux);

	client.send(get('/1'));
	const first = await backend.accept();
	await first.readRequest();
	second.send(handshake());
	const tunnel = await backend.accept();
	await tunnel.readRequest();
	tunnel.send(switching());
	assert.equal((await second.readResponse()).status, 101);

	const third = await connect(t, pollux);
	await third.expect(OVERLOAD);
	await third.expectEnd();
	await pollux.logged(/max_connections reached and all busy/);
	first.send(ok('one'));
	await client.expect(passedOk('one'));
	second.send('\x81\x80abcd');
	await tunnel.expect('\x81\x80abcd');
});

test('slow clients fill max_connections, and a well-behaved one is served', async (t) => {
	const { backend, pollux } = await stage(t, {
		program: { max_connections: 20 },
		listen: { header_timeout: '60s' },
	});
	const slow = [];

	backend.serve();
	for (let n = 0; n < 30; n++) {
		const client = await connect(t, pollux);
		client.send(n % 2 === 0 ? 'GET / HT' : '');
		slow.push(client);
	}
	// The slow ones may be given a little time, but not the place.
	for (let n = 0; n < 5; n++) {
		await eventually(async () => {
			const client = await connect(t, pollux);
			client.send(get());
			const { status } = await client.readResponse();
			client.close();
			return status === 200;
		}, 'a place for a client that behaves');
	}
	await pollux.logged(/max_connections reached/);
	assert.ok(slow.some((client) => client.hasEnded || client.isClosed));
});

test('an idle connection makes room, and a client that had one is served on another', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { max_connections: 1 } });

	backend.serve();
	client.send(get());
	await client.expect(passedOk());
	await eventually(async () => {
		const next = await connect(t, pollux);
		next.send(get());
		const { status } = await next.readResponse();
		next.close();
		return status === 200;
	}, 'the place of the idle client');
	await client.expectGone();
});

test('a crowd that descriptors do not suffice for does not use them up', async (t) => {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend,
		files: 200,
		program: { max_connections: 1000 },
		listen: { header_timeout: '60s', idle_timeout: '60s' },
	});
	const busy = await connect(t, pollux);
	const crowd = [];

	await pollux.logged(/max_connections = 1000, but 200 descriptors are enough for \d+ only/);
	busy.send(get('/busy'));
	const conn = await backend.accept();
	await conn.readRequest();
	for (let n = 0; n < 250; n++) {
		const client = await connect(t, pollux);
		client.socket.on('data', () => {}); // a 503, for most
		crowd.push(client);
	}
	backend.serve(); // that of the busy one has been read already
	const served = async () => {
		const client = await connect(t, pollux);
		client.send(get());
		const { status } = await client.readResponse();
		client.close();
		return status === 200;
	};
	await eventually(served, 'a place for a client that behaves');
	assert.ok(pollux.descriptors() < 200);
	conn.send(ok());
	assert.equal((await busy.readResponse()).status, 200);
	for (const client of crowd)
		client.close();
	await eventually(() => pollux.descriptors() < 30, 'descriptors given back');
	assert.ok(await served());
	assert.ok(!pollux.log.has(/Too many open files/));
});

test('by itself the cap leaves descriptors for backends', async (t) => {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, { backend, files: 200 });
	const clients = [];

	for (let n = 0; n < 60; n++) {
		const client = await connect(t, pollux);
		client.send(get());
		clients.push(client);
	}
	// All at the same time: as many connections to the backend.
	const conns = [];
	for (let n = 0; n < clients.length; n++)
		conns.push(await backend.accept());
	conns.forEach((conn) => conn.send(ok()));
	for (const client of clients)
		assert.equal((await client.readResponse()).status, 200);
	assert.ok(!pollux.log.has(/Too many open files/));
});

test('a client on a unix socket counts, too', async (t) => {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend,
		program: { max_connections: 1 },
		listen: { path: 'front.sock' },
	});
	const client = await Wire.connect(t, pollux.where());

	client.send(get());
	await (await backend.accept()).readRequest();
	const next = await Wire.connect(t, pollux.where());
	await next.expect(OVERLOAD);
});
