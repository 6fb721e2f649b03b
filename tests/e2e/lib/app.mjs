// An application as people write it: express for HTTP and ws for WebSockets on one server, on a TCP
// address or a unix socket, plain or TLS.
import express from 'express';
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { WebSocketServer } from 'ws';

import { atEnd, temporaryFolder } from './scope.mjs';
import { Changing, event } from './wait.mjs';

export const HELLO = 'hello from the app\n';
export const GZIPPED = gzipSync('packed by the app\n'.repeat(1000));
export const N_EVENTS = 10;

// Bytes that differ everywhere, so that a part that is lost, repeated or swapped shows.
export function* patterned(size) {
	const block = Buffer.alloc(64 * 1024);
	for (let sent = 0, n = 1; sent < size; sent += block.length) {
		for (let at = 0; at < block.length; at += 4)
			block.writeUInt32LE((n = (Math.imul(n, 1664525) + 1013904223) >>> 0), at);
		yield Buffer.from(block.subarray(0, Math.min(block.length, size - sent)));
	}
}

export async function hashOf(chunks) {
	const hash = createHash('sha256');
	for await (const chunk of chunks)
		hash.update(chunk);
	return hash.digest('hex');
}

// Answers with one event per turn of the loop and breaks off after every third, so that a client
// has to come back for the rest.
function sendEvents(app, request, response) {
	const last = Number(request.get('Last-Event-ID') ?? 0);
	response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
	response.write('retry: 1\n\n');
	for (let id = last + 1; id <= Math.min(last + 3, N_EVENTS); id++)
		response.write(`event: number\nid: ${id}\ndata: line one of ${id}\ndata: zweite Zeile: ä€\n\n`);
	if (last + 3 < N_EVENTS) {
		response.end();
		return;
	}
	response.on('close', () => {
		app.nGone++;
		app.changed();
	});
}

function addRoutes(app, router) {
	router.get('/hello', (request, response) => response.type('text').send(HELLO));
	router.get('/echo/:text', (request, response) => response.json(request.params));
	router.post('/json', express.json(), (request, response) => response.json(request.body));
	router.post('/form', express.urlencoded({ extended: false }), (request, response) => {
		response.json(request.body);
	});
	router.all('/hash', async (request, response) => {
		response.type('text').send(await hashOf(request));
	});
	router.get('/bytes/:size', async (request, response) => {
		response.set('Content-Length', request.params.size);
		await pipeline(Readable.from(patterned(Number(request.params.size))), response);
	});
	router.get('/chunked/:size', async (request, response) => {
		await pipeline(Readable.from(patterned(Number(request.params.size))), response);
	});
	router.post('/converse', async (request, response) => {
		response.flushHeaders();
		for await (const chunk of request)
			response.write(chunk.toString().toUpperCase());
		response.end();
	});
	router.get('/events', (request, response) => sendEvents(app, request, response));
	router.get('/gzip', (request, response) => {
		response.set({ 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' }).end(GZIPPED);
	});
	router.get('/moved', (request, response) => response.redirect('/hello'));
	router.put('/moved', (request, response) => response.redirect(307, '/hash'));
	router.get('/login', (request, response) => {
		response.cookie('user', 'Jo Doe').cookie('theme', 'dark', { httpOnly: true }).send('welcome');
	});
	router.get('/cookies', (request, response) => response.send(request.get('Cookie') ?? 'none'));
	router.get('/file', (request, response) => response.sendFile(app.file));
	router.get('/held', (request, response) => {
		app.held.push(response);
		app.changed();
	});
	router.get('/facts', (request, response) => response.json({
		httpVersion: request.httpVersion,
		headers: request.headers,
	}));
}

export class App extends Changing {
	held = []; // responses to /held, the test's to give
	nGone = 0; // clients that have left /events
	requests = []; // "METHOD target", in the order of their heads
	webSockets = []; // `closed` is { code, reason } at their end; `request` their handshake
	#nHeld = 0;
	#nTaken = 0;

	// On 127.0.0.1, on `host`, or on a unix socket with the name `path`. `file` is what /file gives.
	static async start(owner, { host = '127.0.0.1', path, tls, file, refuses } = {}) {
		const app = new App();
		const router = express();
		app.file = file;
		router.set('env', 'test'); // keeps express from writing about errors that tests provoke
		router.use((request, response, next) => {
			app.requests.push(`${request.method} ${request.url}`);
			app.changed();
			next();
		});
		addRoutes(app, router);
		app.server = tls === undefined
			? http.createServer(router)
			: https.createServer(tls, router);
		if (refuses !== undefined)
			app.server.on('checkContinue', refuses);
		app.#serveWebSockets();
		await app.#listen(owner, path === undefined
			? { host, port: 0 }
			: { path: join(temporaryFolder(owner), path) });
		return app;
	}

	async #listen(owner, where) {
		const connections = new Set();
		this.server.on('connection', (connection) => {
			connections.add(connection);
			connection.on('close', () => connections.delete(connection));
		});
		this.server.listen(where);
		await event(this.server, 'listening');
		atEnd(owner, () => {
			this.server.close();
			for (const connection of connections)
				connection.destroy();
		});
		const { host, path } = where;
		if (path !== undefined)
			this.address = `unix:${path}`;
		else if (host.includes(':'))
			this.address = `[${host}]:${this.server.address().port}`;
		else
			this.address = `${host}:${this.server.address().port}`;
	}

	// /ws echoes.
	#serveWebSockets() {
		const server = new WebSocketServer({
			server: this.server,
			path: '/ws',
			perMessageDeflate: { threshold: 0 },
			handleProtocols: (protocols) => (protocols.has('chat.v2') ? 'chat.v2' : false),
		});
		server.on('connection', (socket, request) => {
			socket.request = request;
			socket.on('error', () => {}); // its close follows
			socket.on('close', (code, reason) => {
				socket.closed = { code, reason: reason.toString() };
				this.changed();
			});
			socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
			this.webSockets.push(socket);
			this.changed();
		});
	}

	// The next response to /held.
	async hold() {
		const index = this.#nHeld++;
		return this.until(() => this.held[index], 'a request for /held');
	}

	// The next WebSocket.
	async accept() {
		const index = this.#nTaken++;
		return this.until(() => this.webSockets[index], 'a WebSocket at the app');
	}

	closeOf(socket) {
		return this.until(() => socket.closed, 'the close of a WebSocket at the app');
	}
}
