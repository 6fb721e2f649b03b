// The plain dialect, who may: origins, preflights, what other origins may read, and what the logs
// do not tell.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ALWAYS, EVENTS, TEXT, bridgeStage, factsOf, jsonAnswer, openedSession }
	from './lib/bridge.mjs';
import { handshake } from './lib/websocket_bytes.mjs';

const LISTED = 'https://app.example';
const WITH_LIST = { route: { allowed_origins: [LISTED, 'http://other.example:8080'] } };

const EXPOSED = 'Pollux-Session, Pollux-Cursor, Pollux-Seq, Location, Link, Retry-After, '
	+ 'Sec-WebSocket-Protocol';

// What an answer to a listed origin has besides.
const SHARED = {
	Vary: 'Origin',
	'Access-Control-Allow-Origin': LISTED,
	'Access-Control-Allow-Credentials': 'true',
	'Access-Control-Expose-Headers': EXPOSED,
};

// Who may.

for (const [what, fields, status] of [
	['no Origin', {}, 201],
	['the own origin', { Origin: 'http://a' }, 201],
	['the own origin with its default port', { Origin: 'http://a:80' }, 201],
	['the own origin in capitals', { Origin: 'HTTP://A' }, 201],
	['another host', { Origin: 'http://b' }, 403],
	['a host that begins alike', { Origin: 'http://a.b' }, 403],
	['a subdomain', { Origin: 'http://x.a' }, 403],
	['another scheme', { Origin: 'https://a' }, 403],
	['another port', { Origin: 'http://a:8080' }, 403],
	['a user before the host', { Origin: 'http://a@b' }, 403],
	['a path behind it', { Origin: 'http://a/' }, 403],
	['null', { Origin: 'null' }, 403],
	['an empty Origin', { Origin: '' }, 403],
	['two origins', { Origin: ['http://a', 'http://a'] }, 403],
	['two origins in one', { Origin: 'http://a http://b' }, 403],
	['a request of the user', { 'Sec-Fetch-Site': 'none' }, 201],
	['a same-origin request', { 'Sec-Fetch-Site': 'same-origin' }, 201],
	['a same-site request', { 'Sec-Fetch-Site': 'same-site' }, 403],
	['a cross-site request', { 'Sec-Fetch-Site': 'cross-site' }, 403],
	['a site that is no word for it', { 'Sec-Fetch-Site': 'x' }, 403],
	['an own Origin in a cross-site request', { Origin: 'http://a', 'Sec-Fetch-Site': 'cross-site' }, 403],
	['another Origin in a same-origin request', { Origin: 'http://b', 'Sec-Fetch-Site': 'same-origin' }, 403],
]) {
	test(`${what}: ${status}, before the backend is dialled`, async (t) => {
		const { bridge, backend } = await bridgeStage(t);

		const response = await bridge.ask('POST', '/chat', { fields });
		assert.equal(response.status, status);
		assert.equal(backend.sockets.length, status === 201 ? 1 : 0);
		if (status === 403) {
			const { fields: got, body } = factsOf(response);
			delete got['Pollux-Seq'];
			assert.deepEqual({ fields: got, body, status },
				jsonAnswer(403, { error: 'origin' }));
		}
	});
}

test('it is checked on every request of a session, whatever its method', async (t) => {
	const { session, socket, bridge } = await openedSession(t);

	for (const fields of [{ Origin: 'http://b' }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' }]) {
		for (const [method, query, more] of [
			['GET', '?wait=0', {}],
			['GET', '', EVENTS],
			['POST', '', TEXT],
			['POST', '?close', {}],
			['DELETE', '', {}],
			['OPTIONS', '', {}],
			['PUT', '', {}],
		]) {
			const response = await session.ask(method, query, { fields: { ...more, ...fields } });
			assert.equal(response.status, 403, `${method}${query} ${JSON.stringify(fields)}`);
		}
		for (const [method, more] of [['GET', EVENTS], ['GET', { Prefer: 'wait=1' }], ['POST', {}],
			['OPTIONS', {}]]) {
			const response = await bridge.ask(method, '/chat', { fields: { ...more, ...fields } });
			assert.equal(response.status, 403, method);
		}
	}
	assert.equal((await session.post('x')).status, 204);
	assert.deepEqual(await socket.received.count(1), ['x']);
});

test('a reconnect from elsewhere is 403 too, so that it is not tried for ever', async (t) => {
	const { bridge } = await bridgeStage(t);

	const fields = { ...EVENTS, 'Last-Event-ID': 'w1.x.1', Origin: 'http://b' };
	assert.equal((await bridge.ask('GET', '/chat', { fields })).status, 403);
});

test('WebSocket handshakes are checked, tunnels included', async (t) => {
	const { bridge, backend } = await bridgeStage(t, WITH_LIST);

	for (const [fields, status] of [
		[{ Origin: 'http://b' }, 403],
		[{ Origin: 'null' }, 403],
		[{ 'Sec-Fetch-Site': 'cross-site' }, 403],
		[{ Origin: 'http://a' }, 101],
		[{ Origin: LISTED, 'Sec-Fetch-Site': 'cross-site' }, 101],
		[{}, 101],
	]) {
		const wire = await bridge.connect();
		wire.send(handshake({ target: '/chat', fields }));
		assert.equal((await wire.readResponse()).status, status, JSON.stringify(fields));
		wire.close();
	}
	assert.equal(backend.requests.length, 3);
});

test('forwarded HTTP is not checked', async (t) => {
	const { bridge } = await bridgeStage(t);

	const fields = { Origin: 'http://b', 'Sec-Fetch-Site': 'cross-site' };
	assert.equal((await bridge.ask('GET', '/chat', { fields })).status, 426);
	assert.equal((await bridge.ask('PUT', '/chat', { fields })).status, 426);
});

test('a WebSocket handshake on a session is refused without a word of it to the backend', async (t) => {
	const { bridge, session, backend } = await openedSession(t);

	const wire = await bridge.connect();
	wire.send(handshake({ target: session.url }));
	const response = await wire.readResponse();
	assert.ok(response.status >= 400 && response.status < 500, response.line);
	assert.equal(backend.requests.length, 1);
	assert.equal((await session.poll({ wait: 0 })).status, 200);
});

// The list.

test('a listed origin may, and may read the answers with credentials', async (t) => {
	const { bridge } = await bridgeStage(t, WITH_LIST);
	const fields = { Origin: LISTED, 'Sec-Fetch-Site': 'cross-site' };

	const session = await bridge.open({ fields });
	const { fields: opened } = factsOf(session.response);
	for (const [name, value] of Object.entries(SHARED))
		assert.equal(opened[name], value);
	const poll = session.batch(0);
	Object.assign(poll.fields, SHARED);
	assert.deepEqual(factsOf(await session.poll({ wait: 0, fields })), poll);
	const posted = session.answer(204, undefined, { seq: 0, ...SHARED });
	assert.deepEqual(factsOf(await session.post('x', { ...TEXT, ...fields })), posted);
	const unknown = await bridge.ask('GET', '/chat/~w1.x', { fields });
	assert.deepEqual(factsOf(unknown), jsonAnswer(404, { error: 'unknown session' }, SHARED));
	const stream = await session.stream('', { ...EVENTS, ...fields });
	assert.equal(stream.response.get('Access-Control-Allow-Origin'), LISTED);
	assert.equal(stream.response.get('Access-Control-Allow-Credentials'), 'true');
	stream.close();
});

test('who is not listed may read nothing, and caches are told that it depends', async (t) => {
	const { bridge } = await bridgeStage(t, WITH_LIST);

	for (const [fields, status] of [
		[{ Origin: 'http://app.example' }, 403],
		[{ Origin: 'https://app.example:444' }, 403],
		[{ Origin: 'https://x.app.example' }, 403],
		[{ Origin: 'null' }, 403],
		[{ Origin: 'http://a' }, 201],
		[{}, 201],
	]) {
		const response = await bridge.ask('POST', '/chat', { fields });
		assert.equal(response.status, status);
		assert.equal(response.get('Vary'), 'Origin');
		assert.doesNotMatch(response.text, /Access-Control/i);
	}
});

test('null only if it is listed', async (t) => {
	const { bridge } = await bridgeStage(t, { route: { allowed_origins: ['null'] } });

	const fields = { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' };
	const response = await bridge.ask('POST', '/chat', { fields });
	assert.equal(response.status, 201);
	assert.equal(response.get('Access-Control-Allow-Origin'), 'null');
});

// Preflights.

test('OPTIONS is answered by the bridge', async (t) => {
	const { bridge, session, backend } = await openedSession(t, WITH_LIST);

	const ask = {
		Origin: LISTED,
		'Sec-Fetch-Site': 'cross-site',
		'Access-Control-Request-Method': 'POST',
		'Access-Control-Request-Headers': 'pollux-seq,content-type',
	};
	for (const [target, methods] of [
		['/chat', 'GET, POST, OPTIONS'],
		[session.url, 'GET, POST, DELETE, OPTIONS'],
		['/chat/~w1.unknown', 'GET, POST, DELETE, OPTIONS'],
	]) {
		const response = await bridge.ask('OPTIONS', target, { fields: ask });
		const { fields, ...rest } = factsOf(response);
		assert.match(fields['Access-Control-Max-Age'], /^[0-9]+$/);
		delete fields['Access-Control-Max-Age'];
		assert.deepEqual({ fields, ...rest }, {
			status: 204,
			fields: {
				...ALWAYS,
				...SHARED,
				Allow: methods,
				'Access-Control-Allow-Methods': methods,
				'Access-Control-Allow-Headers':
					'Pollux-Seq, Pollux-Ack, Pollux-Protocol, Idempotency-Key, Content-Type, '
					+ 'Last-Event-ID, Prefer',
			},
			body: '',
		});
	}
	assert.equal(backend.requests.length, 1);
});

test('OPTIONS without an origin, or from our own, says what there is', async (t) => {
	const { bridge } = await bridgeStage(t);

	for (const fields of [{}, { Origin: 'http://a' }]) {
		assert.deepEqual(factsOf(await bridge.ask('OPTIONS', '/chat', { fields })), {
			status: 204,
			fields: { ...ALWAYS, Allow: 'GET, POST, OPTIONS' },
			body: '',
		});
	}
	const evil = { Origin: 'http://b', 'Access-Control-Request-Method': 'POST' };
	const refused = await bridge.ask('OPTIONS', '/chat', { fields: evil });
	assert.equal(refused.status, 403);
	assert.doesNotMatch(refused.text, /Access-Control/i);
});

// The logs.

test('session ids are masked in the access log', async (t) => {
	const { bridge, pollux, session } = await openedSession(t);
	const secret = session.id.slice(-16);

	await pollux.accessed({ method: 'POST', target: '/chat' });
	await session.poll({ wait: 0 });
	const entry = await pollux.accessed({ method: 'GET' });
	assert.match(entry.target, /^\/chat\/~w\d\.\*\*\*\?wait=0$/);
	assert.match(entry.session, /^w.*\.\.\.$/);
	assert.equal(entry.server, undefined);
	await session.post('x', { ...TEXT, Referer: `http://a${session.url}` });
	await session.ask('GET', '', { fields: { Accept: 'text/event-stream', 'Last-Event-ID': `${session.id}.9` } });
	await session.ask('PUT');
	await session.ask('GET', '?wait=0', { fields: { Origin: 'http://evil' } });
	await bridge.ask('GET', `/chat/x/~${session.id}?after=0`);
	await session.delete();
	await pollux.accessed({ method: 'DELETE' });
	assert.ok(!pollux.accessLog.text().includes(secret), pollux.accessLog.text());
});

test('session ids are masked in the combined access log and in the error log', async (t) => {
	const { bridge, pollux, session, socket } = await openedSession(t, {
		program: { access_log_format: 'combined', log_level: 'debug' },
	});
	const secret = session.id.slice(-16);

	const stream = await session.stream();
	await session.post('x', { ...TEXT, Referer: `http://a${session.url}?wait=1` });
	await bridge.ask('GET', '/chat', { fields: { Referer: `http://a${session.url}` } });
	socket.terminate();
	await stream.rest();
	await session.ask('GET');
	const nLines = () => pollux.accessLog.lines.length;
	await pollux.accessLog.until(() => nLines() >= 5, 'five entries');
	assert.ok(!pollux.accessLog.text().includes(secret), pollux.accessLog.text());
	assert.ok(!pollux.log.text().includes(secret), pollux.log.text());
});

test('ids cannot be guessed from one another', async (t) => {
	const { bridge } = await bridgeStage(t);
	const ids = new Set();

	for (let n = 0; n < 100; n++)
		ids.add((await bridge.open()).id);
	assert.equal(ids.size, 100);
	// Of the random part each character takes many values.
	const randoms = [...ids].map((id) => id.slice(-22));
	for (let at = 0; at < 21; at++)
		assert.ok(new Set(randoms.map((text) => text[at])).size > 20, `character ${at}`);
});
