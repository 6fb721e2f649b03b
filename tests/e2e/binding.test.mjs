// bind_address and bind_cookie: to whom a session's id is of no use, in each dialect and by each
// transport. Whoever is not its opener gets what an unknown session gets, and does it no harm.
import assert from 'node:assert/strict';
import test from 'node:test';

import { EVENTS, LINES, Session, TEXT, bridgeStage, flushed } from './lib/bridge.mjs';
import { WAYS, ask, isAsUnknown, shakeHands, start } from './lib/binding.mjs';
import { PATH, SEPARATOR, engineStage, isError, isOk, isPayload } from './lib/engineio.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { RECEIVERS, sockStage } from './lib/sockjs.mjs';
import { event } from './lib/wait.mjs';
import { closeFrame, frame, readFrame } from './lib/websocket_bytes.mjs';

const MANY = { program: { workers: 4 } };
const FOREIGN = 'foreign-session';
const UNKNOWN = 'w1.AAAAAAAAAAAAAAAAAAAAAA';
const SOCKET = { 'Sec-WebSocket-Protocol': 'pollux.v1' };

function withWorkers({ program, ...options }) {
	return { ...options, program: { ...program, ...MANY.program } };
}

// The plain dialect.

async function plainSession(t, { options, owner }) {
	const stage = await bridgeStage(t, options);
	const opened = await ask(stage.bridge, owner, 'POST', '/chat');
	assert.equal(opened.status, 201);
	const session = new Session(stage.bridge, opened.json.session, '/chat');
	return { ...stage, session, socket: await stage.backend.accept() };
}

// All that may be asked of a session of the plain dialect: method, query, options.
const PLAIN_REQUESTS = [
	['GET', '', {}],
	['GET', '?after=0&wait=0', {}],
	['GET', '?after=1&wait=0', {}],
	['GET', '?after=7', {}],
	['HEAD', '?after=1', {}],
	['GET', '?after=1', { fields: EVENTS }],
	['GET', '?after=1', { fields: LINES }],
	['GET', '?wait=x', {}],
	['GET', '', { fields: { 'Pollux-Ack': '1' } }],
	['POST', '', { body: 'evil', fields: TEXT }],
	['POST', '', { body: 'evil', fields: { ...TEXT, 'Pollux-Seq': '1' } }],
	['POST', '', { body: 'evil', fields: { ...TEXT, 'Pollux-Ack': '1' } }],
	['POST', '', { body: '{}', fields: { 'Content-Type': 'image/png' } }],
	['POST', '?close', {}],
	['DELETE', '', {}],
	['PUT', '', {}],
];

for (const way of WAYS) {
	test(`plain, ${way.name}: to strangers there is no session`, async (t) => {
		const { bridge, backend, session, socket, pollux } = await plainSession(t, way);

		const poll = async (who, query) => {
			const answer = await ask(bridge, who, 'GET', session.url + query);
			assert.equal(answer.status, 200, answer.text + answer.body);
			return answer.json.messages;
		};

		socket.send('one');
		assert.deepEqual(await poll(way.owner, '?after=0&wait=5'), [{ seq: 1, text: 'one' }]);
		const held = await start(bridge, way.owner, 'GET', `${session.url}?after=1&wait=20`);
		await ask(bridge, way.owner, 'POST', session.url, { body: 'held', fields: TEXT });
		assert.equal(await socket.received.next(), 'held');
		for (const [what, stranger] of Object.entries(way.strangers)) {
			for (const [method, query, options] of PLAIN_REQUESTS) {
				const answer = await ask(bridge, stranger, method, session.url + query, options);
				const unknown = await ask(bridge, stranger, method, `/chat/~${UNKNOWN}${query}`, options);
				isAsUnknown(answer, unknown, `${what}: ${method} ${query}`);
			}
			const refused = await shakeHands(bridge, stranger, `${session.url}?after=1`, SOCKET);
			const unknown = await shakeHands(bridge, stranger, `/chat/~${UNKNOWN}?after=1`, SOCKET);
			assert.equal(refused.status, 404);
			isAsUnknown(refused, unknown, `${what}: WebSocket`);
			await pollux.accessed({ reason: FOREIGN, method: 'DELETE', status: 404 });
			await pollux.accessed({ reason: FOREIGN, method: 'PUT', status: 405 });
		}
		// Nothing has superseded the poll, and nothing was sent.
		socket.send('two');
		assert.match((await held.readResponse()).body.toString(), /"messages":\[\{"seq":2,"text":"two"\}\]/);
		// Nor can a stranger acknowledge.
		for (const stranger of Object.values(way.strangers)) {
			await ask(bridge, stranger, 'GET', `${session.url}?after=2&wait=0`);
			await ask(bridge, stranger, 'DELETE', session.url, { fields: { 'Pollux-Ack': '2' } });
		}
		for (const [n, who] of [way.owner, ...way.same].entries()) {
			const posted = await ask(bridge, who, 'POST', session.url,
				{ body: `up ${n}`, fields: { ...TEXT, 'Pollux-Seq': String(n + 1) } });
			assert.equal(posted.status, 204, posted.text + posted.body);
			assert.equal(await socket.received.next(), `up ${n}`);
			assert.deepEqual(await poll(who, '?after=1&wait=0'), [{ seq: 2, text: 'two' }]);
		}
		assert.equal((await ask(bridge, way.owner, 'DELETE', session.url)).status, 204);
		assert.equal((await backend.closeOf(socket)).code, 1000);
	});

	test(`plain, ${way.name}: a stranger's Last-Event-ID opens a session of his own`, async (t) => {
		const { bridge, backend, session, socket } = await plainSession(t, way);

		socket.send('one');
		await flushed(socket);
		for (const stranger of Object.values(way.strangers)) {
			const wire = await start(bridge, stranger, 'GET', '/chat',
				{ ...EVENTS, 'Last-Event-ID': `${session.id}.0` });
			const text = (await wire.readUntil('event: session')).toString();
			assert.match(text, /data: \{"reason":"unknown session"\}/);
			assert.ok(!text.includes(session.id));
			assert.notEqual(await backend.accept(), socket);
			wire.close();
		}
		const wire = await start(bridge, way.owner, 'GET', '/chat',
			{ ...EVENTS, 'Last-Event-ID': `${session.id}.0` });
		await wire.readUntil(`id: ${session.id}.1\ndata: one\n\n`);
		wire.close();
	});

	test(`plain, ${way.name}: a stranger's repeat of an opening is an opening`, async (t) => {
		const { bridge } = await bridgeStage(t, way.options);
		const open = async (who) => {
			const answer = await ask(bridge, who, 'POST', '/chat', { fields: { 'Idempotency-Key': 'the-key' } });
			assert.equal(answer.status, 201);
			return answer.json.session;
		};
		const id = await open(way.owner);

		for (const stranger of Object.values(way.strangers))
			assert.notEqual(await open(stranger), id);
		assert.equal(await open(way.owner), id);
	});
}

test('plain: a WebSocket is taken over by its owner only', async (t) => {
	const [way] = WAYS;
	const { bridge, session, socket } = await plainSession(t, way);
	const { wire, status } = await shakeHands(bridge, way.owner, session.url, SOCKET);

	assert.equal(status, 101);
	assert.match((await readFrame(wire)).payload.toString(), /^\{"session":/);
	for (const stranger of Object.values(way.strangers))
		assert.equal((await shakeHands(bridge, stranger, session.url, SOCKET)).status, 404);
	socket.send('down');
	assert.equal((await readFrame(wire)).payload.toString(), '{"seq":1,"text":"down"}');
	const again = await shakeHands(bridge, way.owner, session.url, SOCKET);
	assert.equal(again.status, 101);
});

test('plain: a stranger does not keep a session alive', async (t) => {
	const [way] = WAYS;
	const { bridge, session, socket } = await plainSession(t,
		{ ...way, options: { route: { ...way.options.route, linger: '400ms' } } });
	const closed = event(socket, 'close');
	let isOver = false;
	const over = () => (isOver = true);

	closed.then(over, over);
	while (!isOver) {
		await ask(bridge, way.strangers['another value'], 'GET', `${session.url}?wait=0`);
		await ask(bridge, way.strangers['no cookies'], 'PUT', session.url);
	}
	assert.equal((await closed)[0], 1001);
});

test('plain: a closed session tells its end to nobody else', async (t) => {
	const [way] = WAYS;
	const { bridge, session, socket } = await plainSession(t, way);

	socket.close(4001, 'secret');
	await event(socket, 'close');
	const last = await ask(bridge, way.owner, 'GET', `${session.url}?after=0&wait=5`);
	assert.equal(last.json.closed.code, 4001);
	const told = await ask(bridge, way.owner, 'GET', `${session.url}?after=1&wait=0`);
	assert.equal(told.status, 410);
	for (const stranger of Object.values(way.strangers))
		assert.equal((await ask(bridge, stranger, 'GET', `${session.url}?after=1&wait=0`)).status, 404);
});

test('plain: where neither is set, the id is enough', async (t) => {
	const { bridge, session } = await plainSession(t, { options: {}, owner: WAYS[0].owner });

	for (const stranger of [...Object.values(WAYS[0].strangers), { from: '127.0.0.2' }])
		assert.equal((await ask(bridge, stranger, 'GET', `${session.url}?wait=0`)).status, 200);
});

for (const way of WAYS) {
	test(`plain, ${way.name}: with four workers, whoever has the connection`, async (t) => {
		const { bridge, session, pollux } = await plainSession(t, { ...way, options: withWorkers(way.options) });

		for (let n = 0; n < 12; n++) {
			const mine = await ask(bridge, way.owner, 'GET', `${session.url}?wait=0`);
			assert.equal(mine.status, 200, mine.text + mine.body);
			for (const stranger of Object.values(way.strangers))
				assert.equal((await ask(bridge, stranger, 'GET', `${session.url}?wait=0`)).status, 404);
		}
		await pollux.accessed({ reason: FOREIGN });
	});
}

test('plain over HTTP/2: cookies in one field or in crumbs are the same', async (t) => {
	const { bridge, session, pollux, socket } = await plainSession(t, WAYS[0]);
	const client = await H2Client.connect(t, pollux.where());
	const status = async (cookie, method = 'GET') => {
		const headers = cookie === undefined ? {} : { cookie };
		return (await client.ask(method, `${session.url}?wait=0`, { headers })).status;
	};

	for (const cookies of ['sid=mine', 'a=1; sid=mine', ['a=1', 'sid=mine', 'b=2'], ['b=2; a=1', 'sid=mine']])
		assert.equal(await status(cookies), 200, String(cookies));
	for (const cookies of [undefined, 'sid=other', ['a=1', 'sid=other'], ['sid=mine', 'sid=other'], ['sid=mine', 'sid=mine']]) {
		assert.equal(await status(cookies), 404, String(cookies));
		assert.equal(await status(cookies, 'DELETE'), 404, String(cookies));
	}
	socket.send('one');
	const { json } = await ask(bridge, WAYS[0].owner, 'GET', `${session.url}?after=0&wait=5`);
	assert.deepEqual(json.messages, [{ seq: 1, text: 'one' }]);
});

// SockJS.

// The frames of a poll, or of a stream that ends, as somebody.
function receive(sock, who, session, transport) {
	const { method, query } = RECEIVERS[transport];
	return ask(sock.bridge, who, method, `${session.url}/${transport}${query}`);
}

async function openSock(stage, who, session = stage.sock.session()) {
	const { body } = await receive(stage.sock, who, session, 'xhr');
	assert.equal(body.toString(), 'o\n');
	return { session, socket: await stage.backend.accept() };
}

// A name that was somebody's and is free in a minute.
async function forgotten(stage, who) {
	const { session, socket } = await openSock(stage, who);
	const closed = event(socket, 'close');
	const wire = await start(stage.sock.bridge, who, 'POST', `${session.url}/xhr`);
	const sent = await ask(stage.sock.bridge, who, 'POST', `${session.url}/xhr_send`, { body: '["x"]' });
	assert.equal(sent.status, 204);
	wire.reset();
	await closed;
	return session;
}

async function testSock(t, way) {
	const stage = await sockStage(t, way.options);
	const { sock, pollux } = stage;
	const { session, socket } = await openSock(stage, way.owner);
	const held = await start(sock.bridge, way.owner, 'POST', `${session.url}/xhr`);
	const past = await forgotten(stage, way.owner);
	const send = (who, to, transport, body) =>
		ask(sock.bridge, who, 'POST', `${to.url}/${transport}`, { body, fields: TEXT });

	for (const [what, stranger] of Object.entries(way.strangers)) {
		for (const transport of Object.keys(RECEIVERS)) {
			const answer = await receive(sock, stranger, session, transport);
			assert.match(answer.body.toString(), /1002,\\*"Connection interrupted/);
			isAsUnknown(answer, await receive(sock, stranger, past, transport), `${what}: ${transport}`);
		}
		for (const transport of ['xhr_send', 'jsonp_send'])
			for (const body of ['["evil"]', 'evil', '[]', '']) {
				const answer = await send(stranger, session, transport, body);
				isAsUnknown(answer, await send(stranger, sock.session(), transport, body), `${what}: ${transport}`);
			}
	}
	assert.equal((await pollux.accessed({ target: /xhr_send/, reason: FOREIGN })).status, 404);
	await pollux.accessed({ target: /eventsource/, reason: FOREIGN, status: 200 });

	// The poll was neither superseded nor cut, and nothing was sent.
	socket.send('down');
	assert.equal((await held.readResponse()).body.toString(), 'a["down"]\n');
	for (const [n, who] of [way.owner, ...way.same].entries()) {
		assert.equal((await send(who, session, 'xhr_send', `["up ${n}"]`)).status, 204);
		assert.equal(await socket.received.next(), `up ${n}`);
		socket.send(`down ${n}`);
		assert.equal((await receive(sock, who, session, 'xhr')).body.toString(), `a["down ${n}"]\n`);
	}
}

for (const way of WAYS)
	test(`sockjs, ${way.name}: to strangers the name was somebody's, once`, (t) => testSock(t, way));

for (const way of [WAYS[0], WAYS[3]])
	test(`sockjs, ${way.name}: the same with four workers`, (t) =>
		testSock(t, { ...way, options: withWorkers(way.options) }));

test('sockjs: a name is taken from the first moment', async (t) => {
	const [way] = WAYS;
	let accept;
	const asked = new Promise((done) => {
		accept = done;
	});
	const stage = await sockStage(t, {
		...way.options,
		ws: { verifyClient: (_, done) => accept(done) },
	});
	const session = stage.sock.session();
	const opening = await start(stage.sock.bridge, way.owner, 'POST', `${session.url}/xhr`);
	const done = await asked;

	const answer = await receive(stage.sock, way.strangers['another value'], session, 'xhr');
	assert.equal(answer.body.toString(), 'c[1002,"Connection interrupted"]\n');
	done(true);
	assert.equal((await opening.readResponse()).body.toString(), 'o\n');
});

test('sockjs: a WebSocket of the same name is a session of its own, whosever it is', async (t) => {
	const [way] = WAYS;
	const stage = await sockStage(t, way.options);
	const { session, socket } = await openSock(stage, way.owner);

	const other = await shakeHands(stage.sock.bridge, way.strangers['another value'], `${session.url}/websocket`);
	assert.equal(other.status, 101);
	assert.equal((await readFrame(other.wire)).payload.toString(), 'o');
	const its = await stage.backend.accept();
	other.wire.send(frame({ payload: '["from the other"]', mask: true }));
	assert.equal(await its.received.next(), 'from the other');
	assert.deepEqual(socket.received.all, []);
	other.wire.send(closeFrame(1000, '', { mask: true }));
	socket.send('down');
	assert.equal((await receive(stage.sock, way.owner, session, 'xhr')).body.toString(), 'a["down"]\n');
});

// Engine.IO.

async function testEngine(t, way) {
	const { engine, backend, pollux } = await engineStage(t, way.options);
	const opened = await ask(engine, way.owner, 'GET', `${PATH}?EIO=4&transport=polling`);
	isPayload(opened);
	const { sid } = JSON.parse(opened.body.toString().slice(1));
	const socket = await backend.accept();
	const url = (of, transport = 'polling') => `${PATH}?EIO=4&transport=${transport}&sid=${of}`;
	const held = await start(engine, way.owner, 'GET', url(sid));
	// A post of the same client, once answered, is behind the poll.
	isOk(await ask(engine, way.owner, 'POST', url(sid), { body: '4held' }));
	assert.equal(await socket.received.next(), '4held');

	const strangersFindNothing = async () => {
		for (const [what, stranger] of Object.entries(way.strangers)) {
			for (const [method, options] of [['GET', {}], ['POST', { body: '4evil' }], ['POST', { body: '1' }]]) {
				const answer = await ask(engine, stranger, method, url(sid), options);
				isError(answer, 400, 1, 'Session ID unknown');
				isAsUnknown(answer, await ask(engine, stranger, method, url(UNKNOWN), options), what);
			}
			const refused = await shakeHands(engine, stranger, url(sid, 'websocket'));
			const unknown = await shakeHands(engine, stranger, url(UNKNOWN, 'websocket'));
			assert.equal(refused.status, 400);
			isAsUnknown(refused, unknown, what);
			await refused.wire.expectEnd();
			await unknown.wire.expectEnd();
		}
	};
	await strangersFindNothing();
	await pollux.accessed({ method: 'POST', reason: FOREIGN, status: 400 });

	socket.send('4down');
	isPayload(await held.readResponse(), '4down');
	for (const [n, who] of [way.owner, ...way.same].entries()) {
		isOk(await ask(engine, who, 'POST', url(sid), { body: `4up ${n}${SEPARATOR}4too` }));
		assert.deepEqual([await socket.received.next(), await socket.received.next()], [`4up ${n}`, '4too']);
	}

	// On its WebSocket as well, and then HTTP with the id is refused to its client in other words.
	const { wire, status } = await shakeHands(engine, way.owner, url(sid, 'websocket'));
	assert.equal(status, 101);
	wire.send(frame({ payload: '2probe', mask: true }));
	assert.equal((await readFrame(wire)).payload.toString(), '3probe');
	await strangersFindNothing();
	wire.send(frame({ payload: '5', mask: true }));
	wire.send(frame({ payload: '4on', mask: true }));
	assert.equal(await socket.received.next(), '4on');
	await strangersFindNothing();
	isError(await ask(engine, way.owner, 'GET', url(sid)), 400, 3, 'Bad request');
	socket.send('4down');
	assert.equal((await readFrame(wire)).payload.toString(), '4down');
}

for (const way of WAYS)
	test(`engine.io, ${way.name}: to strangers the id is unknown`, (t) => testEngine(t, way));

for (const way of [WAYS[0], WAYS[3]])
	test(`engine.io, ${way.name}: the same with four workers`, (t) =>
		testEngine(t, { ...way, options: withWorkers(way.options) }));
