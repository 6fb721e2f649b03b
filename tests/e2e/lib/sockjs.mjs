// SockJS byte by byte: Pollux with the sockjs dialect at /echo in front of a WebSocket backend, and
// receivers that are read chunk by chunk.
import assert from 'node:assert/strict';

import { Stream, bridgeStage, isRead, requestText } from './bridge.mjs';

export const NO_CACHE = 'no-store, no-cache, no-transform, must-revalidate, max-age=0';
export const SCRIPT = 'application/javascript; charset=UTF-8';
export const PLAIN = 'text/plain; charset=UTF-8';
export const HTML = 'text/html; charset=UTF-8';
export const OPEN_TO_ALL = { allowed_origins: ['*'] };

// How each receiving transport is asked, and how it wraps a frame.
export const RECEIVERS = {
	xhr: { method: 'POST', query: '', type: SCRIPT, prelude: '', wrap: (f) => `${f}\n`, polls: true },
	xhr_streaming: {
		method: 'POST', query: '', type: SCRIPT, prelude: `${'h'.repeat(2048)}\n`,
		wrap: (f) => `${f}\n`,
	},
	eventsource: {
		method: 'GET', query: '', type: 'text/event-stream', prelude: '\r\n',
		wrap: (f) => `data: ${f.replace(/[%\r\n\0]/g, encodeURIComponent)}\r\n\r\n`,
	},
	htmlfile: {
		method: 'GET', query: '?c=%63all.back', type: HTML, prelude: /var c = parent\.call\.back;/,
		wrap: (f) => `<script>\np(${JSON.stringify(f).replace(/</g, '\\u003c')});\n</script>\r\n`,
	},
	jsonp: {
		method: 'GET', query: '?c=%63all.back', type: SCRIPT, prelude: '', polls: true,
		wrap: (f) => `/**/call.back(${JSON.stringify(f).replace(/</g, '\\u003c')});\r\n`,
	},
};

let nSessions = 0;

export function newSession() {
	return `s${String(nSessions++).padStart(7, '0')}`;
}

// Between two workers frames may be joined: then what matters is the text.
const ARE_JOINED = Number(process.env.POLLUX_WORKERS ?? 1) > 1;

// A response whose chunks are given out one by one. That of a poll begins with its frame.
export class Receiver {
	#text = '';
	#head;

	constructor(wire, shape) {
		this.wire = wire;
		this.shape = shape;
	}

	// The head of the response, once it is there.
	async head() {
		if (this.#head !== undefined)
			return this.#head;
		const head = await this.wire.readHead();
		head.status = Number(head.line.split(' ')[1]);
		assert.equal(head.status, 200, head.text);
		assert.equal(head.get('Transfer-Encoding'), 'chunked');
		assert.equal(head.get('Content-Type'), this.shape.type);
		this.#head = head;
		return head;
	}

	// The next chunk, whole; '' is the end.
	async chunk(ms = undefined) {
		await this.head();
		const line = (await this.wire.readUntil('\r\n', ms)).toString('latin1');
		assert.match(line, /^[0-9a-f]+\r\n$/);
		const text = (await this.wire.read(parseInt(line, 16), ms)).toString();
		await this.wire.expect('\r\n');
		return text;
	}

	async expect(...chunks) {
		for (const wanted of chunks)
			assert.equal(await this.#next(wanted.length), wanted);
	}

	// A chunk; or, where they may be joined, so many characters.
	async #next(n) {
		if (!ARE_JOINED || (n === 0 && this.#text === ''))
			return this.chunk();
		while (this.#text.length < n)
			this.#text += await this.chunk();
		const text = this.#text.slice(0, n);
		this.#text = this.#text.slice(n);
		return n === 0 ? this.#text : text;
	}

	// What goes before the first frame.
	async readPrelude(wanted) {
		if (typeof wanted === 'string') {
			await this.expect(wanted);
			return wanted;
		}
		const end = '  \r\n\r\n';
		while (!this.#text.includes(end))
			this.#text += await this.chunk();
		const n = this.#text.indexOf(end) + end.length;
		const prelude = this.#text.slice(0, n);
		assert.match(prelude, wanted);
		this.#text = this.#text.slice(n);
		assert.ok(ARE_JOINED || this.#text === '', 'more than the prelude in its chunk');
		return prelude;
	}

	expectEnd() {
		return this.expect('');
	}

	close() {
		this.wire.close();
	}

	reset() {
		this.wire.reset();
	}
}

export class SockSession {
	constructor(sock, id) {
		this.sock = sock;
		this.id = id;
		this.url = `${sock.base}/000/${id}`;
	}

	ask(method, transport, options = {}) {
		return this.sock.bridge.ask(method, `${this.url}/${transport}`, options);
	}

	// A poll whose answer is here.
	async poll(transport = 'xhr', options = {}) {
		const { method, query } = RECEIVERS[transport];
		return this.ask(method, transport + query, options);
	}

	// The one frame of a poll, by xhr.
	async frame(options = {}) {
		const response = await this.poll('xhr', options);
		assert.equal(response.status, 200, response.text + response.body);
		// A larger one than a write takes at once comes in parts.
		if (response.body.length < 64 * 1024)
			assert.deepEqual(response.chunks, [response.body.length]);
		return response.body.toString();
	}

	async expectFrame(text) {
		assert.equal(await this.frame(), `${text}\n`);
	}

	// A request whose answer is waited for later.
	async startPoll(transport = 'xhr', fields = {}) {
		const { method, query } = RECEIVERS[transport];
		const wire = await this.sock.bridge.connect();
		wire.send(requestText(method, `${this.url}/${transport}${query}`, { fields }));
		return wire;
	}

	// A receiver. Of one that is no poll, all that goes before the first frame has been read.
	async receive(transport = 'xhr_streaming', { fields, query } = {}) {
		const shape = RECEIVERS[transport];
		const wire = await this.sock.bridge.connect();
		wire.send(requestText(shape.method,
			`${this.url}/${transport}${query ?? shape.query}`, { fields }));
		const receiver = new Receiver(wire, shape);
		if (!shape.polls) {
			await receiver.head();
			receiver.prelude = await receiver.readPrelude(shape.prelude);
		}
		return receiver;
	}

	// A receiver of a session that is open: it waits there.
	async wait(transport) {
		let receiver;
		await isRead(this.sock.bridge.pollux, async () => {
			receiver = await this.receive(transport);
		});
		return receiver;
	}

	// Opened by a poll; the backend's socket.
	async open() {
		await this.expectFrame('o');
		return this.sock.backend.accept();
	}

	send(body, { fields, transport = 'xhr_send', ...options } = {}) {
		return this.ask('POST', transport, { body, fields, ...options });
	}

	async sends(...messages) {
		const response = await this.send(JSON.stringify(messages));
		assert.equal(response.status, 204, response.text + response.body);
	}
}

export class Sock {
	constructor({ bridge, backend }, base) {
		this.bridge = bridge;
		this.backend = backend;
		this.base = base;
	}

	session(id = newSession()) {
		return new SockSession(this, id);
	}

	ask(method, path, options) {
		return this.bridge.ask(method, this.base + path, options);
	}
}

export async function sockStage(t, { route = {}, path = '/echo', base = path, ...options } = {}) {
	const stage = await bridgeStage(t, { path, route: { bridge: ['sockjs'], ...route }, ...options });
	return { ...stage, sock: new Sock(stage, base) };
}

// One session, opened by a poll, and its socket at the backend.
export async function openedSock(t, options) {
	const stage = await sockStage(t, options);
	const session = stage.sock.session();
	return { ...stage, session, socket: await session.open() };
}

export { Stream };
