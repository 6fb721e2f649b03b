// Engine.IO: openings, errors of the protocol, what goes to the backend and comes back, CORS.
import assert from 'node:assert/strict';
import test from 'node:test';

import { requestText } from './lib/bridge.mjs';
import { OPEN, PATH, engineSession, engineStage, isError, isOk, isPayload } from './lib/engineio.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { handshake } from './lib/websocket_bytes.mjs';
import { event } from './lib/wait.mjs';

const FOREIGN = { Origin: 'https://page.example' };

test('an opening is answered with the open packet of the backend, and our id in it', async (t) => {
	const { backend, session } = await engineSession(t, { open: { extra: { a: [1] } } });

	isPayload(session.response);
	assert.deepEqual(session.facts, {
		...OPEN, sid: session.sid, upgrades: ['websocket'], extra: { a: [1] },
	});
	assert.match(session.sid, /^w\d\.[A-Za-z0-9_-]{22}$/);
	assert.equal(session.response.body.includes(OPEN.sid), false);
	assert.equal(backend.sockets.length, 1);
});

test('the backend is dialled with the query and the fields of the client', async (t) => {
	const { engine, backend } = await engineStage(t);

	await engine.open({
		query: '&t=abc&token=a%20b&b64=1&EIOS=5',
		fields: {
			Cookie: 'a=b',
			Authorization: 'Bearer x',
			Origin: 'https://page.example',
			'User-Agent': 'test/1',
			'Accept-Language': 'en',
			'X-Own': 'mine',
			'X-Forwarded-For': '192.0.2.7',
			Accept: '*/*',
		},
	});
	await backend.accept();
	const [request] = backend.requests;
	assert.equal(request.url, `${PATH}?EIO=4&token=a%20b&EIOS=5&transport=websocket`);
	assert.equal(request.headers.cookie, 'a=b');
	assert.equal(request.headers.authorization, 'Bearer x');
	assert.equal(request.headers.origin, 'https://page.example');
	assert.equal(request.headers['user-agent'], 'test/1');
	assert.equal(request.headers['accept-language'], 'en');
	assert.equal(request.headers['x-own'], 'mine');
	assert.equal(request.headers['x-forwarded-for'], '127.0.0.1');
	assert.equal(request.headers.accept, undefined);
});

test('the upgrade can be left out', async (t) => {
	const { session } = await engineSession(t, { route: { engineio_upgrade: 'no' } });

	assert.deepEqual(session.facts.upgrades, []);
	const response = await session.engine.upgradeRefused(
		`EIO=4&transport=websocket&sid=${session.sid}`);
	assert.equal(response.status, 400);
	isOk(await session.post('4a'));
});

test('a route without WebSockets still polls, and offers no upgrade', async (t) => {
	const { session, engine } = await engineSession(t, { route: { websocket: 'no' } });

	assert.deepEqual(session.facts.upgrades, []);
	isOk(await session.post('4a'));
	const wire = await engine.connect();
	wire.send(handshake({ target: `${PATH}?EIO=4&transport=websocket` }));
	isError(await wire.readResponse(), 400, 3, 'Bad request');
});

test('maxPayload is lowered to what the route takes', async (t) => {
	const { session } = await engineSession(t, {
		open: { maxPayload: 100_000_000 }, route: { max_message_size: '64k' },
	});

	assert.equal(session.facts.maxPayload, 65536);
});

// Errors.

for (const said of ['null', '0', '104857.6']) {
	test(`a maxPayload that says no whole number of bytes (${said})`, async (t) => {
		const { backend, engine } = await engineStage(t, { open: null, route: { max_message_size: '256k' } });
		const opening = engine.open();
		const socket = await backend.accept();

		socket.send(`0${JSON.stringify({ ...OPEN, maxPayload: 7 }).replace(':7', `:${said}`)}`);
		const { facts } = await opening;
		assert.equal(facts.maxPayload, said === '104857.6' ? 104857 : 262144);
	});
}

test('an empty id is none', async (t) => {
	const { backend, engine } = await engineStage(t);

	await engine.open({ query: '&sid=' });
	await backend.accept();
	assert.equal(backend.requests[0].url, `${PATH}?EIO=4&transport=websocket`);
});

test('errors of the protocol', async (t) => {
	const { engine, backend } = await engineStage(t);
	const rows = [
		['GET', 'transport=polling', 400, 5, 'Unsupported protocol version'],
		['GET', 'EIO=3&transport=polling', 400, 5, 'Unsupported protocol version'],
		['GET', 'EIO=abc&transport=polling', 400, 5, 'Unsupported protocol version'],
		['GET', 'EIO=4', 400, 0, 'Transport unknown'],
		['GET', 'EIO=4&transport=abc', 400, 0, 'Transport unknown'],
		['GET', 'EIO=4&transport=polling&sid=abc', 400, 1, 'Session ID unknown'],
		['POST', 'EIO=4&transport=polling&sid=abc', 400, 1, 'Session ID unknown'],
		['POST', 'EIO=4&transport=polling', 400, 2, 'Bad handshake method'],
		['PUT', 'EIO=4&transport=polling', 400, 2, 'Bad handshake method'],
		['GET', 'EIO=4&transport=websocket', 400, 3, 'Bad request'],
		['GET', 'EIO=4&transport=polling&j=0', 400, 3, 'Bad request'],
		['DELETE', 'EIO=4&transport=polling&sid=abc', 500, 3, 'Bad request'],
	];

	for (const [method, query, status, code, message] of rows) {
		const body = method === 'POST' || method === 'PUT' ? '4a' : undefined;
		const response = await engine.ask(method, `${PATH}?${query}`, { body, fields: FOREIGN });
		isError(response, status, code, message);
		assert.equal(response.get('Cache-Control'), 'no-store');
		// Or the page would be told of a CORS error, and nothing else.
		assert.equal(response.get('Access-Control-Allow-Origin'), 'https://page.example');
		assert.equal(response.get('Access-Control-Allow-Credentials'), 'true');
		assert.equal(response.get('Vary'), 'Origin');
	}
	assert.equal(backend.sockets.length, 0);
});

test('errors for WebSockets are the text alone, and the connection ends', async (t) => {
	const { engine, backend } = await engineStage(t);
	const rows = [
		['EIO=3&transport=websocket', 'Unsupported protocol version'],
		['transport=websocket', 'Unsupported protocol version'],
		['EIO=4&transport=abc', 'Transport unknown'],
		['EIO=4&transport=polling', 'Bad request'],
		['EIO=4&transport=websocket&sid=abc', 'Session ID unknown'],
	];

	for (const [query, message] of rows) {
		const response = await engine.upgradeRefused(query);
		assert.equal(response.status, 400);
		assert.equal(response.get('Content-Type'), 'text/html');
		assert.equal(response.body.toString(), message);
		assert.equal(response.get('Connection'), 'close');
		await response.wire.expectEnd();
	}
	assert.equal(backend.sockets.length, 0);
});

test('no other method works on a session, and the session lives', async (t) => {
	const { session } = await engineSession(t);

	isError(await session.ask('PUT', { body: 'x' }), 500, 3, 'Bad request');
	assert.equal((await session.ask('HEAD')).status, 500);
	isOk(await session.post('4a'));
});

test('a WebSocket without an id is a tunnel', async (t) => {
	const { engine, backend } = await engineStage(t);
	const socket = await engine.upgrade('EIO=4&transport=websocket&t=x');

	await socket.expect(`0${JSON.stringify(OPEN)}`);
	socket.send('4hello');
	const at = await backend.accept();
	assert.equal(await at.received.next(), '4hello');
	assert.equal(backend.requests[0].url, `${PATH}?EIO=4&transport=websocket&t=x`);
	socket.close();
	assert.equal((await socket.next()).code, 1000);
	socket.wire.end();
	assert.equal((await backend.closeOf(at)).code, 1000);
});

test('what is not Engine.IO is forwarded, preflights too', async (t) => {
	const server = await RawBackend.start(t);
	const { engine } = await engineStage(t, { server });
	const rows = [
		requestText('GET', `${PATH}socket.io.js`),
		requestText('POST', PATH, { body: 'EIO=4' }),
		requestText('OPTIONS', `${PATH}?EIO=4&transport=polling`, {
			fields: { ...FOREIGN, 'Access-Control-Request-Method': 'POST' },
		}),
	];

	const wire = await engine.connect();
	for (const text of rows) {
		wire.send(text, text.startsWith('POST') ? 'EIO=4' : '');
		const conn = await server.accept();
		const request = await conn.readRequest();
		assert.equal(request.line, text.split('\r\n')[0]);
		conn.send('HTTP/1.1 204 No Content\r\nX-From: backend\r\nConnection: close\r\n\r\n');
		conn.end();
		const response = await wire.readResponse();
		assert.equal(response.status, 204);
		assert.equal(response.get('X-From'), 'backend');
	}
});

// What comes back of the backend's 101.

test('cookies and fields of the 101 come with the opening, CORS with every answer', async (t) => {
	const { engine, backend } = await engineStage(t, {
		ws: { verifyClient: () => true },
	});
	backend.wss.on('headers', (headers) => {
		headers.push('Set-Cookie: a=b; HttpOnly', 'Set-Cookie: c=d', 'X-App: yes',
			'Access-Control-Allow-Origin: https://page.example',
			'Access-Control-Allow-Credentials: true', 'Vary: Origin');
	});

	const session = await engine.open({ fields: FOREIGN });
	assert.deepEqual(session.response.getAll('Set-Cookie'), ['a=b; HttpOnly', 'c=d']);
	assert.equal(session.response.get('X-App'), 'yes');
	assert.equal(session.response.get('Sec-WebSocket-Accept'), undefined);
	const socket = await backend.accept();
	socket.send('4a');
	const answers = [
		session.response,
		await session.poll({ fields: FOREIGN }),
		await session.post('4b', { fields: FOREIGN }),
		await session.ask('PUT', { body: 'x', fields: FOREIGN }),
		await session.post('x'.repeat(1_000_001), { fields: FOREIGN }),
	];
	for (const answer of answers) {
		assert.deepEqual(answer.getAll('Access-Control-Allow-Origin'), ['https://page.example']);
		assert.deepEqual(answer.getAll('Access-Control-Allow-Credentials'), ['true']);
		assert.deepEqual(answer.getAll('Vary'), ['Origin']);
	}
	assert.equal(answers[1].get('Set-Cookie'), undefined);
	assert.equal(answers[4].status, 413);
});

test('a session of a backend without cors has no CORS fields', async (t) => {
	const { engine } = await engineStage(t);
	const session = await engine.open({ fields: FOREIGN });
	const answer = await session.post('4a', { fields: FOREIGN });

	for (const response of [session.response, answer])
		assert.equal(response.get('Access-Control-Allow-Origin'), undefined);
});

test('the backend refuses the handshake', async (t) => {
	const server = await RawBackend.start(t);
	const { engine } = await engineStage(t, { server });
	const refused = async (answer) => {
		const wire = await engine.connect();
		wire.send(requestText('GET', `${PATH}?EIO=4&transport=polling`));
		const conn = await server.accept();
		await conn.readRequest();
		conn.send(answer);
		conn.end();
		return wire.readResponse();
	};
	const text = (body) => 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n'
		+ `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${Buffer.from(body).toString('latin1')}`;

	isError(await refused(text('Transport unknown')), 400, 0, 'Transport unknown');
	isError(await refused(text('Unsupported protocol version')), 400, 5, 'Unsupported protocol version');
	isError(await refused(text('Forbidden')), 403, 4, 'Forbidden');
	isError(await refused(text('no "entry" für dich')), 403, 4, 'no "entry" für dich');
	// Anything else as it is.
	const response = await refused('HTTP/1.1 404 Not Found\r\nContent-Type: text/x\r\n'
		+ 'Content-Length: 4\r\n\r\nnone');
	assert.equal(response.status, 404);
	assert.equal(response.get('Content-Type'), 'text/x');
	assert.equal(response.body.toString(), 'none');
});

test('a backend that speaks another protocol after its 101', async (t) => {
	const { engine, pollux } = await engineStage(t, {
		open: null, ws: { onSocket: (socket) => socket.send('hello') },
	});
	const response = await engine.get('EIO=4&transport=polling');

	assert.equal(response.status, 502);
	assert.equal(response.get('Content-Type'), 'application/json');
	assert.deepEqual(Object.keys(response.json), ['message']);
	await pollux.logged(/engine\.io: no open packet/);
	assert.equal((await pollux.accessed({ status: 502 })).reason, 'backend-protocol');
});

test('a backend that cannot be reached, or says nothing', async (t) => {
	const { engine, pollux, backend } = await engineStage(t, {
		open: null, backend: { response_timeout: '200ms' },
	});

	assert.equal((await engine.get('EIO=4&transport=polling')).status, 504);
	assert.equal((await pollux.accessed({ status: 504 })).reason, 'response-timeout');
	await backend.closeOf(await backend.accept());
	backend.server.close();
	for (const socket of backend.sockets)
		socket.terminate();
	assert.equal((await engine.get('EIO=4&transport=polling')).status, 502);
	assert.equal((await pollux.accessed({ status: 502 })).reason, 'connect');
});

// Caps, logs, origins.

test('the cap on sessions', async (t) => {
	const { engine, session, pollux, backend } = await engineSession(t, { route: { max_sessions: 1 } });
	const response = await engine.get('EIO=4&transport=polling');

	assert.equal(response.status, 503);
	assert.equal(response.get('Retry-After'), '1');
	assert.equal((await pollux.accessed({ status: 503 })).reason, 'overload');
	isOk(await session.post('1'));
	await backend.closeOf(backend.sockets[0]);
	await engine.open();
});

test('ids do not stand in the log', async (t) => {
	const { pollux, session, engine } = await engineSession(t);
	const shown = `${session.sid.slice(0, 7)}...`;

	isOk(await session.post('4a'));
	await session.ask('PUT', { body: 'x' });
	await engine.get(`%73id=${session.sid}&EIO=4&transport=x`);
	await engine.upgradeRefused(`EIO=4&transport=polling&sid=${session.sid}`);
	assert.equal((await pollux.accessed({ status: 200, method: 'GET' })).session, shown);
	const entry = await pollux.accessed({ status: 200, method: 'POST' });
	assert.equal(entry.session, shown);
	assert.equal(entry.target, `${PATH}?EIO=4&transport=polling&sid=${shown}`);
	await pollux.accessed({ status: 500 });
	await pollux.accessed({ status: 400, target: /%73id/ });
	await pollux.accessed({ status: 400 });
	assert.equal(pollux.accessLog.text().includes(session.sid), false);
	assert.equal(pollux.log.text().includes(session.sid), false);
});

test('origins that the route names are the only ones, for WebSockets too', async (t) => {
	const { engine, pollux } = await engineStage(t, {
		route: { allowed_origins: ['https://page.example'] },
	});
	const foreign = { Origin: 'https://other.example' };

	const response = await engine.get('EIO=4&transport=polling', { fields: foreign });
	isError(response, 403, 4, 'Forbidden');
	assert.equal(response.get('Access-Control-Allow-Origin'), undefined);
	assert.equal((await pollux.accessed({ status: 403 })).reason, 'origin');
	const refused = await engine.upgradeRefused('EIO=4&transport=websocket', { fields: foreign });
	assert.equal(refused.status, 403);
	await engine.open({ fields: FOREIGN });
	await engine.upgrade('EIO=4&transport=websocket', { fields: FOREIGN });
	await engine.open();
});

test('the other dialect on the same route keeps its requests', async (t) => {
	const { engine, backend } = await engineStage(t, { route: { bridge: ['plain', 'engineio'] } });
	const plain = await engine.ask('POST', '/engine.io/chat');

	assert.equal(plain.status, 201);
	await engine.open();
	isError(await engine.get(`EIO=4&transport=polling&sid=${plain.json.session}`), 400, 1,
		'Session ID unknown');
	assert.equal((await engine.ask('POST', '/engine.io/chat?transport=polling')).status, 201);
	await backend.until(() => backend.sockets.length === 3, 'three sessions');
});

test('over HTTP/2 by prior knowledge as well', async (t) => {
	const { connect } = await import('node:http2');
	const { pollux, backend } = await engineStage(t);
	const client = connect(pollux.url('/'));
	t.after(() => client.destroy());
	const ask = async (path, body) => {
		const stream = client.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST' });
		let text = '';
		stream.on('data', (chunk) => (text += chunk));
		stream.end(body);
		await event(stream, 'end');
		return text;
	};

	const open = JSON.parse((await ask(`${PATH}?EIO=4&transport=polling`)).slice(1));
	const path = `${PATH}?EIO=4&transport=polling&sid=${open.sid}`;
	const poll = ask(path);
	assert.equal(await ask(path, '4hello'), 'ok');
	const socket = await backend.accept();
	assert.equal(await socket.received.next(), '4hello');
	socket.send('4a');
	assert.equal(await poll, '4a');
});
