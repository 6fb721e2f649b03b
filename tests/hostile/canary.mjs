// A client in good order, throughout: right answers in good time on plain HTTP, TLS, a WebSocket and
// a bridge, whatever else goes on.
import http from 'node:http';
import https from 'node:https';

import { WebSocket, WebSocketServer } from 'ws';

import { event, within } from '../e2e/lib/wait.mjs';

const PATIENCE_MS = 10_000;

// Echoes: bodies and WebSocket messages.
export class CanaryBackend {
	static async start(owner) {
		const backend = new CanaryBackend();
		backend.server.listen({ host: '127.0.0.1', port: 0 });
		await event(backend.server, 'listening');
		backend.address = `127.0.0.1:${backend.server.address().port}`;
		owner.after(() => backend.close());
		return backend;
	}

	constructor() {
		this.server = http.createServer((request, response) => {
			response.setHeader('X-Target', request.url);
			request.pipe(response);
			request.on('error', () => response.destroy());
		});
		this.sockets = new WebSocketServer({ server: this.server });
		this.sockets.on('connection', (socket) => {
			socket.on('error', () => {});
			socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
		});
	}

	close() {
		for (const socket of this.sockets.clients)
			socket.terminate();
		this.server.closeAllConnections();
		this.server.close();
	}
}

export class Canary {
	nAnswers = 0;
	#isStopped = false;
	#running = [];

	// `urls`: { plain, tls }, without a path.
	constructor(random, urls, report) {
		this.random = random;
		this.report = report;
		this.urls = urls;
		this.agents = {
			plain: new http.Agent({ keepAlive: true, maxSockets: 2 }),
			tls: new https.Agent({ keepAlive: true, maxSockets: 2, rejectUnauthorized: false }),
		};
	}

	start() {
		this.#running = [this.#forEver('plain', () => this.#echo('plain')),
			this.#forEver('tls', () => this.#echo('tls')),
			this.#forEver('websocket', () => this.#socket()),
			this.#forEver('bridge', () => this.#bridge())];
	}

	async stop() {
		this.#isStopped = true;
		await Promise.all(this.#running);
		Object.values(this.agents).forEach((agent) => agent.destroy());
	}

	async #forEver(what, once) {
		while (!this.#isStopped) {
			try {
				await within(once(), `${what} canary`, PATIENCE_MS);
				this.nAnswers++;
			} catch (error) {
				this.report(`canary, ${what}: ${error.message}`);
			}
			await new Promise((done) => setTimeout(done, 50));
		}
	}

	// Node's own client: { status, headers, body }.
	#request(kind, path, { method = 'POST', body = Buffer.alloc(0), headers = {} } = {}) {
		const send = () => new Promise((done, fail) => {
			const request = (kind === 'tls' ? https : http).request(this.urls[kind] + path,
				{ agent: this.agents[kind], method, headers }, (response) => {
					const chunks = [];
					response.on('data', (chunk) => chunks.push(chunk));
					response.on('error', fail);
					response.on('end', () => done({
						status: response.statusCode,
						headers: response.headers,
						body: Buffer.concat(chunks),
					}));
				});
			request.on('error', (error) => {
				error.isStale = request.reusedSocket && error.code === 'ECONNRESET';
				fail(error);
			});
			request.end(body);
		});
		// An idle connection may close just when it is used again.
		return send().catch((error) => {
			if (error.isStale)
				return send();
			throw error;
		});
	}

	async #echo(kind) {
		const body = this.random.bytes(this.random.size(20_000));
		const target = `/good/${this.random.below(1e9)}`;
		const { status, headers, body: got } = await this.#request(kind, target, { body });
		if (status !== 200 || headers['x-target'] !== target || !body.equals(got))
			throw new Error(`status ${status}, ${headers['x-target']} for ${target}`);
	}

	async #socket() {
		const socket = new WebSocket(`${this.urls.plain.replace('http', 'ws')}/good/ws`);
		try {
			await event(socket, 'open');
			for (let n = 0; n < 3; n++) {
				const text = `canary ${this.random.below(1e9)}`;
				socket.send(text);
				const got = await event(socket, 'message');
				if (String(Array.isArray(got) ? got[0] : got) !== text)
					throw new Error(`${got} for ${text}`);
			}
		} finally {
			socket.terminate();
		}
	}

	async #bridge() {
		const headers = { 'Content-Type': 'text/plain' };
		const opened = await this.#request('plain', '/good-bridge', {});
		if (opened.status !== 201)
			throw new Error(`status ${opened.status}`);
		const path = opened.headers.location;
		let cursor = 0;
		for (let n = 0; n < 2; n++) {
			const text = `canary ${this.random.below(1e9)}`;
			const sent = await this.#request('plain', path, { headers, body: text });
			if (sent.status !== 204)
				throw new Error(`status ${sent.status} of a post`);
			const poll = await this.#request('plain', `${path}?after=${cursor}&wait=5`, { method: 'GET' });
			const batch = JSON.parse(poll.body.toString());
			if (batch.messages.length !== 1 || batch.messages[0].text !== text)
				throw new Error(`${poll.body} for ${text}`);
			({ cursor } = batch);
		}
		await this.#request('plain', path, { method: 'DELETE' });
	}
}
