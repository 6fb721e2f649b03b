// A polled route with the SockJS client: each transport of Node's.
import assert from 'node:assert/strict';
import test from 'node:test';

import SockJS from 'sockjs-client';

import { polledStage } from './lib/polled.mjs';
import { atEnd } from './lib/scope.mjs';
import { Changing } from './lib/wait.mjs';

class Client extends Changing {
	all = [];
	closed;

	constructor(t, url, transport) {
		super();
		this.socket = new SockJS(url, null, { transports: transport });
		atEnd(t, () => this.socket.close());
		this.socket.onmessage = ({ data }) => {
			this.all.push(JSON.parse(data));
			this.changed();
		};
		this.socket.onclose = ({ code, reason }) => {
			this.closed = { code, reason };
			this.changed();
		};
	}

	count(n) {
		return this.until(() => this.all.length >= n, `${n} values over SockJS`);
	}

	end() {
		return this.until(() => this.closed, 'the close of SockJS');
	}
}

for (const workers of [1, 3]) {
	for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
		test(`SockJS, ${transport}, ${workers} workers`, async (t) => {
			const { backend, pollux } = await polledStage(t, {
				program: { workers },
				route: { bridge: ['sockjs', 'plain'] },
			});
			const clients = Array.from({ length: 4 },
				() => new Client(t, pollux.url('/prices'), transport));
			await Promise.all(clients.map((client) => client.count(1)));
			for (let n = 1; n <= 2; n++) {
				backend.value = { n };
				await Promise.all(clients.map((client) => client.count(n + 1)));
			}
			const { polls } = backend;
			for (let i = 1; i < polls.length; i++)
				assert.ok(polls[i].at - polls[i - 1].at >= 150, `${polls[i].at - polls[i - 1].at} ms`);
			for (const client of clients)
				assert.deepEqual(client.all, [{ n: 0 }, { n: 1 }, { n: 2 }]);
			clients[0].socket.send('hello');
			assert.deepEqual(await clients[0].end(),
				{ code: 1003, reason: 'this feed takes no messages' });
			backend.value = { n: 3 };
			await Promise.all(clients.slice(1).map((client) => client.count(4)));
		});
	}
}
