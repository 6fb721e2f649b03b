// Several workers: requests of a session find the one that has it, and one that dies is replaced.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Authority } from './lib/certificates.mjs';
import { bridgeStage, openedSession } from './lib/bridge.mjs';
import { engineStage } from './lib/engineio.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { PATIENCE_MS, event, eventually, pass } from './lib/wait.mjs';

const WORKERS = 4;
const MANY = { program: { workers: WORKERS } };

function slotOf(session) {
	return Number(/^w(\d+)\./.exec(session.id)[1]);
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

// Sessions until there is one at each of two workers.
async function sessionsOfTwo(bridge) {
	const first = await bridge.open();
	for (;;) {
		const other = await bridge.open();
		if (slotOf(other) !== slotOf(first))
			return [first, other];
		await other.delete();
	}
}

test('as many processes as are asked for, and one answers after the other', async (t) => {
	const { backend, pollux } = await stage(t, MANY);

	backend.serve();
	assert.equal(pollux.workerPids().length, WORKERS);
	for (let n = 0; n < 20; n++) {
		const client = await connect(t, pollux);
		client.send(get(`/${n}`));
		assert.equal((await client.readResponse()).status, 200);
		client.close();
	}
	for (let n = 0; n < 20; n++)
		assert.equal((await pollux.accessed({ target: `/${n}` })).status, 200);
});

test('a session is found from every connection, and its requests stand in the log once', async (t) => {
	const { pollux, session, socket } = await openedSession(t, MANY);

	for (let n = 1; n <= 30; n++) {
		assert.equal((await session.post(`up ${n}`, { 'Content-Type': 'text/plain', 'Pollux-Seq': String(n) })).status, 204);
		assert.equal(await socket.received.next(), `up ${n}`);
		socket.send(`down ${n}`);
		const { json } = await session.poll({ after: n - 1, wait: 5 });
		assert.deepEqual(json.messages, [{ seq: n, text: `down ${n}` }]);
	}
	assert.equal((await session.delete()).status, 204);
	await pollux.accessed({ method: 'DELETE' });
	const lines = pollux.accessLog.text().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
	assert.equal(lines.filter(({ method }) => method === 'POST').length, 31);
	assert.equal(lines.filter(({ method }) => method === 'GET').length, 30);
	assert.ok(lines.every(({ client }) => client === '127.0.0.1'));
});

test('a poll that its client gives up stands in the log once', async (t) => {
	const { pollux, session } = await openedSession(t, MANY);
	const N = 12;

	for (let n = 0; n < N; n++) {
		const wire = await session.startPoll({ wait: 20 });
		wire.reset();
		await pollux.accessed({ method: 'GET' });
	}
	assert.equal((await session.delete()).status, 204);
	await pollux.accessed({ method: 'DELETE' });
	const lines = pollux.accessLog.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
	assert.equal(lines.filter(({ method }) => method === 'GET').length, N, pollux.accessLog.text());
});

test('a repeated opening meets the first one, whichever worker gets it', async (t) => {
	const { bridge } = await bridgeStage(t, MANY);
	const ids = new Set();

	for (let n = 0; n < 20; n++)
		ids.add((await bridge.open({ fields: { 'Idempotency-Key': 'the-one' } })).id);
	assert.equal(ids.size, 1);
});

test('a worker that is killed is replaced; its sessions are lost with a word, the others live', async (t) => {
	const { bridge, pollux } = await bridgeStage(t, MANY);
	const [lost, kept] = await sessionsOfTwo(bridge);
	const pids = pollux.workerPids();

	process.kill(pids[slotOf(lost) - 1], 'SIGKILL');
	await pollux.logged(/worker \d+ \(\d+\) has ended with signal 9: another one takes its place/);
	await eventually(() => pollux.workerPids().length === WORKERS, 'another worker');
	for (let n = 0; n < 8; n++) {
		const answer = await lost.poll({ wait: 0 });
		assert.deepEqual([answer.status, answer.json.error], [404, 'unknown session']);
		assert.equal((await kept.poll({ wait: 0 })).status, 200);
	}
	assert.equal((await bridge.open()).response.status, 201);
});

test('the field between workers is nobody\'s to send', async (t) => {
	const { backend, pollux } = await stage(t, { ...MANY, route: { forwarded: 'x-forwarded' } });
	const client = await connect(t, pollux);

	backend.serve();
	client.send(get('/', 'Pollux-Hop: 0 11 TLSv1.3 192.0.2.7:1 a\r\n'));
	assert.equal((await client.readResponse()).status, 200);
	assert.doesNotMatch(backend.heard, /pollux-hop/i);
	assert.match(backend.heard, /X-Forwarded-For: 127\.0\.0\.1\r\n/);
	assert.equal((await pollux.accessed()).client, '127.0.0.1');
});

test('clients that leave by the thousand end nobody else\'s streams between workers', async (t) => {
	const { bridge, pollux } = await bridgeStage(t, { program: { workers: 2 } });
	const opened = async (n) => Promise.all(Array.from({ length: n }, () => bridge.open()));
	const [staying, leaving] = [await opened(12), await opened(20)];
	const streams = await Promise.all(staying.map((session) => session.stream()));

	// Each of them is half the time at the worker that does not have its session.
	for (let n = 0; n < 200; n++)
		for (const stream of await Promise.all(leaving.map((session) => session.stream())))
			stream.close();
	await Promise.all(staying.map((session) => session.delete()));
	for (const stream of streams)
		await stream.eventOf('close');
	assert.doesNotMatch(pollux.log.text(), /too many/);
});

test('the owner of a session sees the client of the other worker', async (t) => {
	const { session } = await openedSession(t, MANY);

	// A page of another origin is refused wherever its connection is.
	for (let n = 0; n < 12; n++) {
		const answer = await session.ask('GET', '?wait=0', { fields: { Origin: 'http://evil.example' } });
		assert.equal(answer.status, 403);
	}
});

test('a refused WebSocket of Engine.IO ends the connection, whichever worker refuses it', async (t) => {
	const { engine } = await engineStage(t, MANY);

	for (let slot = 1; slot <= WORKERS; slot++) {
		for (let n = 0; n < 4; n++) {
			const refused = await engine.upgradeRefused(
				`EIO=4&transport=websocket&sid=w${slot}.AAAAAAAAAAAAAAAAAAAAAA`);
			assert.equal(refused.status, 400);
			assert.equal(refused.get('Connection'), 'close');
			assert.doesNotMatch(refused.text, /pollux/i);
			await refused.wire.expectEnd();
		}
	}
});

test('a drain reaches all workers: WebSockets get 1001', async (t) => {
	const { bridge, pollux } = await bridgeStage(t, MANY);
	const sockets = [];

	for (let n = 0; n < 12; n++)
		sockets.push(await bridge.webSocket());
	const codes = sockets.map(async (socket) => (await event(socket, 'close'))[0]);
	pollux.signal('SIGTERM');
	assert.deepEqual(await Promise.all(codes), sockets.map(() => 1001));
	assert.equal((await pollux.left()).code, 0);
});

// As a terminal does with Ctrl-C, and a service manager that stops a service.
for (const signal of ['SIGINT', 'SIGTERM']) {
	test(`${signal} for each process at once is told once: nothing is cut`, async (t) => {
		const { backend, pollux, client } = await stage(t, MANY);

		client.send(get());
		const conn = await backend.accept();
		await conn.readRequest();
		for (const pid of [...pollux.workerPids(), pollux.pid, ...pollux.workerPids()])
			process.kill(pid, signal);
		await eventually(
			() => pollux.log.lines.filter((line) => /draining/.test(line)).length === WORKERS,
			'all draining',
		);
		// Longer than a signal takes to the last of them: they come in the order of sending.
		await assert.rejects(connect(t, pollux), { code: 'ECONNREFUSED' });
		conn.send(ok());
		assert.equal((await client.readResponse()).status, 200);
		client.end();
		assert.equal((await pollux.left()).code, 0);
	});
}

test('signals that come while a worker ends do not change how it ends', async (t) => {
	const { pollux } = await stage(t, MANY);
	const pids = pollux.workerPids();
	const left = pollux.left();

	pollux.signal('SIGTERM');
	while (pids.some(isAlive)) {
		for (const pid of pids.filter(isAlive)) {
			try {
				process.kill(pid, 'SIGTERM');
			} catch ({ code }) {
				assert.equal(code, 'ESRCH');
			}
		}
		await pass(0);
	}
	assert.equal((await left).code, 0);
});

test('a second signal to the master cuts', async (t) => {
	const { backend, pollux, client } = await stage(t, MANY);

	client.send(get());
	const conn = await backend.accept();
	await conn.readRequest();
	await pollux.drain();
	pollux.signal('SIGTERM');
	assert.equal((await pollux.left()).code, 0);
	await client.expectGone();
});

test('a ticket of one worker opens a session at each', async (t) => {
	const authority = new Authority(t);
	const { pem } = authority.issue(['localhost', '127.0.0.1']);
	const { backend, pollux } = await stage(t, { ...MANY, listen: { certificates: [pem] } });
	const tls = { ca: authority.certificate, servername: 'localhost', maxVersion: 'TLSv1.2' };

	backend.serve(ok());
	const first = await connect(t, pollux, { tls });
	first.send(get());
	await first.readResponse();
	const ticket = first.socket.getSession();
	for (let n = 0; n < 12; n++) {
		const again = await connect(t, pollux, { tls: { ...tls, session: ticket } });
		assert.ok(again.socket.isSessionReused(), `connection ${n}`);
		again.close();
	}
});

test('lines of several workers stay whole in a pipe', async (t) => {
	const { backend, pollux } = await stage(t, MANY);
	const long = 'x'.repeat(3000);

	backend.serve();
	await Promise.all(Array.from({ length: 16 }, async (_, c) => {
		const client = await connect(t, pollux);
		for (let n = 0; n < 40; n++) {
			client.send(get(`/${c}/${n}/${long}`));
			await client.readResponse();
		}
	}));
	for (let c = 0; c < 16; c++)
		await pollux.accessed({ target: `/${c}/39/${long}` });
	const lines = pollux.accessLog.text().split('\n').filter((line) => line !== '');
	assert.ok(lines.every((line) => JSON.parse(line).status === 200));
});

test('when all workers die at once, all are replaced', async (t) => {
	const { pollux } = await stage(t, MANY);

	const before = pollux.workerPids();
	for (const pid of before)
		process.kill(pid, 'SIGKILL');
	await eventually(() => {
		const now = pollux.workerPids();
		return now.length === WORKERS && now.every((pid) => !before.includes(pid));
	}, 'four others');
});

test('workers do not outlive a master that is killed', async (t) => {
	const { pollux } = await stage(t, MANY);
	const pids = pollux.workerPids();

	await pollux.kill();
	await eventually(() => pids.every((pid) => !isAlive(pid)), 'the workers gone');
});

test('nor does one that has just been started', async (t) => {
	// It may be quicker than we are.
	for (let n = 0; n < 10; n++) {
		const { pollux } = await stage(t, MANY);
		const before = pollux.workerPids();

		process.kill(before[0], 'SIGKILL');
		// Without a pause, to be there before the new one has done anything.
		for (const end = Date.now() + PATIENCE_MS; pollux.workerPids().every((pid) => before.includes(pid));)
			assert.ok(Date.now() < end, 'another worker');
		await pollux.kill();
	}
});
