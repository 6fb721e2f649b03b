// SockJS over HTTP/2: all receivers and sends of a client on one connection, and its WebSocket by
// extended CONNECT, with backends of either protocol.
import assert from 'node:assert/strict';
import test from 'node:test';

import { LINKS, joined } from './lib/h2_stage.mjs';
import { RECEIVERS, newSession } from './lib/sockjs.mjs';

async function start(t, link, route = {}) {
	const stage = await joined(t, link, {
		server: { onWebSocket: () => {} },
		route: { path: '/echo', bridge: ['sockjs'], ...route },
	});
	stage.receive = (id, transport) => {
		const { method, query } = RECEIVERS[transport];
		return stage.client.start(method, `/echo/0/${id}/${transport}${query}`);
	};
	stage.send = (id, body) => stage.client.ask('POST', `/echo/0/${id}/xhr_send`, { body });
	return stage;
}

for (const link of LINKS) {
	const test_ = (what, run) => test(`sockjs, ${link.name}: ${what}`, run);

	for (const [transport, { wrap, polls, prelude }] of Object.entries(RECEIVERS)) {
		test_(`${transport}: opens, both ways, the close`, async (t) => {
			const stage = await start(t, link);
			const id = newSession();
			let receiver = stage.receive(id, transport);
			const hears = async (frame) => {
				await receiver.hears(wrap(frame));
				if (!polls)
					return;
				const { text } = await receiver.whole();
				assert.equal(text, wrap(frame));
				receiver = stage.receive(id, transport);
			};
			await hears('o');
			assert.equal(receiver.head?.headers.connection, undefined);
			const socket = await stage.backend.accept();
			assert.equal((await stage.send(id, '["a","ü😀"]')).status, 204);
			assert.deepEqual([await socket.next(), await socket.next()], ['a', 'ü😀']);
			socket.send('down');
			await hears('a["down"]');
			socket.close(3000, 'Go away!');
			await hears('c[3000,"Go away!"]');
			const { text } = await receiver.whole();
			if (!polls)
				assert.ok(text.endsWith(['o', 'a["down"]', 'c[3000,"Go away!"]'].map(wrap).join('')));
			if (typeof prelude === 'string')
				assert.ok(text.startsWith(prelude));
		});

		test_(`${transport}: a receiver that is reset ends the session`, async (t) => {
			const stage = await start(t, link);
			const id = newSession();
			let receiver = stage.receive(id, transport);
			await receiver.hears(wrap('o'));
			const socket = await stage.backend.accept();
			if (polls) {
				await receiver.whole();
				receiver = stage.receive(id, transport);
				await stage.client.flushed();
			}
			receiver.cancel();
			assert.equal((await socket.closing()).code, 1001);
			const late = stage.receive(id, transport);
			await late.hears(wrap('c[1002,"Connection interrupted"]'));
			assert.equal((await stage.send(id, '["x"]')).status, 404);
		});
	}

	test_('many sessions on one connection', async (t) => {
		const stage = await start(t, link, { sockjs_heartbeat: '300ms' });
		const N = 40;
		const all = await Promise.all(Array.from({ length: N }, async (_, n) => {
			const id = newSession();
			const receiver = stage.receive(id, n % 2 ? 'xhr_streaming' : 'eventsource');
			await receiver.hears('o');
			assert.equal((await stage.send(id, JSON.stringify([String(n)]))).status, 204);
			return receiver;
		}));
		for (let n = 0; n < N; n++) {
			const socket = await stage.backend.accept();
			const name = await socket.next();
			socket.send(`for ${name}`);
			await all[name].hears(`for ${name}`);
		}
		for (const [n, receiver] of all.entries()) {
			await receiver.hears(n % 2 ? 'h\n' : 'data: h');
			assert.equal(receiver.soFar.toString().match(/for \d+/g).join(), `for ${n}`);
		}
	});

	test_('a websocket by extended CONNECT', async (t) => {
		const stage = await start(t, link);
		const client = await stage.client.webSocket(`/echo/0/${newSession()}/websocket`);
		assert.equal(await client.next(), 'o');
		const socket = await stage.backend.accept();
		client.send('["up"]');
		assert.equal(await socket.next(), 'up');
		socket.send('down');
		assert.equal(await client.next(), 'a["down"]');
		socket.close(3000, 'Go away!');
		assert.equal(await client.next(), 'c[3000,"Go away!"]');
		assert.equal((await client.closing()).code, 1000);
		const raw = await stage.client.webSocket('/echo/websocket');
		const other = await stage.backend.accept();
		raw.send('unframed');
		assert.equal(await other.next(), 'unframed');
	});
}
