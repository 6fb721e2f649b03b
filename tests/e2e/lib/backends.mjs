// Real backends: an express app, and a WebSocket server from ws, as people run them.
import express from 'express';
import http from 'node:http';
import https from 'node:https';
import { WebSocketServer } from 'ws';

import { atEnd } from './scope.mjs';
import { Changing, event } from './wait.mjs';

async function listen(owner, server) {
	const sockets = new Set();
	server.on('connection', (socket) => {
		sockets.add(socket);
		socket.on('close', () => sockets.delete(socket));
	});
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	atEnd(owner, () => {
		server.close();
		for (const socket of sockets)
			socket.destroy();
	});
	return sockets;
}

function createServer(app, tls) {
	return tls === undefined ? http.createServer(app) : https.createServer(tls, app);
}

// An express app; `routes(app)` adds what a test needs.
export class ExpressBackend extends Changing {
	requests = []; // { method, url, headers, httpVersion }

	static async start(owner, routes = () => {}, { tls } = {}) {
		const backend = new ExpressBackend();
		const app = express();
		app.disable('x-powered-by');
		app.use((request, response, next) => {
			const { method, url, headers, httpVersion } = request;
			backend.requests.push({ method, url, headers, httpVersion });
			backend.changed();
			next();
		});
		routes(app);
		backend.app = app;
		backend.server = createServer(app, tls);
		backend.sockets = await listen(owner, backend.server);
		backend.port = backend.server.address().port;
		backend.address = `127.0.0.1:${backend.port}`;
		return backend;
	}
}

// A WebSocket server. `onSocket(socket, request)` is called for each; the default echoes.
export class WebSocketBackend extends Changing {
	sockets = []; // of ws, in the order opened; `closed` is { code, reason } at their end
	requests = [];
	#nTaken = 0;

	static async start(owner, { onSocket = echo, tls, ...options } = {}) {
		const backend = new WebSocketBackend();
		backend.server = createServer((request, response) => {
			response.writeHead(426, { 'content-type': 'text/plain' }).end('a WebSocket, please\n');
		}, tls);
		backend.wss = new WebSocketServer({ server: backend.server, ...options });
		backend.wss.on('connection', (socket, request) => {
			socket.on('error', (error) => (socket.failure = error));
			socket.on('close', (code, reason) => {
				socket.closed = { code, reason: reason.toString() };
				backend.changed();
			});
			onSocket(socket, request);
			backend.sockets.push(socket);
			backend.requests.push(request);
			backend.changed();
		});
		await listen(owner, backend.server);
		backend.port = backend.server.address().port;
		backend.address = `127.0.0.1:${backend.port}`;
		return backend;
	}

	// The next socket that was opened.
	async accept() {
		const index = this.#nTaken++;
		return this.until(() => this.sockets[index], 'a WebSocket at the backend');
	}

	// How this socket was closed.
	closeOf(socket, ms = undefined) {
		return this.until(() => socket.closed, 'the close of a WebSocket at the backend', ms);
	}
}

function echo(socket) {
	socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}
