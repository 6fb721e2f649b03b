// A backend on Node's own servers that speaks HTTP/1.1 or HTTP/2: the same answers and the same
// WebSockets either way (RFC 8441 over HTTP/2), so that a test can be run against both.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

import { atEnd } from './scope.mjs';
import { Changing, event } from './wait.mjs';
import { WebSocketEnd } from './websocket_end.mjs';
import { acceptOf } from './websocket_bytes.mjs';

// Fields of a request as it came, pseudo fields apart.
export function ordinary(headers) {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
}

function createServer(protocol, tls, { settings, ...more }) {
	const options = { maxHeaderSize: 64 * 1024, maxSessionMemory: 1000, ...more };
	if (protocol === 'http/1.1') {
		return tls === undefined
			? http.createServer(options)
			: https.createServer({ allowHalfOpen: true, ...options, ...tls });
	}
	if (tls === undefined)
		return http2.createServer({ settings, ...options });
	return http2.createSecureServer({ allowHTTP1: protocol === 'auto', settings, ...options, ...tls });
}

export class DualBackend extends Changing {
	sockets = []; // connections, in the order accepted
	sessions = []; // those that speak HTTP/2
	requests = []; // { method, target, headers, version, session, request, response }
	webSockets = []; // ends; `headers`, `target` and `version` are those of the handshake
	errors = []; // of streams and sessions
	#nTaken = 0;
	#nAccepted = 0;
	#left = new Set(); // sessions that have said GOAWAY

	/*
	 * `protocol`: 'http/1.1', 'h2', or over TLS 'auto' for both. `tls`: { cert, key }.
	 * `answer(request, response, backend)` answers; the default is a greeting.
	 * `webSocket(headers)` says what becomes of a handshake: { status, headers, body } refuses it,
	 * { fields, ... } accepts it with options of WebSocketEnd, false leaves it without an answer;
	 * the default accepts. `onWebSocket(end)` is called for each. `settings` are those of HTTP/2;
	 * `connectProtocol: false` is a server without RFC 8441. Others go to Node.
	 */
	static async start(owner, { protocol = 'h2', tls, answer = greet, webSocket = () => ({}),
		onWebSocket = echo, connectProtocol = true, settings = {}, ...options } = {}) {
		const backend = new DualBackend();
		backend.answer = answer;
		backend.webSocket = webSocket;
		backend.onWebSocket = onWebSocket;
		backend.server = createServer(protocol, tls, {
			settings: { enableConnectProtocol: connectProtocol, ...settings },
			...options,
		});
		backend.#listenToConnections(tls !== undefined);
		backend.#listenToRequests();
		backend.server.listen(0, '127.0.0.1');
		await event(backend.server, 'listening');
		atEnd(owner, () => backend.close());
		backend.port = backend.server.address().port;
		backend.address = `127.0.0.1:${backend.port}`;
		return backend;
	}

	#listenToConnections(isTls) {
		this.server.on(isTls ? 'secureConnection' : 'connection', (socket) => {
			socket.on('error', () => {});
			socket.on('close', () => this.changed());
			this.sockets.push(socket);
			this.changed();
		});
		this.server.on('session', (session) => {
			session.on('error', (error) => this.errors.push(error));
			session.on('goaway', (code, lastId) => {
				session.goneAway = { code, lastId };
				this.changed();
			});
			session.on('close', () => this.changed());
			this.sessions.push(session);
			this.changed();
		});
		this.server.on('sessionError', (error) => this.errors.push(error));
	}

	#listenToRequests() {
		const handle = (request, response) => {
			this.#note(request, response);
			this.answer(request, response, this);
			this.changed();
		};
		this.server.on('request', handle);
		this.server.on('checkContinue', (request, response) => {
			request.expectsContinue = true;
			handle(request, response);
		});
		this.server.on('upgrade', (request, socket, head) => {
			socket.on('error', () => {});
			if (head.length > 0)
				socket.unshift(head);
			if (!this.#shakeHands(request, (plan) => answerUpgrade(request, socket, plan)))
				socket.on('end', () => socket.end()).resume();
		});
		this.server.on('connect', (request) => {
			this.#shakeHands(request, (plan) => answerConnect(request.stream, plan));
		});
	}

	#note(request, response) {
		request.on('error', (error) => this.errors.push(error));
		request.on('aborted', () => this.changed());
		response.on('error', (error) => this.errors.push(error));
		response.on('close', () => this.changed());
		request.stream?.on('error', (error) => this.errors.push(error));
		request.stream?.on('close', () => this.changed());
		this.requests.push({
			method: request.method,
			target: request.url,
			headers: request.headers,
			version: request.httpVersion,
			session: request.stream?.session, // Node forgets it when the stream is over
			request,
			response,
		});
	}

	// False: there is no WebSocket.
	#shakeHands(request, respond) {
		const plan = this.webSocket(request.headers);
		const stream = plan === false ? undefined : respond(plan);
		if (stream === undefined)
			return false;
		const end = new WebSocketEnd(stream, plan);
		end.headers = request.headers;
		end.target = request.url;
		end.version = request.httpVersion;
		this.webSockets.push(end);
		this.onWebSocket(end);
		this.changed();
		return true;
	}

	// The next request, whether it is answered already or is the test's to answer.
	async take(ms = undefined) {
		const index = this.#nTaken++;
		return this.until(() => this.requests[index], 'a request at the backend', ms);
	}

	// The next WebSocket.
	async accept(ms = undefined) {
		const index = this.#nAccepted++;
		return this.until(() => this.webSockets[index], 'a WebSocket at the backend', ms);
	}

	// Connections that are open.
	get nOpen() {
		return this.sockets.filter((socket) => !socket.destroyed).length;
	}

	// GOAWAY on this session; without `lastId` what has come is answered.
	sayGoaway(session, lastId = 0) {
		this.#left.add(session);
		session.goaway(http2.constants.NGHTTP2_NO_ERROR, lastId);
	}

	// Node does not follow the end of such a session by its own.
	endLeft() {
		for (const session of this.#left)
			session.destroy();
	}

	// Sessions not while Node is reading frames: see H2Client.destroy.
	async close() {
		this.server.close();
		await new Promise(setImmediate);
		for (const session of this.sessions)
			session.destroy();
		for (const socket of this.sockets)
			socket.destroy();
	}
}

// The socket that carries the WebSocket now, or undefined if it was refused.
function answerUpgrade(request, socket, { status, headers = {}, body = '', fields = {} }) {
	const lines = (all) => Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('');
	if (status !== undefined) {
		socket.end(`HTTP/1.1 ${status} Refused\r\n${lines({
			...headers,
			'Content-Length': Buffer.byteLength(body),
			Connection: 'close',
		})}\r\n${body}`);
		return undefined;
	}
	socket.setNoDelay();
	socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines({
		Upgrade: 'websocket',
		Connection: 'Upgrade',
		'Sec-WebSocket-Accept': acceptOf(request.headers['sec-websocket-key']),
		...fields,
	})}\r\n`);
	return socket;
}

function answerConnect(stream, { status, headers = {}, body = '', fields = {} }) {
	if (status !== undefined) {
		stream.respond({ ':status': status, ...headers });
		stream.end(body);
		return undefined;
	}
	stream.respond({ ':status': 200, ...fields });
	return stream;
}

export function greet(request, response) {
	response.setHeader('content-type', 'text/plain');
	response.end('hello\n');
}

// What comes goes back, text as text and bytes as bytes.
export function echo(end) {
	end.onMessage = (data) => end.send(data);
}
