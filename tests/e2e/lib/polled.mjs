// A resource that Pollux polls: an express app that counts, whose value the test sets, and Pollux
// with the route /prices in front of it.
import { WebSocket } from 'ws';

import { ExpressBackend } from './backends.mjs';
import { Bridge } from './bridge.mjs';
import { Pollux } from './pollux.mjs';
import { atEnd } from './scope.mjs';
import { Changing, event } from './wait.mjs';

export const INTERVAL_MS = 200;
export const PATH = '/api/prices?all=1';

// `value` is answered as JSON, with express's own ETag and its 304; `trouble(response)`, while it is
// set, answers instead.
export class PolledBackend extends Changing {
	value = { n: 0 };
	polls = []; // { headers, status, at } in the order in which they came
	trouble;

	static async start(t) {
		const polled = new PolledBackend();
		polled.express = await ExpressBackend.start(t, (app) => {
			app.get('/api/prices', (request, response) => polled.#answer(request, response));
		});
		polled.address = polled.express.address;
		return polled;
	}

	#answer(request, response) {
		const poll = { headers: request.headers, url: request.url, at: Date.now() };
		this.polls.push(poll);
		response.on('finish', () => {
			poll.status = response.statusCode;
			this.changed();
		});
		this.changed();
		if (this.trouble !== undefined)
			this.trouble(response);
		else
			response.json(this.value);
	}

	get nPolls() {
		return this.polls.length;
	}

	// So many more polls have come, each answered.
	async more(n = 1) {
		const wanted = this.polls.length + n;
		await this.until(
			() => this.polls.filter(({ status }) => status !== undefined).length >= wanted,
			`${n} more polls`,
		);
	}
}

// { backend, pollux, bridge }. `poll` are options of the section, `route` of the route.
export async function polledStage(t, { poll = {}, route = {}, ...options } = {}) {
	const backend = await PolledBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend] },
		route: [{
			path: '/prices',
			poll: { path: PATH, interval: `${INTERVAL_MS}ms`, ...poll },
			...route,
		}],
		...options,
	});
	return { backend, pollux, bridge: new Bridge(t, pollux, { path: '/prices' }) };
}

// A client over WebSocket; `all` are its messages: objects, or Buffers of binary ones.
export class Socket extends Changing {
	all = [];
	closed;

	static async open(t, url, options = {}) {
		const client = new Socket();
		client.socket = new WebSocket(url, options);
		atEnd(t, () => client.socket.terminate());
		client.socket.on('message', (data, isBinary) => {
			client.all.push(isBinary ? data : JSON.parse(data));
			client.changed();
		});
		client.socket.on('close', (code, reason) => {
			client.closed = { code, reason: reason.toString() };
			client.changed();
		});
		await event(client.socket, 'open');
		return client;
	}

	count(n) {
		return this.until(() => this.all.length >= n, `${n} values over a WebSocket`);
	}

	end() {
		return this.until(() => this.closed, 'the close of a WebSocket');
	}
}
