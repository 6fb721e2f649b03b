// The plain dialect, opening: which requests open a session, what the backend's handshake looks
// like, what its refusal becomes, and openings that are repeated.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ALWAYS, EVENTS, LINES, Session, TEXT, bridgeStage, factsOf, jsonAnswer, openedSession,
	requestText, startBackend } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { freePort } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { get, ok } from './lib/stage.mjs';
import { acceptOf, readFrame, switching } from './lib/websocket_bytes.mjs';

const ID = /^[A-Za-z0-9_.-]+$/;

// A backend that is spoken to byte by byte: what it gets is compared, what it says is given.
async function rawStage(t, options) {
	const server = await RawBackend.start(t);
	// Its sockets never end by themselves: at the end of a test they are cut.
	const stage = await bridgeStage(t, { server, program: { drain: '50ms' }, ...options });
	return { ...stage, server };
}

async function accepted(server, fields = {}) {
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')), fields }));
	return { conn, request };
}

// Which requests open a session.

test('POST on the path opens a session: 201 and the body of an empty poll', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	const response = await bridge.ask('POST');
	const { session: id } = response.json;
	assert.match(id, ID);
	assert.ok(id.length >= 22, 'room for 128 random bits');
	assert.deepEqual(factsOf(response), jsonAnswer(201, {
		session: id,
		next: `/chat/~${id}?after=0`,
		cursor: 0,
		messages: [],
	}, {
		Location: `/chat/~${id}`,
		'Pollux-Session': id,
		'Pollux-Cursor': '0',
		'Pollux-Seq': '0',
	}));
	assert.equal((await backend.accept()).readyState, 1);
});

test('POST that wants text/plain gets the absolute URL of the session and a newline', async (t) => {
	const { bridge, pollux } = await bridgeStage(t);

	const response = await bridge.ask('POST', '/chat', { fields: { Accept: 'text/plain' } });
	const id = response.get('Pollux-Session');
	const { fields, body } = factsOf(response);
	assert.equal(body, `http://a/chat/~${id}\n`);
	assert.equal(fields['Content-Type'], 'text/plain; charset=utf-8');
	assert.equal(fields.Location, `/chat/~${id}`);
	const withPort = await bridge.ask('POST', '/chat', {
		fields: { Accept: 'text/plain' },
		host: `a:${pollux.port}`,
	});
	assert.match(withPort.body.toString(), new RegExp(`^http://a:${pollux.port}/chat/~`));
});

test('the body of the opening POST is the first message', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	await bridge.open({ body: 'hello', fields: TEXT });
	const socket = await backend.accept();
	assert.equal(await socket.received.next(), 'hello');
});

test('an opening POST without a body sends nothing', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	const session = await bridge.open({ body: '' });
	const socket = await backend.accept();
	await session.post('second');
	assert.deepEqual(await socket.received.count(1), ['second']);
});

test('GET with an event stream in Accept opens a session as that stream', async (t) => {
	const { bridge } = await bridgeStage(t);

	const { session, stream } = await bridge.openStream(EVENTS);
	assert.deepEqual(factsOf({ ...stream.response, body: '' }), {
		status: 200,
		fields: {
			...ALWAYS,
			'Content-Type': 'text/event-stream',
			'X-Accel-Buffering': 'no',
			'Pollux-Session': session.id,
			'Pollux-Cursor': '0',
			'Transfer-Encoding': 'chunked',
		},
		body: '',
	});
});

test('GET with JSON lines in Accept opens a session as that stream', async (t) => {
	const { bridge } = await bridgeStage(t);

	const { session, stream } = await bridge.openStream(LINES);
	assert.deepEqual(factsOf({ ...stream.response, body: '' }), {
		status: 200,
		fields: {
			...ALWAYS,
			'Content-Type': 'application/x-ndjson',
			'X-Accel-Buffering': 'no',
			'Pollux-Session': session.id,
			'Pollux-Cursor': '0',
			'Transfer-Encoding': 'chunked',
		},
		body: '',
	});
});

test('GET with Prefer: wait=N opens a session and is its first poll', async (t) => {
	const { bridge } = await bridgeStage(t, { ws: { onSocket: (socket) => socket.send('hi') } });

	const response = await bridge.ask('GET', '/chat', { fields: { Prefer: 'wait=5' } });
	const session = new Session(bridge, response.json.session, '/chat');
	const expected = session.batch(1, [{ seq: 1, text: 'hi' }]);
	expected.fields['Preference-Applied'] = 'wait=5';
	assert.deepEqual(factsOf(response), expected);
});

test('GET with ?wait=N opens a session and is its first poll', async (t) => {
	const { bridge } = await bridgeStage(t);

	const response = await bridge.ask('GET', '/chat?wait=0');
	const session = new Session(bridge, response.json.session, '/chat');
	assert.deepEqual(factsOf(response), session.batch(0));
});

test('only an explicit stream type counts, and it wins over Prefer', async (t) => {
	const { bridge, backend } = await bridgeStage(t, { ws: { onSocket: (socket) => socket.send('hi') } });

	for (const Accept of ['*/*', 'text/*', 'application/*', 'text/html, */*;q=0.5',
		'text/event-stream;q=0']) {
		const response = await bridge.ask('GET', '/chat', { fields: { Accept } });
		assert.equal(response.status, 426, `${Accept} is forwarded`);
		const poll = await bridge.ask('GET', '/chat', { fields: { Accept, Prefer: 'wait=5' } });
		assert.equal(poll.get('Content-Type'), 'application/json', Accept);
	}
	for (const [Accept, type] of [
		['text/event-stream, */*', 'text/event-stream'],
		['Text/Event-Stream', 'text/event-stream'],
		['text/html, application/x-ndjson', 'application/x-ndjson'],
		['text/event-stream;q=0.5, application/x-ndjson', 'application/x-ndjson'],
	]) {
		const stream = await bridge.stream('/chat?wait=5', { Accept, Prefer: 'wait=5' });
		assert.equal(stream.response.get('Content-Type'), type, Accept);
		assert.equal(stream.response.get('Preference-Applied'), undefined);
		stream.close();
	}
	assert.equal(backend.sockets.length, 9);
});

test('a WebSocket on the path is the tunnel', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	const client = await bridge.webSocket('/chat');
	const socket = await backend.accept();
	client.send('up');
	assert.equal(await socket.received.next(), 'up');
	socket.send('down');
	assert.equal(await client.received.next(), 'down');
});

test('any other request on the path is forwarded as ordinary HTTP', async (t) => {
	const { bridge, server } = await rawStage(t);

	server.serve((request) => ok(request.method === 'HEAD' ? '' : `${request.method} ${request.target}`));
	for (const [method, target] of [
		['GET', '/chat'],
		['GET', '/chat?after=1&as=json&q=1'],
		['GET', '/chat/'],
		['GET', '/chat/deeper/still'],
		['PUT', '/chat'],
		['DELETE', '/chat'],
		['PATCH', '/chat'],
	]) {
		const response = await bridge.ask(method, target, { fields: { Origin: 'http://evil' } });
		assert.equal(response.body.toString(), `${method} ${target}`);
	}
	assert.equal((await bridge.ask('HEAD')).status, 200);
});

test('a path that ends in a slash opens no session', async (t) => {
	const { bridge, server } = await rawStage(t);

	const unknown = jsonAnswer(404, { error: 'unknown session' });
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat/', { fields: EVENTS })), unknown);
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat/?wait=1')), unknown);
	const posted = factsOf(await bridge.ask('POST', '/chat/'));
	assert.equal(posted.status, 404);
	assert.equal(posted.body, unknown.body);
	assert.equal(server.conns.length, 0);
});

test('a session belongs to the path that it was opened on, joined by exactly one slash', async (t) => {
	const { bridge } = await bridgeStage(t);

	const { id } = await bridge.open({ path: '/chat/room' });
	assert.equal((await bridge.ask('GET', `/chat/room/~${id}?wait=0`)).status, 200);
	const unknown = jsonAnswer(404, { error: 'unknown session' });
	for (const target of [
		`/chat/~${id}`,
		`/chat/room2/~${id}`,
		`/chat/room//~${id}`,
		`/chat//room/~${id}`,
		`/chat/room/x/~${id}`,
		`/chat/%72oom/~${id}`,
		`/chat/room/~${id}x`,
		`/chat/room/~${id.slice(0, -1)}`,
		`/chat/room/~${id.toLowerCase()}`,
	])
		assert.deepEqual(factsOf(await bridge.ask('GET', `${target}?wait=0`)), unknown, target);
});

test('a last segment that has not the form of a session id is a path like others', async (t) => {
	const { bridge, server } = await rawStage(t);

	server.serve((request) => ok(request.target));
	for (const target of ['/chat/~', '/chat/~a%20b', '/chat/~a!b', '/chat/~a/b', '/chat/x~a'])
		assert.equal((await bridge.ask('GET', target)).body.toString(), target);
});

test('methods that a session does not know get 405 with Allow', async (t) => {
	const { session } = await openedSession(t);

	for (const method of ['PUT', 'PATCH', 'HEAD', 'TRACE', 'BREW']) {
		const response = await session.ask(method);
		assert.equal(response.status, 405, method);
		assert.equal(response.get('Allow'), 'GET, POST, DELETE, OPTIONS');
		assert.equal(response.get('Cache-Control'), 'no-store');
	}
	assert.equal((await session.poll({ wait: 0 })).status, 200);
});

test('a path that begins with two slashes names no host', async (t) => {
	const { pollux, bridge } = await bridgeStage(t, { path: '/' });
	const url = pollux.url('//chat');
	const here = (reference) => {
		const resolved = new URL(reference, url);
		assert.equal(resolved.host, new URL(url).host, reference);
		return resolved.pathname + resolved.search;
	};
	const opened = await bridge.ask('POST', '//chat');
	const target = here(opened.get('Location'));
	assert.match(target, /^\/\/chat\/~/);
	assert.equal(here(opened.json.next), `${target}?after=0`);
	const poll = await bridge.ask('GET', `${target}?wait=0`);
	assert.equal(poll.status, 200);
	assert.equal(here(poll.json.next), `${target}?after=0`);
	assert.equal(here(/^<(.*)>/.exec(poll.get('Link'))[1]), `${target}?after=0`);
	const text = await bridge.ask('POST', '//chat', { fields: { Accept: 'text/plain' } });
	assert.match(text.body.toString(), /^http:\/\/a\/\/chat\/~/);
});

test('what a session refuses stands in the access log with the session', async (t) => {
	const { pollux, session } = await openedSession(t);
	const shown = `${session.id.slice(0, 7)}...`;
	const refused = async (status, members) => {
		const entry = await pollux.accessed({ status, ...members });
		assert.equal(entry.session, shown, `${status} ${entry.target}`);
	};

	await session.poll({ after: 1 });
	await refused(409, { method: 'GET' });
	await session.post('x', { 'Pollux-Ack': 1 });
	await refused(409, { method: 'POST' });
	await session.poll({ wait: 'x' });
	await refused(400);
	await session.ask('PUT');
	await refused(405);
	await session.delete();
	await refused(204);
	await session.post('x');
	await refused(410);
});

// The handshake with the backend.

test("the backend's handshake has the path, the query without our parameters, and these fields", async (t) => {
	const { bridge, server } = await rawStage(t);

	const answer = bridge.ask('POST', '/chat/room?a=1&wait=3&b=%20&after=9&as=json&&c', {
		fields: {
			Cookie: 'k=v; l=w',
			Authorization: 'Bearer t',
			Origin: 'http://a',
			'User-Agent': 'test/1',
			'Accept-Language': 'de, en;q=0.5',
			'Sec-WebSocket-Protocol': 'chat, superchat',
			'X-Tenant': 'blue',
			'X-Forwarded-For': '192.0.2.1',
			'X-Forwarded-Secret': 'x',
			Forwarded: 'for=192.0.2.1',
			Accept: 'application/json',
			'Accept-Encoding': 'gzip',
			Referer: 'http://a/page',
			'Content-Type': 'text/plain',
			'Idempotency-Key': 'k1',
			'Pollux-Seq': '1',
			'Sec-Fetch-Site': 'same-origin',
			'Sec-WebSocket-Extensions': 'permessage-deflate',
			DNT: '1',
		},
		body: 'x',
	});
	const { request } = await accepted(server);
	assert.equal(request.line, 'GET /chat/room?a=1&b=%20&&c HTTP/1.1');
	const { fields } = factsOf({ ...request, body: '' });
	for (const name of Object.keys(fields).filter((name) => /^Sec-Websocket/.test(name))) {
		fields[name.replace('Websocket', 'WebSocket')] = fields[name];
		delete fields[name];
	}
	assert.match(fields['Sec-WebSocket-Key'], /^[A-Za-z0-9+/]{21}[AQgw]==$/);
	delete fields['Sec-WebSocket-Key'];
	assert.deepEqual(fields, {
		Host: 'a',
		Upgrade: 'websocket',
		Connection: 'upgrade',
		'Sec-WebSocket-Version': '13',
		Cookie: 'k=v; l=w',
		Authorization: 'Bearer t',
		Origin: 'http://a',
		'User-Agent': 'test/1',
		'Accept-Language': 'de, en;q=0.5',
		'Sec-WebSocket-Protocol': 'chat, superchat',
		'X-Tenant': 'blue',
		Via: '1.1 pollux',
	});
	assert.equal((await answer).status, 201);
});

test('a query of nothing but our parameters leaves none', async (t) => {
	const { bridge, server } = await rawStage(t);

	const answer = bridge.ask('GET', '/chat?wait=0&as=json');
	const { request } = await accepted(server);
	assert.equal(request.line, 'GET /chat HTTP/1.1');
	assert.equal((await answer).status, 200);
});

test('X-Forwarded-* are made by the trust rule', async (t) => {
	const { bridge, server } = await rawStage(t, { route: { forwarded: 'x-forwarded' } });

	const answer = bridge.ask('POST', '/chat', {
		fields: { 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Proto': 'https' },
	});
	const { request } = await accepted(server);
	assert.equal(request.get('X-Forwarded-For'), '127.0.0.1');
	assert.equal(request.get('X-Forwarded-Proto'), 'http');
	assert.equal((await answer).status, 201);
});

test('each handshake has a key of its own', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	for (let n = 0; n < 4; n++)
		await bridge.open();
	const keys = backend.requests.map((request) => request.headers['sec-websocket-key']);
	assert.equal(new Set(keys).size, 4);
});

test('the chosen subprotocol and the Set-Cookie of the 101 come back on the opening answer', async (t) => {
	const { bridge, server } = await rawStage(t);

	for (const [method, fields] of [
		['POST', {}],
		['GET', EVENTS],
		['GET', LINES],
		['GET', { Prefer: 'wait=0' }],
	]) {
		const wire = await bridge.connect();
		wire.send(requestText(method, '/chat', {
			fields: { 'Sec-WebSocket-Protocol': 'chat, superchat', ...fields },
		}));
		await accepted(server, {
			'Sec-WebSocket-Protocol': 'superchat',
			'Set-Cookie: a=1\r\nSet-Cookie': 'b=2; Path=/',
			'X-Other': 'not for you',
		});
		const head = await wire.readHead();
		assert.equal(head.get('Sec-WebSocket-Protocol'), 'superchat');
		assert.deepEqual(head.getAll('Set-Cookie'), ['a=1', 'b=2; Path=/']);
		assert.equal(head.get('X-Other'), undefined);
		wire.close();
	}
});

// Refusals.

test("a refusal is passed on: status, body and what belongs to it", async (t) => {
	const { bridge } = await bridgeStage(t, {
		ws: {
			verifyClient: (_, done) => done(false, 401, 'who are you?', {
				'Content-Type': 'text/x-question',
				'WWW-Authenticate': 'Basic realm="chat"',
				'Set-Cookie': 'try=1',
				Location: '/login',
				'Retry-After': '3',
				'X-Internal': 'secret',
				ETag: '"1"',
			}),
		},
	});

	const expected = {
		status: 401,
		fields: {
			...ALWAYS,
			'Content-Type': 'text/x-question',
			'Content-Length': '12',
			'WWW-Authenticate': 'Basic realm="chat"',
			'Set-Cookie': 'try=1',
			Location: '/login',
			'Retry-After': '3',
		},
		body: 'who are you?',
	};
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat', { fields: EVENTS })), expected);
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat', { fields: LINES })), expected);
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat?wait=1')), expected);
	expected.fields['Pollux-Seq'] = '0';
	assert.deepEqual(factsOf(await bridge.ask('POST')), expected);
});

for (const [what, answer, status] of [
	['200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 502],
	['204', 'HTTP/1.1 204 No Content\r\n\r\n', 502],
	['302', 'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n', 302],
	['404 in chunks', 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n', 404],
	['500 until the end', 'HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\nno!', 500],
	['a wrong Sec-WebSocket-Accept', switching({ accept: acceptOf('wrong') }), 502],
	['no Sec-WebSocket-Accept', switching({ accept: undefined }), 502],
	['101 without Upgrade', switching({ fields: { Upgrade: undefined } }), 502],
	['101 to something else', switching({ fields: { Upgrade: 'h2c' } }), 502],
	['101 without Connection', switching({ fields: { Connection: undefined } }), 502],
	['no HTTP', '\x15\x03\x01\x00\x02\x02\x46', 502],
	['a cut', '', 502],
	['a cut in the refusal', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nno', 502],
]) {
	test(`an opening that the backend answers with ${what}: ${status}`, async (t) => {
		const { bridge, server } = await rawStage(t, { backend: { retries: 0 } });

		const answered = bridge.ask('GET', '/chat?wait=5');
		const conn = await server.accept();
		await conn.readRequest();
		conn.send(answer);
		conn.end();
		const response = await answered;
		assert.equal(response.status, status);
		assert.equal(response.get('Cache-Control'), 'no-store');
		if (status === 502)
			assert.equal(response.body.toString(), `${JSON.stringify({ error: response.json.error })}\n`);
	});
}

test('what a 101 may not choose is 502', async (t) => {
	const { bridge, server } = await rawStage(t);

	for (const fields of [
		{ 'Sec-WebSocket-Protocol': 'not-offered' },
		{ 'Sec-WebSocket-Extensions': 'permessage-deflate' },
	]) {
		const answered = bridge.ask('POST', '/chat', { fields: { 'Sec-WebSocket-Protocol': 'chat' } });
		const { conn } = await accepted(server, fields);
		assert.equal((await answered).status, 502);
		await conn.expectGone();
	}
});

test('a backend that cannot be reached is 502', async (t) => {
	const { bridge } = await bridgeStage(t, { server: `127.0.0.1:${await freePort()}` });

	assert.equal((await bridge.ask('POST')).status, 502);
	assert.equal((await bridge.ask('GET', '/chat', { fields: EVENTS })).status, 502);
});

test('a backend that does not answer in time is 504', async (t) => {
	const { bridge, server } = await rawStage(t, {
		backend: { response_timeout: '100ms', retries: 0 },
	});

	const response = await bridge.ask('POST');
	assert.equal(response.status, 504);
	assert.equal(response.get('Cache-Control'), 'no-store');
	await (await server.accept()).expectGone();
});

test('a slow backend is waited for', async (t) => {
	const { bridge, server } = await rawStage(t);

	const answered = bridge.ask('POST', '/chat', { fields: TEXT, body: 'x' });
	const conn = await server.accept();
	const request = await conn.readRequest();
	assert.equal((await bridge.ask('GET', '/chat/~w1.other')).status, 404); // others are served
	const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n';
	conn.send(interim, switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	assert.equal((await answered).status, 201);
	const frame = await readFrame(conn);
	assert.equal(frame.payload.toString(), 'x');
	assert.equal(frame.masked, true);
});

test('a client that leaves while the backend thinks takes the opening along', async (t) => {
	const { bridge, server } = await rawStage(t);

	const wire = await bridge.connect();
	wire.send(requestText('POST', '/chat'));
	const conn = await server.accept();
	await conn.readRequest();
	wire.close();
	await conn.expectGone();
});

// Reconnects that must open a new session.

test('a reconnect that cannot open a session is told to try later, and only to event streams', async (t) => {
	const { bridge } = await bridgeStage(t, {
		ws: { verifyClient: (_, done) => done(false, 401, 'no') },
	});

	const fields = { ...EVENTS, 'Last-Event-ID': 'w1.gone.7' };
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat', { fields })), {
		status: 200,
		fields: { ...ALWAYS, 'Content-Type': 'text/event-stream', 'Content-Length': '13' },
		body: 'retry: 5000\n\n',
	});
	const lines = { ...LINES, 'Last-Event-ID': 'w1.gone.7' };
	assert.equal((await bridge.ask('GET', '/chat', { fields: lines })).status, 401);
	const poll = { Prefer: 'wait=1', 'Last-Event-ID': 'w1.gone.7' };
	assert.equal((await bridge.ask('GET', '/chat', { fields: poll })).status, 401);
});

test('a reconnect that the backend forbids gets its 403', async (t) => {
	const { bridge } = await bridgeStage(t, {
		ws: { verifyClient: (_, done) => done(false, 403, 'no') },
	});

	const fields = { ...EVENTS, 'Last-Event-ID': 'w1.gone.7' };
	const response = await bridge.ask('GET', '/chat', { fields });
	assert.equal(response.status, 403);
	assert.equal(response.body.toString(), 'no');
});

test('a reconnect to a backend that is down is told to try later', async (t) => {
	const { bridge } = await bridgeStage(t, { server: `127.0.0.1:${await freePort()}` });

	for (const id of ['w1.gone.7', 'rubbish', '']) {
		const fields = { ...EVENTS, 'Last-Event-ID': id };
		const response = await bridge.ask('GET', '/chat', { fields });
		assert.equal(response.status, 200);
		assert.equal(response.body.toString(), 'retry: 5000\n\n');
	}
});

// Idempotency-Key.

test('an opening repeated with its key gets the same session and sends nothing twice', async (t) => {
	const { bridge, backend } = await bridgeStage(t);
	const fields = { 'Idempotency-Key': '"k 1"', ...TEXT };

	const first = await bridge.ask('POST', '/chat', { fields, body: 'once' });
	const again = await bridge.ask('POST', '/chat', { fields, body: 'once' });
	assert.deepEqual(factsOf(again), factsOf(first));
	assert.equal(again.status, 201);
	const session = new Session(bridge, first.json.session, '/chat');
	await session.post('then');
	const socket = await backend.accept();
	assert.deepEqual(await socket.received.count(2), ['once', 'then']);
	assert.equal(backend.sockets.length, 1);
});

test('openings with one key at the same time are one session', async (t) => {
	const { bridge, server } = await rawStage(t);
	const fields = { 'Idempotency-Key': 'k1' };

	const openings = [1, 2, 3].map(() => bridge.ask('POST', '/chat', { fields }));
	const stream = bridge.stream('/chat', { ...EVENTS, ...fields });
	await accepted(server, { 'Set-Cookie': 'c=1' });
	const ids = new Set();
	for (const opening of openings) {
		const response = await opening;
		assert.equal(response.status, 201);
		assert.equal(response.get('Set-Cookie'), 'c=1');
		ids.add(response.json.session);
	}
	ids.add((await stream).response.get('Pollux-Session'));
	assert.equal(ids.size, 1);
	assert.equal(server.conns.length, 1);
});

test('a lost 201 costs nothing: the session waits for the repeat', async (t) => {
	const { bridge, server } = await rawStage(t);
	const fields = { 'Idempotency-Key': 'k1', ...TEXT };

	const wire = await bridge.connect();
	wire.send(requestText('POST', '/chat', { fields, body: 'hello' }), 'hello');
	const conn = await server.accept();
	const request = await conn.readRequest();
	wire.close();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	const response = await bridge.ask('POST', '/chat', { fields, body: 'hello' });
	assert.equal(response.status, 201);
	assert.equal(server.conns.length, 1);
});

test('keys are scoped to path, Origin, Cookie and Authorization', async (t) => {
	const { bridge, backend } = await bridgeStage(t, {
		route: { allowed_origins: ['http://b'] },
	});
	const ids = new Set();

	for (const [path, fields] of [
		['/chat', {}],
		['/chat/room', {}],
		['/chat', { Origin: 'http://a' }],
		['/chat', { Origin: 'http://b' }],
		['/chat', { Cookie: 'user=1' }],
		['/chat', { Cookie: 'user=2' }],
		['/chat', { Authorization: 'Bearer 1' }],
		['/chat', { Authorization: 'Bearer 2' }],
		['/chat', { 'Idempotency-Key': 'other' }],
	]) {
		const options = { path, fields: { 'Idempotency-Key': 'k1', ...fields } };
		const { id } = await bridge.open(options);
		assert.equal((await bridge.open(options)).id, id);
		ids.add(id);
	}
	assert.equal(ids.size, 9);
	assert.equal(backend.sockets.length, 9);
	assert.equal((await bridge.open({ path: '/chat?q=2', fields: { 'Idempotency-Key': 'k1' } })).id,
		(await bridge.open({ fields: { 'Idempotency-Key': 'k1' } })).id);
});

test('a failed opening frees the key', async (t) => {
	let isOpen = false;
	const { bridge } = await bridgeStage(t, {
		ws: { verifyClient: (_, done) => done(isOpen, 503, 'later') },
	});
	const fields = { 'Idempotency-Key': 'k1' };

	assert.equal((await bridge.ask('POST', '/chat', { fields })).status, 503);
	isOpen = true;
	assert.equal((await bridge.ask('POST', '/chat', { fields })).status, 201);
});

test('a key holds for linger after the answer', async (t) => {
	const { bridge, backend } = await bridgeStage(t, { route: { linger: '500ms' } });
	const fields = { 'Idempotency-Key': 'k1' };

	const first = await bridge.open({ fields });
	const stream = await first.stream(); // the session lives on
	let next = first;
	while (next.id === first.id)
		next = await bridge.open({ fields });
	assert.equal(backend.sockets.length, 2);
	assert.equal(backend.sockets[0].closed, undefined);
	stream.close();
});

// Other backends.

test('sessions go over TLS to the backend where its section says so', async (t) => {
	const { certText, keyText } = new Authority(t).issue(['127.0.0.1']);
	const server = await startBackend(t, { tls: { cert: certText, key: keyText } });
	const { bridge } = await bridgeStage(t, {
		server,
		backend: { tls: true, tls_verify: false },
	});

	const session = await bridge.open({ body: 'x', fields: TEXT });
	const socket = await server.accept();
	assert.equal(await socket.received.next(), 'x');
	socket.send('y');
	assert.deepEqual((await session.poll()).json.messages, [{ seq: 1, text: 'y' }]);
});

test('a route without a bridge knows nothing of sessions', async (t) => {
	const { bridge, server } = await rawStage(t, { route: { bridge: undefined } });

	server.serve((request) => ok(request.line));
	const wire = await bridge.connect();
	wire.send(get('/chat/~w1.abc?after=1', 'Accept: text/event-stream\r\n'));
	const response = await wire.readResponse();
	assert.equal(response.body.toString(), 'GET /chat/~w1.abc?after=1 HTTP/1.1');
});
