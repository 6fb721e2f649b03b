// Tests of the bridge: a WebSocket backend that records, Pollux with the plain dialect at /chat in
// front of it, and a client that speaks HTTP byte by byte.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';

import { WebSocketBackend } from './backends.mjs';
import { Pollux } from './pollux.mjs';
import { Changing, event, eventually } from './wait.mjs';
import { Wire } from './wire.mjs';

export const EVENTS = { Accept: 'text/event-stream' };
export const LINES = { Accept: 'application/x-ndjson' };
export const TEXT = { 'Content-Type': 'text/plain' };
export const BINARY = { 'Content-Type': 'application/octet-stream' };
export const NDJSON = { 'Content-Type': 'application/x-ndjson' };

// What one socket of the backend has got.
export class Received extends Changing {
	all = []; // strings and Buffers
	#nTaken = 0;

	constructor(socket) {
		super();
		socket.on('message', (data, isBinary) => {
			this.all.push(isBinary ? data : data.toString());
			this.changed();
		});
	}

	async next(ms = undefined) {
		const index = this.#nTaken++;
		await this.until(() => index < this.all.length, 'a message at the backend', ms);
		return this.all[index];
	}

	// Once so many have come: all of them.
	async count(n, ms = undefined) {
		await this.until(() => this.all.length >= n, `${n} messages at the backend`, ms);
		return this.all;
	}
}

// `ws`: options of the WebSocketServer; `onSocket(socket, request)` runs before anything is read.
export async function startBackend(t, { onSocket = () => {}, ...options } = {}) {
	return WebSocketBackend.start(t, {
		...options,
		onSocket(socket, request) {
			socket.received = new Received(socket);
			onSocket(socket, request);
		},
	});
}

// Sends a request by which a client begins to read a session, and waits until it does. With several workers what is
// sent next by another connection would else be the quicker at times. Needs log_level debug.
export async function isRead({ log }, send) {
	const reads = () => log.lines.filter((line) => /a client reads/.test(line)).length;
	const before = reads();

	await send();
	await eventually(() => reads() > before, 'a session that is read');
}

/*
 * The three: { backend, pollux, bridge }. `ws` are options of the WebSocket server, `route` and
 * `backend` those of the configuration; `server` another backend than that one.
 */
export async function bridgeStage(t, { ws = {}, server, route = {}, backend: backendOptions = {},
	path = '/chat', tls, ...options } = {}) {
	const backend = server ?? await startBackend(t, ws);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...backendOptions },
		route: [{ path, forwarded: 'off', bridge: ['plain'], ...route }],
		...options,
		program: { log_level: 'debug', ...options.program },
	});
	return { backend, pollux, bridge: new Bridge(t, pollux, { path, tls }) };
}

// Everything that was sent before has reached Pollux and is in the session when this is answered.
export async function flushed(socket) {
	const pong = event(socket, 'pong');
	socket.ping();
	await pong;
}

// The socket at the backend is held back by TCP: of what it was told to send nothing leaves any more.
export async function heldBack(socket) {
	const LOOKS = 30;
	let n = 0;
	let last = 0;
	await eventually(() => {
		n = socket.bufferedAmount === last && last > 0 ? n + 1 : 0;
		last = socket.bufferedAmount;
		return n >= LOOKS;
	}, 'back-pressure at the backend');
}

export function fieldLines(fields) {
	return Object.entries(fields)
		.filter(([, value]) => value !== undefined)
		.flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`))
		.join('');
}

export function requestText(method, target, { fields = {}, body, host = 'a' } = {}) {
	const size = body === undefined ? undefined : Buffer.byteLength(body);
	return `${method} ${target} HTTP/1.1\r\n${fieldLines({
		Host: host,
		...(size === undefined ? {} : { 'Content-Length': size }),
		...fields,
	})}\r\n`;
}

// All that a response says, its date apart: to be compared as a whole.
export function factsOf(response) {
	const fields = {};
	for (const [spelled, value] of response.fields) {
		// Between two workers they travel in lower case.
		const name = spelled.replace(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
		if (name !== 'Date')
			fields[name] = name in fields ? [fields[name], value].flat() : value;
	}
	return { status: response.status, fields, body: response.body.toString() };
}

// What every answer of the bridge has.
export const ALWAYS = { 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' };

// An answer of the bridge with a JSON body.
export function jsonAnswer(status, object, fields = {}) {
	const body = `${JSON.stringify(object)}\n`;
	return {
		status,
		fields: {
			...ALWAYS,
			'Content-Type': 'application/json',
			'Content-Length': String(Buffer.byteLength(body)),
			...fields,
		},
		body,
	};
}

// The body of an answer, chunk by chunk as it comes.
export class Stream {
	#text = Buffer.alloc(0);
	#isOver = false;

	constructor(wire, response) {
		this.wire = wire;
		this.response = response;
		assert.equal(response.get('Transfer-Encoding'), 'chunked', response.text);
	}

	async #readChunk(ms) {
		const line = (await this.wire.readUntil('\r\n', ms)).toString('latin1');
		assert.match(line, /^[0-9a-f]+\r\n$/);
		const size = parseInt(line, 16);
		if (size > 0)
			this.#text = Buffer.concat([this.#text, await this.wire.read(size, ms)]);
		await this.wire.expect('\r\n');
		this.#isOver = size === 0;
	}

	async #take(find, what, ms) {
		for (;;) {
			const n = find(this.#text);
			if (n > 0) {
				const taken = this.#text.subarray(0, n).toString();
				this.#text = this.#text.subarray(n);
				return taken;
			}
			assert.ok(!this.#isOver, `${what}: only ${JSON.stringify(this.#text.toString())}`);
			await this.#readChunk(ms);
		}
	}

	// What comes next is exactly this.
	async expect(text, ms = undefined) {
		const size = Buffer.byteLength(text);
		const got = await this.#take((b) => (b.length >= size ? size : 0), JSON.stringify(text), ms);
		assert.equal(got, text);
	}

	async #upTo(mark, ms) {
		const find = (buffer) => {
			const at = buffer.indexOf(mark);
			return at < 0 ? 0 : at + mark.length;
		};
		return (await this.#take(find, JSON.stringify(mark), ms)).slice(0, -mark.length);
	}

	// The lines of the next event, or comment.
	async event(ms = undefined) {
		return (await this.#upTo('\n\n', ms)).split('\n');
	}

	// The next event of this name; what comes before it is passed over.
	async eventOf(name, ms = undefined) {
		for (;;) {
			const lines = await this.event(ms);
			if (lines.includes(`event: ${name}`))
				return lines;
		}
	}

	async line(ms = undefined) {
		return this.#upTo('\n', ms);
	}

	// The next line that is no heartbeat.
	async object(ms = undefined) {
		for (;;) {
			const line = await this.line(ms);
			if (line !== '')
				return JSON.parse(line);
		}
	}

	// What is left, up to the clean end of the body.
	async rest(ms = undefined) {
		while (!this.#isOver)
			await this.#readChunk(ms);
		const rest = this.#text.toString();
		this.#text = Buffer.alloc(0);
		return rest;
	}

	async expectEnd(ms = undefined) {
		assert.equal(await this.rest(ms), '');
	}

	close() {
		this.wire.close();
	}
}

export class Session {
	constructor(bridge, id, path) {
		this.bridge = bridge;
		this.id = id;
		this.path = path;
		this.url = `${path}/~${id}`;
	}

	ask(method, query = '', options = {}) {
		return this.bridge.ask(method, this.url + query, options);
	}

	poll({ after, wait, fields } = {}) {
		return this.ask('GET', this.pollQuery(after, wait), { fields });
	}

	pollQuery(after, wait) {
		const parameters = Object.entries({ after, wait })
			.filter(([, value]) => value !== undefined)
			.map(([name, value]) => `${name}=${value}`);
		return parameters.length === 0 ? '' : `?${parameters.join('&')}`;
	}

	// A poll whose answer is waited for later: the wire it is on.
	async startPoll({ after, wait, fields } = {}) {
		const wire = await this.bridge.connect();
		await isRead(this.bridge.pollux, () =>
			wire.send(requestText('GET', this.url + this.pollQuery(after, wait), { fields })));
		return wire;
	}

	post(body, fields = TEXT) {
		return this.ask('POST', '', { body, fields });
	}

	stream(query = '', fields = EVENTS) {
		return this.bridge.stream(this.url + query, fields);
	}

	delete() {
		return this.ask('DELETE');
	}

	// The prelude of an event stream.
	prelude(cursor) {
		return `retry: 1000\n\nevent: session\nid: ${this.id}.${cursor}\n`
			+ `data: {"session":"${this.id}","cursor":${cursor}}\n\n`;
	}

	// A poll's answer as it should be.
	batch(cursor, messages = [], rest = {}) {
		return jsonAnswer(200, {
			session: this.id,
			next: `${this.url}?after=${cursor}`,
			cursor,
			messages,
			...rest,
		}, {
			'Pollux-Session': this.id,
			'Pollux-Cursor': String(cursor),
			Link: `<${this.url}?after=${cursor}>; rel="next"`,
		});
	}

	// Another answer of the session with a JSON body, or none.
	answer(status, object, { cursor = 0, seq, ...fields } = {}) {
		const own = { 'Pollux-Session': this.id, 'Pollux-Cursor': String(cursor), ...fields };
		if (seq !== undefined)
			own['Pollux-Seq'] = String(seq);
		return object === undefined
			? { status, fields: { ...ALWAYS, ...own }, body: '' }
			: jsonAnswer(status, object, own);
	}
}

export class Bridge {
	constructor(t, pollux, { path = '/chat', tls } = {}) {
		this.t = t;
		this.pollux = pollux;
		this.path = path;
		this.tls = tls;
	}

	// `from`: the address to come from.
	connect({ from } = {}) {
		return Wire.connect(this.t, this.pollux.where(), { tls: this.tls, localAddress: from });
	}

	// One request on a connection of its own; the response with its body, and `json`.
	async ask(method, target = this.path, { wire, ms, from, ...options } = {}) {
		const own = wire ?? await this.connect({ from });
		own.send(requestText(method, target, options), Buffer.from(options.body ?? ''));
		const response = await own.readResponse({ method, ms });
		if (wire === undefined)
			own.close();
		if (method !== 'HEAD' && /json/.test(response.get('Content-Type')))
			response.json = JSON.parse(response.body.toString());
		return response;
	}

	// A new session, opened by a POST.
	async open({ path = this.path, fields, body } = {}) {
		const response = await this.ask('POST', path, { fields, body });
		assert.equal(response.status, 201, response.text + response.body);
		const session = new Session(this, response.json.session, path.replace(/\?.*/, ''));
		session.response = response;
		return session;
	}

	// An answer that goes on; its head has come.
	async stream(target = this.path, fields = EVENTS) {
		const wire = await this.connect();
		wire.send(requestText('GET', target, { fields }));
		const head = await wire.readHead();
		head.status = Number(head.line.split(' ')[1]);
		assert.equal(head.status, 200, head.text);
		return new Stream(wire, head);
	}

	// A session opened by an event stream: { session, stream }, the prelude read.
	async openStream(fields = EVENTS, path = this.path) {
		const stream = await this.stream(path, fields);
		const session = new Session(this, stream.response.get('Pollux-Session'),
			path.replace(/\?.*/, ''));
		if (fields.Accept === LINES.Accept)
			await stream.expect(`{"session":"${session.id}","cursor":0}\n`);
		else
			await stream.expect(session.prelude(0));
		return { session, stream };
	}

	// A WebSocket of the ws package; rejected with the response's status if it is refused.
	async webSocket(path = this.path, protocols = [], options = {}) {
		const socket = new WebSocket(this.pollux.url(path, { scheme: 'ws' }), protocols, options);
		socket.received = new Received(socket);
		await event(socket, 'open');
		return socket;
	}
}

// An opened session and its socket at the backend.
export async function openedSession(t, options) {
	const stage = await bridgeStage(t, options);
	const session = await stage.bridge.open();
	return { ...stage, session, socket: await stage.backend.accept() };
}
