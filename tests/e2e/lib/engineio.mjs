// Engine.IO byte by byte: a backend that says what it is told over WebSockets, Pollux with the
// dialect in front of it, and a client that speaks HTTP.
import assert from 'node:assert/strict';

import { Bridge, isRead, requestText, startBackend } from './bridge.mjs';
import { Pollux } from './pollux.mjs';
import { Wire } from './wire.mjs';
import { ACCEPT, OPCODE, closeFrame, frame, handshake, readFrame } from './websocket_bytes.mjs';

export const PATH = '/engine.io/';
export const SEPARATOR = '\x1e';
export const TEXT_PLAIN = { 'Content-Type': 'text/plain;charset=UTF-8' };

export const OPEN = {
	sid: 'the-sid-of-the-backend',
	upgrades: [],
	pingInterval: 25000,
	pingTimeout: 20000,
	maxPayload: 1000000,
};

export function payload(...packets) {
	return packets.join(SEPARATOR);
}

/*
 * { backend, pollux, engine }. `open`: what differs in the open packet; null: the backend says
 * nothing by itself. `ws`, `route`, `backend` as in bridgeStage.
 */
export async function engineStage(t, { ws = {}, open = {}, server, route = {}, backend: options = {},
	tls, ...rest } = {}) {
	const { onSocket = () => {}, ...others } = ws;
	const backend = server ?? await startBackend(t, {
		...others,
		onSocket(socket, request) {
			if (open !== null)
				socket.send(`0${JSON.stringify({ ...OPEN, ...open })}`);
			onSocket(socket, request);
		},
	});
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...options },
		route: [{ path: '/engine.io', bridge: ['engineio'], ...route }],
		...rest,
		program: { log_level: 'debug', ...rest.program }, // for isRead
	});
	return { backend, pollux, engine: new Engine(t, pollux, { tls }) };
}

// An opened session, and its socket at the backend.
export async function engineSession(t, options) {
	const stage = await engineStage(t, options);
	const session = await stage.engine.open();
	return { ...stage, session, socket: await stage.backend.accept() };
}

export class Engine extends Bridge {
	constructor(t, pollux, options = {}) {
		super(t, pollux, { path: PATH, ...options });
	}

	// A request whose query is given.
	get(query, options) {
		return this.ask('GET', `${PATH}?${query}`, options);
	}

	async open({ query = '', fields } = {}) {
		const response = await this.get(`EIO=4&transport=polling${query}`, { fields });
		assert.equal(response.status, 200, response.text + response.body);
		const text = response.body.toString();
		assert.equal(text[0], '0');
		const session = new EngineSession(this, JSON.parse(text.slice(1)));
		session.response = response;
		return session;
	}

	// A WebSocket byte by byte, accepted: the wire it is on.
	async upgrade(query, options = {}) {
		const wire = await this.connect();
		wire.send(handshake({ target: `${PATH}?${query}`, ...options }));
		const head = await wire.readHead();
		assert.match(head.line, /^HTTP\/1\.1 101 /, head.text);
		assert.equal(head.get('Sec-WebSocket-Accept'), ACCEPT);
		assert.equal(head.get('Sec-WebSocket-Extensions'), undefined);
		return new Socket(wire);
	}

	// One that is refused: the response, and its wire.
	async upgradeRefused(query, options = {}) {
		const wire = await this.connect();
		wire.send(handshake({ target: `${PATH}?${query}`, ...options }));
		return Object.assign(await wire.readResponse(), { wire });
	}
}

// A client's WebSocket.
class Socket {
	constructor(wire) {
		this.wire = wire;
	}

	send(text, options = {}) {
		this.wire.send(frame({ payload: text, mask: true, ...options }));
	}

	sendBinary(data) {
		this.send(data, { opcode: OPCODE.binary });
	}

	close(code = 1000) {
		this.wire.send(closeFrame(code, '', { mask: true }));
	}

	async next(ms = undefined) {
		return readFrame(this.wire, ms);
	}

	async expect(text) {
		const got = await this.next();
		assert.deepEqual({ opcode: got.opcode, payload: got.payload.toString() },
			{ opcode: OPCODE.text, payload: text });
		assert.equal(got.masked, false);
	}

	async expectBinary(data) {
		const got = await this.next();
		assert.deepEqual({ opcode: got.opcode, payload: got.payload },
			{ opcode: OPCODE.binary, payload: Buffer.from(data) });
	}

	// A close with this code (undefined: none), which is answered; then the end.
	async expectClose(code) {
		const got = await this.next();
		assert.equal(got.opcode, OPCODE.close, got.payload.toString());
		assert.equal(got.code, code);
		this.wire.send(closeFrame(code ?? 1000, '', { mask: true }));
		await this.wire.expectGone();
	}
}

export class EngineSession {
	constructor(engine, facts) {
		this.engine = engine;
		this.facts = facts;
		this.sid = facts.sid;
		this.query = `EIO=4&transport=polling&sid=${facts.sid}`;
	}

	ask(method, { query = '', ...options } = {}) {
		return this.engine.ask(method, `${PATH}?${this.query}${query}`, options);
	}

	poll(options) {
		return this.ask('GET', options);
	}

	// A poll whose answer is waited for later: the wire it is on.
	async startPoll({ query = '', fields } = {}) {
		const wire = await this.engine.connect();
		await isRead(this.engine.pollux, () =>
			wire.send(requestText('GET', `${PATH}?${this.query}${query}`, { fields })));
		return wire;
	}

	post(body, { fields = TEXT_PLAIN, ...options } = {}) {
		return this.ask('POST', { body, fields, ...options });
	}

	// The next packets.
	async packets(options) {
		const response = await this.poll(options);
		isPayload(response);
		return response.body.toString().split(SEPARATOR);
	}

	candidate() {
		return this.engine.upgrade(`EIO=4&transport=websocket&sid=${this.sid}`);
	}

	// The session is on this WebSocket now.
	async upgraded() {
		const socket = await this.candidate();
		socket.send('2probe');
		await socket.expect('3probe');
		await this.move(socket);
		return socket;
	}

	// The candidate takes the session over.
	move(candidate) {
		return isRead(this.engine.pollux, () => candidate.send('5'));
	}

	async isUnknown() {
		isError(await this.poll(), 400, 1, 'Session ID unknown');
		isError(await this.post('4x'), 400, 1, 'Session ID unknown');
	}
}

export { Wire };

// What answers have to be.

export function isPayload(response, text = undefined) {
	assert.equal(response.status, 200, response.text + response.body);
	assert.equal(response.get('Content-Type'), 'text/plain; charset=UTF-8');
	assert.equal(response.get('Cache-Control'), 'no-store');
	assert.equal(response.get('Content-Length'), String(response.body.length));
	if (text !== undefined)
		assert.equal(response.body.toString(), text);
}

export function isOk(response) {
	assert.equal(response.status, 200, response.text + response.body);
	assert.equal(response.get('Content-Type'), 'text/html');
	assert.equal(response.body.toString(), 'ok');
}

export function isError(response, status, code, message) {
	assert.equal(response.status, status, response.text + response.body);
	assert.equal(response.get('Content-Type'), 'application/json');
	assert.equal(response.body.toString(), JSON.stringify({ code, message }));
}
