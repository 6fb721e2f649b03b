// The real sockjs-client in Node, each of its transports forced in turn.
import assert from 'node:assert/strict';
import test from 'node:test';

import SockJS from 'sockjs-client';

import { sockStage } from './lib/sockjs.mjs';
import { ECHO, LONE, TEXTS } from './lib/sockjs_echo.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { Changing, eventually, pass } from './lib/wait.mjs';

// In Node there is no document, so none that need one.
const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

class Client extends Changing {
	heard = [];

	constructor(owner, url, transport) {
		super();
		this.socket = new SockJS(url, null, { transports: transport });
		this.socket.onopen = () => {
			this.isOpen = true;
			this.changed();
		};
		this.socket.onmessage = ({ data }) => {
			this.heard.push(data);
			this.changed();
		};
		this.socket.onclose = ({ code, reason, wasClean }) => {
			this.closed = { code, reason, wasClean };
			this.changed();
		};
		atEnd(owner, () => this.socket.close());
	}

	static async open(...args) {
		const client = new Client(...args);
		await client.until(() => {
			if (client.closed)
				throw new Error(`closed: ${JSON.stringify(client.closed)}`);
			return client.isOpen;
		}, 'a SockJS that is open');
		assert.equal(client.socket.transport, args[2]);
		return client;
	}

	hears(n) {
		return this.until(() => this.heard.length >= n && this.heard, `${n} messages`);
	}

	close() {
		return this.until(() => this.closed, 'the close');
	}
}

for (const transport of TRANSPORTS) {
	const start = async (t, route = {}) => {
		const stage = await sockStage(t, { ws: ECHO, route });
		return { ...stage, open: () => Client.open(t, stage.pollux.url('/echo'), transport) };
	};

	test(`${transport}: an echo of everything, in order`, async (t) => {
		const { open, backend } = await start(t);
		const client = await open();
		for (const text of TEXTS)
			client.socket.send(text);
		assert.deepEqual(await client.hears(TEXTS.length), TEXTS);
		client.socket.send(LONE[0]);
		assert.equal((await client.hears(TEXTS.length + 1)).at(-1), LONE[1]);
		client.socket.close();
		assert.equal((await backend.closeOf(backend.sockets[0])).code, 1001);
	});

	test(`${transport}: more than one response, nothing lost`, async (t) => {
		const { open } = await start(t, { sockjs_response_limit: '4k', batch_messages: 7 });
		const client = await open();
		client.socket.send('burst:5000');
		const N = 200;
		for (let n = 0; n < N; n++)
			client.socket.send(`up ${n}`);
		const heard = await client.hears(5000 + N);
		assert.deepEqual(heard.slice(0, 5000), Array.from({ length: 5000 }, (_, n) => String(n)));
		assert.deepEqual(heard.slice(5000), Array.from({ length: N }, (_, n) => `up ${n}`));
	});

	test(`${transport}: close codes`, async (t) => {
		const { open } = await start(t);
		for (const [said, code, reason] of [['close:3000:Go away!', 3000, 'Go away!'], ['close:4999:ü', 4999, 'ü'],
			['close:1000:', 1000, ''], ['bytes', 1003, 'Binary message']]) {
			const client = await open();
			client.socket.send('before');
			client.socket.send(said);
			assert.deepEqual(await client.close(), { code, reason, wasClean: true });
			assert.deepEqual(client.heard, ['before']);
		}
	});

	test(`${transport}: heartbeats keep what is quiet`, async (t) => {
		const { open, pollux } = await start(t, { sockjs_heartbeat: '100ms', heartbeat: '100ms', sockjs_disconnect_delay: '300ms' });
		const client = await open();
		if (transport === 'xhr-polling') {
			for (let n = 0; n < 8; n++)
				await pollux.accessed({ target: /\/xhr(\?|$)/, status: 200 });
		} else {
			await pass(800);
		}
		client.socket.send('still');
		assert.deepEqual(await client.hears(1), ['still']);
	});

	test(`${transport}: many at once, and none is left`, async (t) => {
		const { open, backend, pollux } = await start(t, { sockjs_disconnect_delay: '2s' });
		const N = 40;
		const clients = await Promise.all(Array.from({ length: N }, open));
		clients.forEach(({ socket }, n) => {
			for (let k = 0; k < 5; k++)
				socket.send(`${n}.${k}`);
		});
		for (const [n, client] of clients.entries())
			assert.deepEqual(await client.hears(5), Array.from({ length: 5 }, (_, k) => `${n}.${k}`));
		for (const { socket } of clients)
			socket.close();
		await backend.until(() => backend.sockets.filter((one) => one.closed).length === N, 'all closes');
		assert.ok(backend.sockets.every(({ closed }) => closed.code === 1001));
		await eventually(() => pollux.descriptors() < 40, 'descriptors given back');
	});

	test(`${transport}: a cut is told, never bridged over`, async (t) => {
		const { pollux, backend } = await start(t, { sockjs_disconnect_delay: '2s' });
		const tap = await Tap.start(t, pollux.where());
		const client = await Client.open(t, `http://${tap.address}/echo`, transport);
		const socket = backend.sockets[0];
		socket.send('one');
		await client.hears(1);
		// A poll may be between two connections when one is cut.
		await eventually(() => {
			for (const conn of tap.conns)
				conn.reset();
			return client.closed;
		}, 'the close');
		assert.equal(client.closed.wasClean, client.closed.code === 1002);
		assert.equal((await backend.closeOf(socket)).code, 1001);
	});
}
