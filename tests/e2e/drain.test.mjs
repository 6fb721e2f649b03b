// Leaving: on SIGTERM what is under way is finished, nothing new is begun, and then Pollux is gone.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Authority } from './lib/certificates.mjs';
import { connect, get, ok, passedOk, stage } from './lib/stage.mjs';
import { eventually, pass } from './lib/wait.mjs';
import { handshake, switching } from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const LEFT = { code: 0, signal: null };
const CLOSING = passedOk().replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');

for (const signal of ['SIGTERM', 'SIGINT']) {
	test(`${signal} with nothing under way: it leaves at once`, async (t) => {
		const { pollux, client } = await stage(t, { program: { drain: '60s' } });

		client.close();
		pollux.signal(signal);
		assert.deepEqual(await pollux.left(), LEFT);
	});
}

test('listeners close at once', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '10s' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	// The word comes before the deed, by less than a turn of the loop.
	await eventually(
		() => Wire.connect(t, pollux.where()).then(() => false, ({ code }) => code === 'ECONNREFUSED'),
		'a refused connection',
	);
	conn.send(ok());
	await client.readResponse();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('idle connections are closed, on both sides', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });
	const fresh = await connect(t, pollux);

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok());
	await client.expect(passedOk());
	await pollux.drain();
	for (const wire of [client, fresh]) {
		await wire.expectEnd();
		wire.end();
	}
	assert.deepEqual(await pollux.left(), LEFT);
	await conn.expectEnd();
});

test('an exchange before its response is finished, with Connection: close', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	conn.send(ok());
	await client.expect(CLOSING);
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
	await conn.expectGone();
});

test('an exchange in the middle of its response is finished', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
	await client.readUntil('half\r\n');
	await pollux.drain();
	conn.send('4\r\nrest\r\n0\r\n\r\n');
	await client.expect('4\r\nrest\r\n0\r\n\r\n');
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
	assert.equal((await pollux.accessed()).reason, undefined);
});

test('an exchange in the middle of its request is finished', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });

	client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf');
	const conn = await backend.accept();
	await conn.readUntil('half');
	await pollux.drain();
	client.send('rest');
	await conn.expect('rest');
	conn.send(ok());
	await client.expect(CLOSING);
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('a head that has begun is read to its end and answered', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });

	client.send('GET / HTTP/1.1\r\n');
	// A round trip through Pollux: it has read what came before.
	const other = await connect(t, pollux);
	other.send(get('/other'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok());
	await other.readResponse();
	other.close();
	await pollux.drain();
	client.send('Host: a\r\n\r\n');
	backend.serve();
	await client.expect(CLOSING);
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('of pipelined requests the one under way is answered, then the connection ends', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });

	client.send(get('/1'), get('/2'));
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	conn.send(ok());
	await client.expect(CLOSING);
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
	assert.ok(!backend.heard.includes('/2'));
});

test('what is not done when the drain is over is cut', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '300ms' } });
	const late = await connect(t, pollux);
	const began = Date.now();

	client.send(get('/never'));
	const conn = await backend.accept();
	await conn.readRequest();
	late.send(get('/half'));
	const half = await backend.accept();
	await half.readRequest();
	half.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
	await late.readUntil('half');
	await pollux.drain();
	assert.deepEqual(await pollux.left(), LEFT);
	const took = Date.now() - began;
	assert.ok(took >= 290 && took < 5000, `${took} ms`);
	await pollux.logged(/cutting [12] connections/); // 1 where each is of another worker
	for (const wire of [client, late, conn, half])
		await wire.expectGone();
	assert.equal((await pollux.accessed({ target: '/never' })).reason, 'drain');
	assert.equal((await pollux.accessed({ target: '/half' })).reason, 'drain');
});

test('a second signal cuts at once', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });
	const other = await connect(t, pollux);

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	other.send(handshake());
	const tunnel = await backend.accept();
	await tunnel.readRequest();
	tunnel.send(switching());
	await other.readResponse();
	await pollux.drain();
	pollux.signal('SIGTERM');
	assert.deepEqual(await pollux.left(3000), LEFT);
	for (const wire of [client, other, conn, tunnel])
		await wire.expectGone();
});

test('drain = 0 cuts at once', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '0' } });

	client.send(get());
	await (await backend.accept()).readRequest();
	pollux.signal('SIGTERM');
	assert.deepEqual(await pollux.left(3000), LEFT);
	await client.expectGone();
});

test('a client that is slow to take its response may take it', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '60s' } });
	const size = 32 * 1024 * 1024;

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`, Buffer.alloc(size));
	await client.readHead();
	client.stall();
	await pollux.drain();
	await pass(100);
	client.goOn();
	assert.equal((await client.read(size)).length, size);
	await client.expectEnd();
	client.end();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('over TLS: handshakes under way are given up, exchanges finished', async (t) => {
	const certificate = new Authority(t).issue(['a']);
	const { backend, pollux, client: shaking } = await stage(t, {
		program: { drain: '500ms' },
		listen: { certificates: [certificate.pem] },
	});
	const client = await connect(t, pollux, { tls: {} });

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	conn.send(ok());
	await client.expect(CLOSING);
	await client.expectEnd();
	client.end();
	await shaking.expectGone();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('signals that mean other things do not end it', async (t) => {
	const { backend, pollux, client } = await stage(t);

	pollux.signal('SIGPIPE');
	pollux.signal('SIGUSR1');
	backend.serve();
	client.send(get());
	await client.expect(passedOk());
});
