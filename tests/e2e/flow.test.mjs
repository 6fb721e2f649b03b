// Bodies of any size, streamed: whole, in order, with back-pressure both ways and bounded memory.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import test from 'node:test';

import { Pollux } from './lib/pollux.mjs';
import { ExpressBackend } from './lib/backends.mjs';
import { Authority } from './lib/certificates.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { event } from './lib/wait.mjs';

const MiB = 1024 * 1024;
// Freed memory that the sanitizer holds back is not what Pollux holds.
const environment = { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64' };

// Bytes that differ everywhere, so that a lost or swapped part shows.
function* patterned(size, seed = 1) {
	const block = Buffer.alloc(64 * 1024);
	for (let sent = 0, n = seed; sent < size; sent += block.length) {
		for (let at = 0; at < block.length; at += 4)
			block.writeUInt32LE((n = (Math.imul(n, 1664525) + 1013904223) >>> 0), at);
		yield Buffer.from(block.subarray(0, Math.min(block.length, size - sent)));
	}
}

function hashOf(chunks) {
	const hash = createHash('sha256');
	for (const chunk of chunks)
		hash.update(chunk);
	return hash.digest('hex');
}

async function hashOfStream(stream) {
	const hash = createHash('sha256');
	for await (const chunk of stream)
		hash.update(chunk);
	return hash.digest('hex');
}

// An app that hashes what is posted, and gives bodies of the size that is asked for.
function hashingApp(app) {
	app.post('/hash', async (request, response) => {
		response.type('text').send(await hashOfStream(request));
	});
	app.post('/echo', async (request, response) => {
		await pipeline(request, response);
	});
	app.get('/length/:size', async (request, response) => {
		response.set('content-length', request.params.size);
		await pipeline(Readable.from(patterned(Number(request.params.size))), response);
	});
	app.get('/chunked/:size', async (request, response) => {
		await pipeline(Readable.from(patterned(Number(request.params.size))), response);
	});
}

async function request(url, { method = 'GET', headers, body } = {}) {
	const sent = http.request(url, { method, headers, agent: false });
	const answer = event(sent, 'response', `the response to ${url}`, 60_000);
	if (body === undefined)
		sent.end();
	else
		pipeline(body, sent).catch(() => {});
	return answer;
}

test('large bodies come through whole', async (t) => {
	const size = 48 * MiB + 12345;
	const wanted = hashOf(patterned(size));
	const backend = await ExpressBackend.start(t, hashingApp);
	const pollux = await Pollux.start(t, { backend, environment });
	const before = pollux.memory();

	for (const framing of ['length', 'chunked']) {
		await t.test(`from the backend, ${framing}`, async () => {
			const response = await request(pollux.url(`/${framing}/${size}`));
			assert.equal(await hashOfStream(response), wanted);
		});
		await t.test(`to the backend, ${framing}`, async () => {
			const headers = framing === 'length' ? { 'content-length': size } : {};
			const response = await request(pollux.url('/hash'),
				{ method: 'POST', headers, body: Readable.from(patterned(size)) });
			assert.equal((await response.setEncoding('latin1').toArray()).join(''), wanted);
		});
	}
	await t.test('there and back at the same time', async () => {
		const response = await request(pollux.url('/echo'),
			{ method: 'POST', body: Readable.from(patterned(size)) });
		assert.equal(await hashOfStream(response), wanted);
	});
	await t.test('in the memory of a few buffers', () => {
		assert.ok(pollux.memory() - before < 16 * MiB, `${(pollux.memory() - before) / MiB} MiB more`);
	});
});

test('many bodies at once', async (t) => {
	const backend = await ExpressBackend.start(t, hashingApp);
	const pollux = await Pollux.start(t, { backend });

	await Promise.all(Array.from({ length: 30 }, async (_, n) => {
		const size = 100_000 + n * 7919;
		const response = await request(pollux.url('/echo'),
			{ method: 'POST', body: Readable.from(patterned(size, n)) });
		assert.equal(await hashOfStream(response), hashOf(patterned(size, n)));
	}));
});

/*
 * Sends on a wire until the other side takes no more: `busy()` shows that Pollux is at work
 * meanwhile. Returns how many bytes went before that, with the rest still to be sent by `rest()`.
 */
async function sendUntilFull(wire, chunks, busy) {
	const queue = [...chunks];
	const gone = () => wire.socket.bytesWritten - wire.socket.writableLength;

	for (;;) {
		while (queue.length > 0 && wire.socket.writableLength < MiB)
			wire.socket.write(queue.shift());
		const before = gone();
		for (let n = 0; n < 10 && gone() === before; n++)
			await busy();
		if (gone() === before)
			break;
		assert.ok(queue.length > 0, 'all was taken: there is no back-pressure');
	}
	return {
		taken: gone(),
		rest: async () => {
			while (queue.length > 0) {
				if (!wire.socket.write(queue.shift()))
					await event(wire.socket, 'drain');
			}
		},
	};
}

// More than the kernel's buffers on the way hold. Pollux's own part is told by its memory.
const SIZE = 96 * MiB;

// A GET of its own, so that it is known that Pollux lives and has nothing else to do.
async function busyWith(t, pollux) {
	const client = await connect(t, pollux);
	return async () => {
		for (let n = 0; n < 5; n++) {
			client.send(get('/busy'));
			assert.equal((await client.readResponse()).status, 404);
		}
	};
}

async function hashOfBytes(wire, size) {
	const hash = createHash('sha256');
	for (let left = size; left > 0;) {
		const chunk = await wire.read(Math.min(wire.size || 1, left));
		hash.update(chunk);
		left -= chunk.length;
	}
	return hash.digest('hex');
}

for (const scheme of ['http', 'https']) {
	test(`a client that takes nothing stops the backend, and loses nothing (${scheme})`, async (t) => {
		const certificate = scheme === 'https' && new Authority(t).issue(['a']).pem;
		const { backend, pollux } = await stage(t, {
			environment,
			route: { path: '/big' },
			listen: [certificate ? { certificates: [certificate] } : {}, {}],
			connectTo: 1,
		});
		const busy = await busyWith(t, { where: () => pollux.where(1) });
		const client = await connect(t, pollux, { tls: certificate ? {} : undefined });

		client.send(get('/big'));
		const conn = await backend.accept();
		await conn.readRequest();
		conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
		await client.readHead();
		client.stall();
		const before = pollux.memory();
		const { taken, rest } = await sendUntilFull(conn, patterned(SIZE), busy);
		assert.ok(taken < SIZE - 8 * MiB, `${taken / MiB} MiB taken`);
		assert.ok(pollux.memory() - before < 4 * MiB, `${(pollux.memory() - before) / MiB} MiB more`);
		client.goOn();
		const [hash] = await Promise.all([hashOfBytes(client, SIZE), rest()]);
		assert.equal(hash, hashOf(patterned(SIZE)));
	});

	test(`a backend that takes nothing stops the client, and loses nothing (${scheme})`, async (t) => {
		const certificate = scheme === 'https' && new Authority(t).issue(['a']).pem;
		const { backend, pollux } = await stage(t, {
			environment,
			route: { path: '/big' },
			listen: [certificate ? { certificates: [certificate] } : {}, {}],
			connectTo: 1,
		});
		const busy = await busyWith(t, { where: () => pollux.where(1) });
		const client = await connect(t, pollux, { tls: certificate ? {} : undefined });

		client.send(`PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`);
		const conn = await backend.accept();
		await conn.readHead();
		conn.stall();
		const before = pollux.memory();
		const { taken, rest } = await sendUntilFull(client, patterned(SIZE), busy);
		assert.ok(taken < SIZE - 8 * MiB, `${taken / MiB} MiB taken`);
		assert.ok(pollux.memory() - before < 4 * MiB, `${(pollux.memory() - before) / MiB} MiB more`);
		conn.goOn();
		const [hash] = await Promise.all([hashOfBytes(conn, SIZE), rest()]);
		assert.equal(hash, hashOf(patterned(SIZE)));
		conn.send(ok());
		assert.equal((await client.readResponse()).status, 200);
	});
}

test('a response begins before its request has ended', async (t) => {
	const { backend, client } = await stage(t);

	client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
	const conn = await backend.accept();
	await conn.readHead();
	conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
	await client.readHead();
	for (const word of ['one', 'two', 'three']) {
		const chunk = `${word.length}\r\n${word}\r\n`;
		client.send(chunk);
		await conn.expect(chunk);
		conn.send(chunk);
		await client.expect(chunk);
	}
	client.send('0\r\n\r\n');
	await conn.expect('0\r\n\r\n');
	conn.send('0\r\n\r\n');
	await client.expect('0\r\n\r\n');
});

test('small parts of a response do not wait for more', async (t) => {
	const { backend, client } = await stage(t);

	client.send(get('/events', 'Accept: text/event-stream\r\n'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
	await client.readHead();
	for (let n = 0; n < 50; n++) {
		conn.send(`data: ${n}\n\n`);
		const line = `data: ${n}\n\n`;
		await client.expect(`${line.length.toString(16)}\r\n${line}\r\n`);
	}
});

test('a client that stops taking a response is cut after write_timeout', async (t) => {
	const { backend, pollux, client } = await stage(t, { listen: { write_timeout: '150ms' } });

	client.send(get('/big'));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
	await client.readHead();
	client.stall();
	for (const chunk of patterned(SIZE))
		conn.send(chunk);
	await conn.expectGone();
	const entry = await pollux.accessed({ target: '/big' });
	assert.equal(entry.reason, 'client-stall');
	assert.ok(entry.response_bytes < SIZE);
	client.goOn();
	await client.expectGone();
});
