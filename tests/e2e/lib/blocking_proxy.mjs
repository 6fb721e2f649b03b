// A proxy in the client's way that blocks what it is told to at the moment:
//
//	websocket          handshakes get 400
//	websocket silently handshakes get no answer
//	sse                event streams are held back, as by a proxy that collects whole bodies
import http from 'node:http';
import net from 'node:net';

import { fieldLines } from './bridge.mjs';
import { atEnd } from './scope.mjs';
import { event } from './wait.mjs';

export class BlockingProxy {
	blocked = new Set();
	#held = new Set();

	static async start(owner, target) {
		const proxy = new BlockingProxy();
		const server = http.createServer((request, response) => proxy.#forward(target, request, response));
		server.on('upgrade', (request, socket) => proxy.#upgrade(target, request, socket));
		server.listen(0, '127.0.0.1');
		await event(server, 'listening');
		proxy.port = server.address().port;
		proxy.where = { host: '127.0.0.1', port: proxy.port };
		atEnd(owner, () => {
			server.close();
			server.closeAllConnections();
			proxy.#held.forEach((one) => one.destroy());
		});
		return proxy;
	}

	#hold(one) {
		this.#held.add(one);
		one.on('error', () => {});
		one.on('close', () => this.#held.delete(one));
	}

	#forward(target, request, response) {
		if (this.blocked.has('sse') && /event-stream/.test(request.headers.accept)) {
			this.#hold(response);
			return;
		}
		const { method, url: path, headers } = request;
		const forward = http.request({ ...target, method, path, headers }, (answer) => {
			response.writeHead(answer.statusCode, answer.headers);
			response.flushHeaders();
			answer.pipe(response);
			answer.on('error', () => response.destroy());
		});
		forward.on('error', () => response.destroy());
		response.on('close', () => forward.destroy());
		request.on('error', () => forward.destroy());
		request.pipe(forward);
	}

	#upgrade(target, { url, headers }, socket) {
		this.#hold(socket);
		if (this.blocked.has('websocket silently'))
			return;
		if (this.blocked.has('websocket')) {
			socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
			return;
		}
		const server = net.connect(target);
		this.#hold(server);
		server.write(`GET ${url} HTTP/1.1\r\n${fieldLines(headers)}\r\n`);
		server.pipe(socket);
		socket.pipe(server);
		socket.on('close', () => server.destroy());
		server.on('close', () => socket.destroy());
	}
}
