// Header compression (RFC 7541) as a server decodes and writes it. Sections in names are of
// RFC 7541. Each decoding error is one of the connection (RFC 9113, section 4.3).
import assert from 'node:assert/strict';
import test from 'node:test';

import { CODE, SETTING, headers, rstStream, settings } from './lib/h2_frames.mjs';
import {
	added, block, huffmanString, indexed, integer, neverIndexed, plain, sizeUpdate, string,
} from './lib/h2_hpack.mjs';
import { h2Arena, h2Rows } from './lib/h2_rows.mjs';
import { request } from './lib/h2_wire.mjs';

const END = { endStream: true };
const COMPRESSION = { connection: CODE.COMPRESSION_ERROR };
const REQUEST = block(request());

// A request whose block is the ordinary one and these bytes.
const behind = (name, ...bytes) => ({ name, frames: (id) => [headers(id, Buffer.concat([REQUEST, ...bytes]), END)] });
const broken = (name, ...bytes) => ({ ...behind(name, ...bytes), ...COMPRESSION });

// Fields of the requests that the backend has got, by the path /n of each.
function fieldsAt(backend, path) {
	const [, head] = backend.heard.split(`GET ${path} HTTP/1.1\r\n`);
	assert.ok(head !== undefined, `${path} has reached the backend`);
	return head.slice(0, head.indexOf('\r\n\r\n') + 2).toLowerCase();
}

test('blocks that cannot be decoded', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		broken('index 0 (6.1)', indexed(0)),
		broken('an index beyond both tables (2.3.3)', indexed(62)),
		broken('a far larger index (2.3.3)', indexed(5000)),
		broken('the name of a literal beyond both tables (2.3.3)', plain(62, 'x')),
		broken('the name of an added literal beyond both tables (2.3.3)', added(70, 'x')),
		broken('the name of a literal that is never indexed, beyond both tables (2.3.3)', neverIndexed(62, 'x')),
		broken('an integer without its end (5.1)', Buffer.from([0xff, 0x80])),
		broken('an integer of 2^32 (5.1)', integer(2 ** 32, 7, 0x80)),
		broken('an integer of 2^62 (5.1)', Buffer.from([0xff, ...new Array(9).fill(0xff), 0x3f])),
		broken('an index with needless bytes behind it (5.1)', Buffer.from([0xff, ...new Array(300).fill(0x80), 0])),
		broken('a literal without a value (6.2)', Buffer.concat([Buffer.from([0]), string('x')])),
		broken('a literal without a name (6.2)', Buffer.from([0])),
		broken('a name longer than the block (5.2)', Buffer.from([0]), string('abc', { length: 50 })),
		broken('a value longer than the block (5.2)', plain('x', string('abc', { length: 4 }))),
		broken('a value of nearly 2^31 bytes (5.2)', plain('x', string('abc', { length: 2 ** 31 - 1 }))),
		// 0x1f is `a` and a proper padding.
		broken('Huffman padding of zeros (5.2)', plain('x', huffmanString([0x18]))),
		broken('Huffman padding of more than 7 bits (5.2)', plain('x', huffmanString([0x1f, 0xff]))),
		broken('Huffman padding alone (5.2)', plain('x', huffmanString([0xff]))),
		broken('EOS in a Huffman string (5.2)', plain('x', huffmanString([0xff, 0xff, 0xff, 0xff]))),
		broken('EOS behind a letter (5.2)', plain('x', huffmanString([0x1f, 0xff, 0xff, 0xff, 0xff]))),
		broken('a name with broken Huffman padding (5.2)', plain(huffmanString([0x18]), 'x')),
		broken('a table larger than SETTINGS say (6.3)', sizeUpdate(2 ** 20)),
		{ name: 'the same at the beginning (6.3)', ...COMPRESSION,
			frames: (id) => [headers(id, Buffer.concat([sizeUpdate(2 ** 20), REQUEST]), END)] },
		broken('a size update behind a field (4.2)', sizeUpdate(100)),
		{ name: 'an error in trailers (RFC 9113, 4.3)', ...COMPRESSION, frames: (id) => [
			headers(id, request({ method: 'POST' })), headers(id, indexed(62), END)] },
		{ name: 'an error in a block that is discarded (RFC 9113, 4.3)', ...COMPRESSION, frames: (id) => [
			headers(id, request({ method: 'POST', path: '/wait' })), rstStream(id), headers(id, indexed(62), END)] },
	]);
});

test('blocks that are right', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		{ ...behind('an empty value (6.2)', plain('x', '')), status: 200 },
		{ ...behind('Huffman strings (5.2)', plain(huffmanString([0xf3]), huffmanString([0x1f]))), status: 200 },
		{ ...behind('an empty Huffman string (5.2)', plain('x', huffmanString([]))), status: 200 },
		{ ...behind('a long value, its length of several bytes (5.1)', plain('x', 'y'.repeat(3000))), status: 200 },
		{ ...behind('fields of the static table (6.1)', indexed(16), indexed(61)), status: 200 },
		{ ...behind('the same field twice in the dynamic table (2.3.2)',
			added('x', 'y'), added('x', 'y'), indexed(62), indexed(63)), status: 200 },
		{ name: 'pseudo-header fields by index (6.1)', status: 200, frames: (id) => [
			headers(id, Buffer.concat([indexed(2), indexed(6), added(1, 'a'), indexed(4)]), END)] },
		{ name: 'two size updates at the beginning (4.2)', status: 200, frames: (id) => [
			headers(id, Buffer.concat([sizeUpdate(0), sizeUpdate(4096), REQUEST]), END)] },
	]);
});

test('the dynamic table', async (t) => {
	const { backend, connect } = await h2Arena(t);
	let n = 0;

	// Sends a request with these representations behind its own, and gives what the backend got.
	const fields = async (client, ...bytes) => {
		const path = `/table/${++n}`;
		const id = client.nextStream();
		client.send(headers(id, Buffer.concat([...bytes.filter((part) => part.isPrefix),
			block(request({ path })), ...bytes.filter((part) => !part.isPrefix)]), END));
		await client.expectStatus(id, 200);
		return fieldsAt(backend, path);
	};
	const atTheBeginning = (part) => Object.assign(part, { isPrefix: true });
	// An entry counts its name, its value and 32 (4.1).
	const entry = (size, name) => added(name, 'v'.repeat(size - 32 - name.length));

	await t.test('lasts from request to request, the newest first (2.3.3)', async (sub) => {
		const client = await connect(sub);
		await fields(client, added('x-one', '1'), added('x-two', '2'));
		assert.match(await fields(client, indexed(63), plain(62, 'other')), /x-one: 1\r\nx-two: other\r\n/);
	});

	await t.test('is not touched by literals without indexing (6.2.2, 6.2.3)', async (sub) => {
		const client = await connect(sub);
		await fields(client, added('x-kept', '1'), plain('x-plain', '2'), neverIndexed('x-never', '3'));
		assert.match(await fields(client, indexed(62)), /x-kept: 1\r\n/);
	});

	await t.test('holds entries of just its size (4.1, 4.4)', async (sub) => {
		const client = await connect(sub);
		await fields(client, entry(2048, 'x-a'), entry(2048, 'x-b'));
		assert.match(await fields(client, indexed(63)), /x-a: v/);
		client.send(headers(client.nextStream(), Buffer.concat([REQUEST, entry(33 + 3, 'x-c'), indexed(64)]), END));
		await client.expectGoaway(CODE.COMPRESSION_ERROR);
	});

	await t.test('is emptied by an entry that is too large, which is no error (4.4)', async (sub) => {
		const client = await connect(sub);
		await fields(client, added('x-a', '1'));
		assert.match(await fields(client, entry(4097, 'x-large')), /x-large: v/);
		await fields(client, added('x-b', '2'));
		assert.match(await fields(client, indexed(62)), /x-b: 2\r\n/);
		client.send(headers(client.nextStream(), Buffer.concat([REQUEST, indexed(63)]), END));
		await client.expectGoaway(CODE.COMPRESSION_ERROR);
	});

	await t.test('may take its new entry\'s name from one that goes (4.4)', async (sub) => {
		const client = await connect(sub);
		await fields(client, entry(2000, 'x-old'), entry(2000, 'x-newer'));
		assert.match(await fields(client, added(63, 'w'.repeat(3000))), /x-old: w/);
		assert.match(await fields(client, indexed(62)), /x-old: w/);
	});

	await t.test('shrinks by a size update, and grows again empty (4.3, 6.3)', async (sub) => {
		const client = await connect(sub);
		await fields(client, added('x-a', '1'), added('x-b', '2'));
		assert.match(await fields(client, atTheBeginning(sizeUpdate(36)), indexed(62)), /x-b: 2\r\n/);
		await fields(client, atTheBeginning(sizeUpdate(0)), atTheBeginning(sizeUpdate(4096)), added('x-c', '3'));
		assert.match(await fields(client, indexed(62)), /x-c: 3\r\n/);
		client.send(headers(client.nextStream(), Buffer.concat([REQUEST, indexed(63)]), END));
		await client.expectGoaway(CODE.COMPRESSION_ERROR);
	});

	await t.test('counts blocks of requests that are malformed (RFC 9113, 4.3)', async (sub) => {
		const client = await connect(sub);
		const id = client.nextStream();
		client.send(headers(id, Buffer.concat([block(request()), added('x-kept', '1'), plain('UPPER', '2')]), END));
		await client.expectReset(id, CODE.PROTOCOL_ERROR);
		assert.match(await fields(client, indexed(62)), /x-kept: 1\r\n/);
	});
});

test('what Pollux writes', async (t) => {
	// Fields that any encoder would like to put into its table.
	const answer = () => `HTTP/1.1 200 OK\r\nServer: one\r\nX-Again: ${'y'.repeat(100)}\r\nContent-Length: 2\r\n\r\nok`;
	const { connect } = await h2Arena(t, { answer });
	const again = async (client) => {
		const response = await client.expectStatus(client.get(), 200);
		assert.equal(response.get('server'), 'one');
		assert.equal(response.get('x-again'), 'y'.repeat(100));
	};

	for (const size of [0, 100, 4096, 65536, 0xffffffff]) {
		await t.test(`can be decoded with a table of ${size} bytes (4.2)`, async (sub) => {
			const client = await connect(sub, { settings: [[SETTING.HEADER_TABLE_SIZE, size]] });
			for (let n = 0; n < 3; n++)
				await again(client);
		});
	}
	await t.test('follows a table that changes its size, and says so first (4.2, RFC 9113 4.3.1)', async (sub) => {
		const client = await connect(sub);
		await again(client);
		for (const sizes of [[0], [4096], [50, 2000], [0, 4096], [4096]]) {
			client.send(settings(sizes.map((size) => [SETTING.HEADER_TABLE_SIZE, size])));
			await client.settle();
			await again(client);
			await again(client);
		}
	});
});
