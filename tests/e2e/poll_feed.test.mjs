// Routes that are polled: real clients of every kind, and an app with ETags that counts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';

import EventSource from 'eventsource';
import { fetch } from 'undici';
import { WebSocket } from 'ws';

import { BINARY, EVENTS, LINES } from './lib/bridge.mjs';
import { LineLog } from './lib/line_log.mjs';
import { INTERVAL_MS, PATH, PolledBackend, polledStage, Socket } from './lib/polled.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd } from './lib/scope.mjs';
import { Changing, event, eventually, pass } from './lib/wait.mjs';

class Events extends Changing {
	all = [];

	constructor(t, url) {
		super();
		this.source = new EventSource(url);
		atEnd(t, () => this.source.close());
		this.source.onmessage = ({ data }) => {
			this.all.push(JSON.parse(data));
			this.changed();
		};
	}

	count(n) {
		return this.until(() => this.all.length >= n, `${n} values over an event stream`);
	}
}

// curl, on a stream of JSON lines.
class Curl extends LineLog {
	constructor(t, url) {
		super();
		const child = spawn('curl', ['-sN', '-H', `Accept: ${LINES.Accept}`, url]);
		atEnd(t, () => child.kill());
		this.read(child.stdout);
	}

	get all() {
		return this.lines.filter((line) => line !== '')
			.map((line) => JSON.parse(line).text)
			.filter((text) => text !== undefined)
			.map((text) => JSON.parse(text));
	}

	count(n) {
		return this.until(() => this.all.length >= n, `${n} values over JSON lines`);
	}
}

// fetch, one poll after the other.
class Poller extends Changing {
	all = [];
	#isOver = false;

	constructor(t, url) {
		super();
		atEnd(t, () => this.#stop());
		this.running = this.#run(url);
		this.running.catch((error) => this.abandon(error));
	}

	async #stop() {
		this.#isOver = true;
		await this.running.catch(() => {});
	}

	async #run(url) {
		let next = `${url}?wait=1`;
		while (!this.#isOver) {
			const response = await fetch(next);
			assert.equal(response.status, 200);
			const answer = await response.json();
			this.all.push(...answer.messages.map(({ text }) => JSON.parse(text)));
			this.changed();
			next = new URL(`${answer.next}&wait=1`, url);
		}
	}

	count(n) {
		return this.until(() => this.all.length >= n, `${n} values over long-poll`);
	}
}

for (const workers of [1, 3]) {
	test(`each kind of client gets the value and each change, ${workers} workers`, async (t) => {
		const { backend, pollux } = await polledStage(t, { program: { workers } });
		const url = pollux.url('/prices');
		const clients = [
			new Events(t, url), new Events(t, url), new Curl(t, url), new Curl(t, url),
			new Poller(t, url), new Poller(t, url),
			await Socket.open(t, pollux.url('/prices', { scheme: 'ws' })),
			await Socket.open(t, pollux.url('/prices', { scheme: 'ws' })),
		];
		await Promise.all(clients.map((client) => client.count(1)));
		for (let n = 1; n <= 3; n++) {
			backend.value = { n };
			await Promise.all(clients.map((client) => client.count(n + 1)));
		}
		await backend.more(3);
		for (const client of clients)
			assert.deepEqual(client.all, [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);

		const { polls } = backend;
		assert.equal(polls[0].headers['if-none-match'], undefined);
		// The last may be under way.
		const statuses = polls.map(({ status }) => status).filter((status) => status !== undefined);
		assert.equal(statuses.filter((status) => status === 200).length, 4);
		assert.deepEqual(new Set(statuses), new Set([200, 304]));
		// One request per interval, all in all: a single one may be seen late here.
		const intervals = (polls.at(-1).at - polls[0].at) / INTERVAL_MS;
		assert.ok(polls.length - 1 <= intervals + 1, `${polls.length} requests in ${intervals} intervals`);
		await Promise.all(clients.filter((client) => client instanceof Poller)
			.map((client) => client.count(4)));
	});
}

test('the request speaks for nobody', async (t) => {
	const { backend, pollux } = await polledStage(t);
	await Socket.open(t, pollux.url('/prices/mine?user=1', { scheme: 'ws' }), {
		headers: { cookie: 'session=1', authorization: 'Basic eDp5', 'x-user': '1',
			'accept-language': 'de', 'user-agent': 'x', origin: pollux.url('') },
	});
	const [{ headers, url }] = backend.polls;
	assert.equal(url, PATH);
	assert.deepEqual(headers, {
		host: backend.address,
		accept: '*/*',
		'accept-encoding': 'identity',
		'user-agent': 'pollux',
		via: '1.1 pollux',
	});
});

test('it stops when the last has gone, and goes on when one comes', async (t) => {
	const { backend, pollux } = await polledStage(t);
	await pass(500);
	assert.equal(backend.nPolls, 0);
	const url = pollux.url('/prices', { scheme: 'ws' });
	const [one, two] = [await Socket.open(t, url), await Socket.open(t, url)];
	await Promise.all([one.count(1), two.count(1)]);
	one.socket.close();
	await one.end();
	await backend.more(2);
	two.socket.close();
	await two.end();
	const last = backend.nPolls;
	await pass(800);
	assert.ok(backend.nPolls <= last + 1, `${backend.nPolls - last} polls for nobody`);
	backend.value = { n: 7 };
	const three = await Socket.open(t, url);
	await three.count(1);
	assert.deepEqual(three.all, [{ n: 7 }]);
});

test('a backend that fails and comes back; everybody stays', async (t) => {
	const { backend, pollux } = await polledStage(t, { poll: { max_interval: '400ms' } });
	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	const events = new Events(t, pollux.url('/prices'));
	await Promise.all([socket.count(1), events.count(1)]);

	backend.trouble = (response) => response.status(500).send('oh');
	await backend.more(4);
	backend.trouble = (response) => response.socket.destroy();
	const n = backend.nPolls;
	await backend.until(() => backend.nPolls >= n + 3, 'polls that are cut');
	backend.trouble = (response) => response.status(404).send('none');
	await backend.more(3);
	// Who comes now gets what the others have.
	const late = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	await late.count(1);
	backend.value = { n: 1 };
	backend.trouble = undefined;
	await Promise.all([socket.count(2), events.count(2), late.count(2)]);
	for (const client of [socket, events, late])
		assert.deepEqual(client.all, [{ n: 0 }, { n: 1 }]);

	// Each change of state is told once.
	await pollux.logged(/route "\/prices": poll: [0-9.:]+: it goes on/);
	const told = pollux.log.lines.filter((line) => line.includes('route "/prices": poll:'))
		.map((line) => line.replace(/.*poll: [0-9.:]+: /, ''));
	assert.deepEqual(told, ['status 500', 'backend-gone', 'status 404', 'it goes on']);
});

test('a backend that is restarted', async (t) => {
	const backend = await PolledBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], connect_timeout: '1s' },
		route: [{ path: '/prices', poll: { path: PATH, interval: '100ms', max_interval: '300ms' } }],
	});
	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	await socket.count(1);
	const { server, sockets } = backend.express;
	server.close();
	for (const one of sockets)
		one.destroy();
	await pollux.logged(/route "\/prices": poll: .*: connect/);
	backend.value = { n: 2 };
	server.listen(backend.express.port, '127.0.0.1');
	await socket.count(2);
	assert.deepEqual(socket.all, [{ n: 0 }, { n: 2 }]);
});

test('without a value the backend\'s answer is the refusal', async (t) => {
	const { backend, bridge, pollux } = await polledStage(t, { poll: { interval: '1h' } });
	backend.trouble = (response) => response.set({ 'Retry-After': '7', 'Set-Cookie': 'a=b',
		'X-Other': '1' }).status(503).type('text/plain').send('later');
	for (const [target, fields] of [['', EVENTS], ['', LINES], ['?wait=1', {}]]) {
		const response = await bridge.ask('GET', `/prices${target}`, { fields });
		assert.equal(response.status, 503);
		assert.equal(response.body.toString(), 'later');
		assert.match(response.get('Retry-After'), /^[67]$/);
		assert.equal(response.get('Set-Cookie'), undefined);
		assert.equal(response.get('X-Other'), undefined);
	}
	const socket = new WebSocket(pollux.url('/prices', { scheme: 'ws' }));
	socket.on('error', () => {});
	const [, response] = await event(socket, 'unexpected-response');
	assert.equal(response.statusCode, 503);
	socket.terminate();
	assert.equal(backend.nPolls, 1);
});

test('what clients send is refused', async (t) => {
	const { backend, bridge, pollux } = await polledStage(t);
	const first = await bridge.ask('POST', '/prices', { body: 'hello', fields: BINARY });
	assert.deepEqual(first.json, { error: 'read only' });
	assert.equal(first.status, 409);
	assert.equal(backend.nPolls, 0);
	const session = await bridge.open();
	const post = await session.post('hello');
	assert.equal(post.status, 405);
	assert.equal(post.get('Allow'), 'GET, DELETE, OPTIONS');
	assert.deepEqual(post.json, { error: 'read only' });
	const { json: { messages: [message] } } = await session.poll({ after: 0 });
	assert.deepEqual(message, { seq: 1, text: '{"n":0}' });
	assert.equal((await session.delete()).status, 204);

	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	await socket.count(1);
	socket.socket.send('hello');
	assert.deepEqual(await socket.end(), { code: 1003, reason: 'this feed takes no messages' });
});

test('a session that nobody reads is closed when its queue is full', async (t) => {
	const { backend, bridge } = await polledStage(t, {
		poll: { interval: '100ms' },
		route: { queue: '2k', max_message_size: '2k' },
	});
	backend.value = 'x'.repeat(1500);
	const session = await bridge.open();
	await backend.more();
	backend.value = 'y'.repeat(1500);
	await backend.more(2);
	backend.value = 'z'.repeat(1500);
	await backend.more();
	// Nothing is acknowledged by asking from the beginning.
	const json = await eventually(async () => {
		const answer = await session.poll({ after: 0 });
		return answer.json.closed !== undefined && answer.json;
	}, 'the close');
	assert.deepEqual(json.messages.map(({ text }) => JSON.parse(text)[0]), ['x', 'y']);
	assert.deepEqual(json.closed, { code: 1013, reason: 'too slow', undelivered: 0 });
	const again = await session.poll({ after: 3 });
	assert.equal(again.status, 410);
});

test('text and bytes', async (t) => {
	const { backend, pollux } = await polledStage(t, { poll: { interval: '100ms' } });
	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	await socket.count(1);
	const answers = [
		['image/png', Buffer.from([0, 1, 255])],
		['application/problem+json; charset=utf-8', Buffer.from('"grün"')],
		['text/plain', Buffer.from([0x67, 0x72, 0xfc])],
	];
	for (const [n, [type, body]] of answers.entries()) {
		backend.trouble = (response) => response.writeHead(200, { 'content-type': type }).end(body);
		await socket.count(n + 2);
	}
	assert.deepEqual(socket.all, [{ n: 0 }, answers[0][1], 'grün', answers[2][1]]);
});

test('an answer above the limit is none', async (t) => {
	const { backend, bridge, pollux } = await polledStage(t, {
		poll: { interval: '100ms' },
		route: { max_message_size: '1k' },
	});
	backend.value = 'x'.repeat(1022); // and two quotes
	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	await socket.count(1);
	backend.value = 'y'.repeat(1023);
	await pollux.logged(/poll: .*: the answer is above max_message_size/);
	backend.value = 'z';
	await socket.count(2);
	assert.deepEqual(socket.all.map((text) => text[0]), ['x', 'z']);
	const refused = await bridge.ask('GET', '/prices/~nobody', { fields: EVENTS });
	assert.deepEqual(refused.json, { error: 'unknown session' });
});

test('a client that was cut gets what it missed', async (t) => {
	const { backend, bridge } = await polledStage(t, { poll: { interval: '100ms' } });
	const { session, stream } = await bridge.openStream(LINES, '/prices');
	assert.deepEqual(await stream.object(), { seq: 1, text: '{"n":0}' });
	stream.close();
	for (let n = 1; n <= 3; n++) {
		backend.value = { n };
		await backend.more(2);
	}
	const resumed = await session.stream('?after=1', LINES);
	assert.deepEqual(await resumed.object(), { session: session.id, cursor: 1 });
	for (let n = 1; n <= 3; n++)
		assert.deepEqual(await resumed.object(), { seq: n + 1, text: `{"n":${n}}` });
});

test('leaving, while a poll is without an answer', async (t) => {
	const { backend, bridge, pollux } = await polledStage(t);
	const socket = await Socket.open(t, pollux.url('/prices', { scheme: 'ws' }));
	const { stream } = await bridge.openStream(LINES, '/prices');
	await socket.count(1);
	await stream.object();
	const n = backend.nPolls;
	backend.trouble = () => {};
	await backend.until(() => backend.nPolls > n, 'a poll that hangs');
	pollux.signal('SIGTERM');
	assert.deepEqual(await socket.end(), { code: 1001, reason: 'going away' });
	await stream.expectEnd();
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
});

test('an answer that does not come in time', async (t) => {
	const { backend, bridge, pollux } = await polledStage(t, { poll: { timeout: '300ms' } });
	backend.trouble = () => {};
	const refused = await bridge.ask('GET', '/prices', { fields: EVENTS });
	assert.equal(refused.status, 504);
	backend.trouble = (response) => response.writeHead(200, { 'content-length': 9 }).write('half');
	await pollux.logged(/poll: .*: response-timeout/);
	await pass(200);
	const cut = await bridge.ask('GET', '/prices', { fields: EVENTS });
	assert.equal(cut.status, 502);
	await pollux.logged(/poll: .*: read-timeout/);
});

test('pollux.v1 over a WebSocket', async (t) => {
	const { backend, pollux } = await polledStage(t);
	const url = pollux.url('/prices', { scheme: 'ws' });
	const socket = new WebSocket(url, 'pollux.v1');
	atEnd(t, () => socket.terminate());
	const lines = new Changing();
	lines.all = [];
	socket.on('message', (data) => {
		lines.all.push(JSON.parse(data));
		lines.changed();
	});
	await lines.until(() => lines.all.length >= 2, 'the first value');
	backend.value = { n: 1 };
	await lines.until(() => lines.all.length >= 3, 'the second value');
	assert.deepEqual(lines.all, [
		{ session: lines.all[0].session, cursor: 0 },
		{ seq: 1, text: '{"n":0}' },
		{ seq: 2, text: '{"n":1}' },
	]);
});

test('ordinary requests of the route are forwarded', async (t) => {
	const { backend, bridge } = await polledStage(t);
	const response = await bridge.ask('GET', '/prices/plain');
	assert.equal(response.status, 404);
	assert.equal(backend.express.requests[0].url, '/prices/plain');
	assert.equal(backend.nPolls, 0);
	const method = await bridge.ask('PATCH', '/prices/~a');
	assert.deepEqual(method.json, { error: 'method' });
});
