// A client of HTTP/2 on Node's own implementation: by prior knowledge, or over TLS with ALPN.
import assert from 'node:assert/strict';
import http2 from 'node:http2';

import { atEnd } from './scope.mjs';
import { Changing, within } from './wait.mjs';
import { WebSocketEnd, resetStream } from './websocket_end.mjs';

const { NGHTTP2_NO_ERROR } = http2.constants;

// Fields of a response apart from pseudo fields.
function split(headers) {
	const { ':status': status, ...fields } = headers;
	return { status, headers: fields };
}

// A request and what comes of it.
export class H2Exchange extends Changing {
	interim = []; // { status, headers }
	head = undefined; // the same of the final response
	received = 0; // bytes of its body
	trailers = undefined;
	hasEnded = false; // END_STREAM has come
	isOver = false;
	error = undefined;
	#chunks = [];

	constructor(stream, { isStalled = false } = {}) {
		super();
		this.stream = stream;
		stream.on('headers', (headers) => {
			this.interim.push(split(headers));
			this.changed();
		});
		stream.on('response', (headers) => {
			this.head = split(headers);
			this.changed();
		});
		stream.on('trailers', (headers) => {
			this.trailers = { ...headers };
			this.changed();
		});
		stream.on('end', () => {
			this.hasEnded = !this.wasReset;
			this.changed();
		});
		stream.on('error', (error) => {
			this.error = error;
			this.changed();
		});
		for (const name of ['continue', 'aborted'])
			stream.on(name, () => this.changed());
		stream.on('close', () => {
			this.isOver = true;
			this.changed();
		});
		if (!isStalled)
			this.read();
	}

	// Takes the body as it comes; a stalled exchange does so from now on.
	read() {
		this.stream.on('data', (chunk) => {
			this.#chunks.push(chunk);
			this.received += chunk.length;
			this.changed();
		});
	}

	get id() {
		return this.stream.id;
	}

	// The code of RST_STREAM, once it is over.
	get rstCode() {
		return this.stream.rstCode;
	}

	get wasReset() {
		return this.stream.rstCode !== undefined && this.stream.rstCode !== NGHTTP2_NO_ERROR;
	}

	get soFar() {
		return Buffer.concat(this.#chunks);
	}

	send(data) {
		this.stream.write(data);
		return this;
	}

	end(data) {
		this.stream.end(data);
		return this;
	}

	// RST_STREAM with CANCEL.
	cancel() {
		resetStream(this.stream);
	}

	// Fails as soon as it cannot come any more.
	#await(condition, what, ms) {
		return this.until(() => {
			const value = condition();
			if (value !== undefined && value !== false)
				return value;
			if (this.isOver) {
				throw new Error(`${what}: the stream is over (code ${this.rstCode}, `
					+ `${this.error?.message ?? 'no error'})`);
			}
			return undefined;
		}, what, ms);
	}

	// The head of the response: { status, headers }.
	async response(ms = undefined) {
		return this.#await(() => this.head, 'the head of a response', ms);
	}

	async gets(n, ms = undefined) {
		await this.#await(() => this.received >= n, `${n} bytes of a body`, ms);
	}

	// Once the body has this text; not for what is large.
	async hears(text, ms = undefined) {
		await this.#await(() => this.soFar.includes(text), `${JSON.stringify(text)} in a body`, ms);
	}

	// The whole of it: { status, headers, interim, body, text, trailers }.
	async whole(ms = undefined) {
		await this.#await(() => this.head !== undefined && this.hasEnded, 'a whole response', ms);
		const body = this.soFar;
		return {
			...this.head,
			interim: this.interim,
			body,
			text: body.toString(),
			trailers: this.trailers,
		};
	}

	async over(ms = undefined) {
		await this.until(() => this.isOver, 'the end of a stream', ms);
		return this.rstCode;
	}

	// RST_STREAM with this code.
	async expectReset(code, ms = undefined) {
		assert.equal(await this.over(ms), code, 'the code of RST_STREAM');
	}
}

export class H2Client extends Changing {
	goaways = []; // { code, lastId }
	exchanges = [];
	isOver = false;
	error = undefined;

	/*
	 * Connects to { host, port } or { path }. `ca`: over TLS, and the server is checked; `tls` gives
	 * further options of tls.connect. `settings` are ours. The server's have come when it returns.
	 */
	static async connect(owner, where, { ca, tls, settings, scheme, ...options } = {}) {
		const isTls = ca !== undefined || tls !== undefined;
		const client = new H2Client();
		client.scheme = scheme ?? (isTls ? 'https' : 'http');
		client.authority = where.path === undefined ? `${where.host}:${where.port}` : 'localhost';
		client.session = http2.connect(`${client.scheme}://${client.authority}`, {
			...(isTls ? { ca, ...tls } : {}),
			...(where.path === undefined ? {} : { path: where.path }),
			settings,
			maxSessionMemory: 1000, // in MB: what waits to be sent counts, and Node stops at 10
			...options,
		});
		client.#listen();
		atEnd(owner, () => client.destroy());
		await within(new Promise((done, fail) => {
			client.session.once('remoteSettings', done);
			client.session.once('error', fail);
			client.session.once('close', () => fail(new Error('closed before its settings')));
		}), `an HTTP/2 connection to ${client.authority}`);
		return client;
	}

	#listen() {
		const { session } = this;
		session.on('goaway', (code, lastId) => {
			this.goaways.push({ code, lastId });
			this.changed();
		});
		session.on('error', (error) => {
			this.error = error;
			this.changed();
		});
		session.on('close', () => {
			this.isOver = true;
			this.changed();
		});
	}

	get settings() {
		return this.session.remoteSettings;
	}

	/*
	 * Sends the head of a request: an H2Exchange. Without `body` it ends there unless `isOpen`.
	 * `trailers` go behind a body. `isStalled`: what comes is not read. Others go to Node.
	 */
	start(method, path = '/', { headers = {}, body, trailers, isOpen = false, isStalled, ...options } = {}) {
		const stream = this.session.request({
			':method': method,
			':path': path,
			':scheme': this.scheme,
			':authority': this.authority,
			...headers,
		}, {
			endStream: body === undefined && trailers === undefined && !isOpen,
			waitForTrailers: trailers !== undefined,
			...options,
		});
		const exchange = new H2Exchange(stream, { isStalled });
		if (trailers !== undefined)
			stream.on('wantTrailers', () => stream.sendTrailers(trailers));
		if (!isOpen && (body !== undefined || trailers !== undefined))
			stream.end(body);
		this.exchanges.push(exchange);
		return exchange;
	}

	// A request and its whole response.
	async ask(method, path = '/', { ms, ...options } = {}) {
		return this.start(method, path, options).whole(ms);
	}

	get(path = '/', headers = {}) {
		return this.ask('GET', path, { headers });
	}

	// The exchange of an extended CONNECT (RFC 8441). A field that is undefined is left out.
	startWebSocket(path = '/', { headers = {}, protocols = [] } = {}) {
		const all = {
			':protocol': 'websocket',
			'sec-websocket-version': '13',
			...(protocols.length > 0 ? { 'sec-websocket-protocol': protocols.join(', ') } : {}),
			...headers,
		};
		for (const [name, value] of Object.entries(all)) {
			if (value === undefined)
				delete all[name];
		}
		const stream = this.session.request({
			':method': 'CONNECT',
			':path': path,
			':scheme': this.scheme,
			':authority': this.authority,
			...all,
		}, { endStream: false });
		return new H2Exchange(stream, { isStalled: true });
	}

	// An open WebSocket: `response` is the head it was opened with.
	async webSocket(path = '/', { isManual, extensions, ...options } = {}) {
		const exchange = this.startWebSocket(path, options);
		const response = await exchange.response();
		if (response.status !== 200)
			throw Object.assign(new Error(`refused with ${response.status}`), { response, exchange });
		const end = new WebSocketEnd(exchange.stream, { isClient: true, isManual, extensions });
		end.response = response;
		end.subprotocol = response.headers['sec-websocket-protocol'];
		return end;
	}

	async goaway(n = 1, ms = undefined) {
		return this.until(() => this.goaways[n - 1], `GOAWAY ${n}`, ms);
	}

	// A PING and its answer: what was sent before has been read by the other side.
	async flushed() {
		await within(new Promise((done, fail) => {
			this.session.ping((error) => (error ? fail(error) : done()));
		}), 'the answer to a PING');
	}

	async over(ms = undefined) {
		await this.until(() => this.isOver, 'the end of an HTTP/2 connection', ms);
	}

	close() {
		this.session.close();
	}

	// Not at once: while Node is reading frames, of which it may just have told us, a destroyed session
	// sends without end (Node 20).
	async destroy() {
		await new Promise(setImmediate);
		this.session.destroy();
	}
}
