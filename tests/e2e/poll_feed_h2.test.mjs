// Polled routes with clients and backends of HTTP/2.
import assert from 'node:assert/strict';
import test from 'node:test';

import { EVENTS, LINES } from './lib/bridge.mjs';
import { joined, LINKS } from './lib/h2_stage.mjs';

for (const link of LINKS) {
	test(`a polled route, ${link.name}`, async (t) => {
		let value = 'one';
		const versions = new Set();
		const tags = [];
		const { client } = await joined(t, link, {
			server: {
				answer(request, response) {
					versions.add(request.httpVersion);
					tags.push(request.headers['if-none-match']);
					if (request.headers['if-none-match'] === `"${value}"`)
						response.statusCode = 304;
					response.setHeader('etag', `"${value}"`);
					response.setHeader('content-type', 'text/plain');
					response.end(response.statusCode === 304 ? undefined : value);
				},
			},
			route: { path: '/prices', poll: { path: '/value', interval: '100ms' } },
		});
		const events = client.start('GET', '/prices', { headers: EVENTS });
		const lines = client.start('GET', '/prices', { headers: LINES });
		const socket = await client.webSocket('/prices');
		const { text } = await client.ask('GET', '/prices?wait=5');
		assert.match(text, /"messages":\[\{"seq":1,"text":"one"\}\]/);
		await events.hears('data: one\n\n');
		await lines.hears('{"seq":1,"text":"one"}\n');
		assert.equal(await socket.next(), 'one');
		value = 'two';
		await events.hears('data: two\n\n');
		await lines.hears('{"seq":2,"text":"two"}\n');
		assert.equal(await socket.next(), 'two');
		assert.deepEqual([...versions], [link.protocol === 'h2' ? '2.0' : '1.1']);
		assert.equal(tags[0], undefined);
		assert.ok(tags.slice(1).every((tag) => tag === '"one"' || tag === '"two"'), tags.join());
		socket.send('hello');
		const { code, reason } = await socket.closing();
		assert.deepEqual({ code, reason: reason.toString() },
			{ code: 1003, reason: 'this feed takes no messages' });
	});
}
