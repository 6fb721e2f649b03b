// One end of a connection, byte by byte: what is sent is exactly what is given, what is read is
// exactly what has come. Both the raw client and the raw backend speak through it. Strings are
// latin1, so that "\xff" is one byte.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';

import { bodyKind, parseHead } from './http_text.mjs';
import { atEnd } from './scope.mjs';
import { Changing, within } from './wait.mjs';

export function bytes(given) {
	if (Array.isArray(given))
		return Buffer.concat(given.map(bytes));
	return typeof given === 'string' ? Buffer.from(given, 'latin1') : Buffer.from(given);
}

function shown(buffer) {
	const text = buffer.toString('latin1');
	return JSON.stringify(text.length > 600 ? `${text.slice(0, 600)}…` : text);
}

export class Wire extends Changing {
	#chunks = [];
	#size = 0;

	// All that has come so far, also what was read, up to this many bytes.
	static KEPT = 1024 * 1024;
	#kept = [];
	#nKept = 0;

	hasEnded = false; // the other side has ended its side cleanly
	isClosed = false; // both sides are over
	error = undefined; // what cut it

	/*
	 * Connects to { host, port } or { path }. With `tls` (options of tls.connect) over TLS;
	 * certificates are then not checked unless it says so.
	 */
	static async connect(owner, where, { tls: tlsOptions, ...options } = {}) {
		const target = { ...where, ...options, allowHalfOpen: true };
		const socket = tlsOptions === undefined
			? net.connect(target)
			: tls.connect({ ...target, rejectUnauthorized: false, ...tlsOptions });
		const wire = new this(socket, owner);
		const opened = tlsOptions === undefined ? 'connect' : 'secureConnect';
		await within(
			new Promise((done, fail) => {
				socket.once(opened, done);
				socket.once('error', fail);
				socket.once('close', () => fail(new Error('closed before it was open')));
			}),
			`connection to ${where.path ?? `${where.host}:${where.port}`}`,
		);
		return wire;
	}

	constructor(socket, owner) {
		super();
		this.socket = socket;
		socket.on('data', (chunk) => {
			this.#chunks.push(chunk);
			this.#size += chunk.length;
			if (this.#nKept < Wire.KEPT) {
				this.#kept.push(chunk);
				this.#nKept += chunk.length;
			}
			this.changed();
		});
		socket.on('end', () => {
			this.hasEnded = true;
			this.changed();
		});
		socket.on('error', (error) => {
			this.error = error;
			this.changed();
		});
		socket.on('close', () => {
			this.isClosed = true;
			this.changed();
		});
		if (owner !== undefined)
			atEnd(owner, () => this.close());
	}

	get received() {
		return Buffer.concat(this.#kept);
	}

	// Sending.

	send(...parts) {
		this.socket.write(bytes(parts));
		return this;
	}

	// Waits until the kernel has taken it.
	async sent(...parts) {
		const buffer = bytes(parts);
		await within(
			new Promise((done, fail) => {
				this.socket.write(buffer, (error) => (error ? fail(error) : done()));
			}),
			`sending ${buffer.length} bytes`,
		);
	}

	// Ends our side; the other may go on.
	end() {
		this.socket.end();
		return this;
	}

	reset() {
		this.socket.resetAndDestroy();
	}

	close() {
		this.socket.destroy();
	}

	// Takes no more bytes, so that the other side sees a full window sooner or later.
	stall() {
		this.socket.pause();
	}

	goOn() {
		this.socket.resume();
	}

	// Receiving.

	get size() {
		return this.#size;
	}

	peek() {
		if (this.#chunks.length > 1)
			this.#chunks = [Buffer.concat(this.#chunks)];
		return this.#chunks[0] ?? Buffer.alloc(0);
	}

	// The next n bytes, which have come already.
	take(n) {
		const all = this.peek();
		this.#chunks = n < all.length ? [all.subarray(n)] : [];
		this.#size -= n;
		return all.subarray(0, n);
	}

	// Fulfilled when `condition` is; fails as soon as nothing more can come.
	#await(condition, what, ms) {
		return this.until(() => {
			const value = condition();
			if (value !== undefined && value !== false)
				return value;
			if (this.hasEnded || this.isClosed || this.error) {
				const how = this.error?.code ?? (this.hasEnded ? 'its end' : 'its close');
				throw new Error(`${what}: only ${shown(this.peek())} before ${how}`);
			}
			return undefined;
		}, what, ms).catch((error) => {
			if (error.message.includes('not within'))
				error.message += `; so far ${shown(this.peek())}`;
			throw error;
		});
	}

	async read(n, ms = undefined) {
		await this.#await(() => this.#size >= n, `${n} bytes`, ms);
		return this.take(n);
	}

	// What has come, at least one byte.
	async readSome(ms = undefined) {
		await this.#await(() => this.#size > 0, 'some bytes', ms);
		return this.take(this.#size);
	}

	async readUntil(mark, ms = undefined) {
		const wanted = bytes(mark);
		const end = await this.#await(() => {
			const at = this.peek().indexOf(wanted);
			return at < 0 ? undefined : at + wanted.length;
		}, `bytes up to ${shown(wanted)}`, ms);
		return this.take(end);
	}

	// All up to the clean end of the other side.
	async readAll(ms = undefined) {
		await this.until(() => {
			if (this.hasEnded)
				return true;
			if (this.error || this.isClosed)
				throw new Error(`cut (${this.error?.code ?? 'closed'}) after ${shown(this.peek())}`);
			return undefined;
		}, 'the end of the connection', ms);
		return this.take(this.#size);
	}

	// The next bytes are exactly these; a response, apart from the Date that it has to have.
	async expect(...parts) {
		const wanted = bytes(parts);
		const text = wanted.toString('latin1');
		const missing = missingDates(text);
		const got = await this.read(wanted.length + DATE_SIZE * missing).catch((error) => {
			assert.fail(`${error.message}; expected ${shown(wanted)}`);
		});
		assert.equal(missing > 0 ? withoutDate(got.toString('latin1')) : got.toString('latin1'), text);
	}

	// Nothing more, and a clean end.
	async expectEnd(ms = undefined) {
		const rest = await this.readAll(ms);
		assert.equal(rest.toString('latin1'), '');
	}

	// A reset, or whatever else is no clean end.
	async expectCut(ms = undefined) {
		await this.until(() => this.error !== undefined || (this.isClosed && !this.hasEnded),
			'a cut of the connection', ms);
	}

	// Over, one way or the other.
	async expectGone(ms = undefined) {
		await this.until(() => this.hasEnded || this.isClosed || this.error !== undefined,
			'the end of the connection', ms);
	}

	// HTTP.

	async readHead(ms = undefined) {
		return parseHead((await this.readUntil('\r\n\r\n', ms)).toString('latin1'));
	}

	// { line, fields, text, get(name), getAll(name), body, trailers }; for a body that ends with the
	// connection, the connection has to end cleanly.
	async #readMessage(head, kind, ms) {
		head.body = Buffer.alloc(0);
		head.trailers = [];
		if (kind.length !== undefined)
			head.body = await this.read(kind.length, ms);
		else if (kind.isChunked)
			await this.#readChunks(head, ms);
		else if (kind.isUntilClose)
			head.body = await this.readAll(ms);
		return head;
	}

	async #readChunks(head, ms) {
		const parts = [];
		head.chunks = [];
		for (;;) {
			const line = (await this.readUntil('\r\n', ms)).toString('latin1');
			assert.match(line, /^[0-9a-f]+\r\n$/, 'a chunk size as Pollux writes it');
			const size = parseInt(line, 16);
			if (size === 0)
				break;
			parts.push(await this.read(size, ms));
			head.chunks.push(size);
			await this.expect('\r\n');
		}
		head.body = Buffer.concat(parts);
		for (;;) {
			const line = (await this.readUntil('\r\n', ms)).toString('latin1');
			if (line === '\r\n')
				break;
			head.trailers.push(line.slice(0, -2));
		}
	}

	// The next final response; interim ones before it are in `interim`.
	async readResponse({ method = 'GET', ms } = {}) {
		const interim = [];
		for (;;) {
			const head = await this.readHead(ms);
			const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head.line) ?? assert.fail(head.line);
			head.status = Number(status);
			if (head.status >= 200 || head.status === 101) {
				head.interim = interim;
				return this.#readMessage(head, bodyKind(head, { method }), ms);
			}
			interim.push(head);
		}
	}

	async readRequest({ ms } = {}) {
		const head = await this.readHead(ms);
		[head.method, head.target] = head.line.split(' ');
		return this.#readMessage(head, bodyKind(head, { isRequest: true }), ms);
	}
}

const DATE_SIZE = 'Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n'.length;

// Every final response has a Date: that of the backend, or else one from Pollux.
function missingDates(text) {
	if (!text.startsWith('HTTP/1.1 '))
		return 0;
	return (text.match(/HTTP\/1\.1 [2-9]\d\d /g) ?? []).length - (text.match(/^Date: /gm) ?? []).length;
}

export function withoutDate(text) {
	return text.replace(/^Date: [^\r]+\r\n/gm, '');
}
