// Socket.IO as people have it: socket.io-client in front of three servers that take WebSockets alone,
// in round robin and without sticky sessions; polling, with the upgrade, and by WebSocket.
import assert from 'node:assert/strict';
import test from 'node:test';

import { MODES, ask, connected, heard, settled, socketIoStage, upgraded } from './lib/socketio.mjs';
import { eventually, pass } from './lib/wait.mjs';

async function isEmpty(cluster) {
	await eventually(() => cluster.nClients === 0, 'no client at the servers');
}

for (const mode of Object.keys(MODES)) {
	const test_ = (what, run) => test(`${mode}: ${what}`, run);
	const start = async (t, options = {}) => {
		const stage = await socketIoStage(t, options);
		return {
			...stage,
			connect: (more = {}, path = '') => stage.connect({ ...MODES[mode], ...more }, path),
		};
	};

	test_('events, acknowledgements and bytes, both ways', async (t) => {
		const { connect, pollux, servers } = await start(t);
		const socket = await settled(connect(), mode);

		const home = await ask(socket, 'who');
		for (let i = 0; i < 20; i++)
			assert.equal(await ask(socket, 'who'), home);
		const value = { text: 'äöü€😀\u0000\u001e\n"', list: [1, null, [true]], bytes: Buffer.from([0, 1, 255]) };
		assert.deepEqual(await ask(socket, 'echo', value), value);
		const said = heard(socket, 'said');
		socket.emit('say', 1, Buffer.alloc(0), { deep: [Buffer.from('abc'), Buffer.from([30])] });
		assert.deepEqual(await said, [1, Buffer.alloc(0), { deep: [Buffer.from('abc'), Buffer.from([30])] }]);
		// All of it on one connection to one server, and no request went anywhere else.
		assert.equal(servers.reduce((sum, server) => sum + server.sockets.length, 0), 1);
		assert.deepEqual(servers.flatMap(({ requests }) => requests), []);
		assert.equal(socket.io.engine.transport.name, mode === 'polling' ? 'polling' : 'websocket');
		socket.disconnect();
		if (mode !== 'websocket')
			await pollux.accessed({ method: 'GET', status: 200 });
	});

	test_('many messages keep their order, both ways', async (t) => {
		const { connect, servers } = await start(t);
		const socket = connect();
		const N = 2000;
		const down = [];
		const up = [];

		servers.forEach((server) => server.io.on('connection', (other) => {
			other.on('number', (n) => up.push(n));
			for (let i = 0; i < N; i++)
				other.emit('number', i, i % 50 === 0 ? Buffer.alloc(i) : 'x'.repeat(i % 300));
		}));
		socket.on('number', (n) => down.push(n));
		await connected(socket);
		for (let i = 0; i < N; i++) {
			socket.emit('number', i);
			if (i % 100 === 0)
				await ask(socket, 'who');
		}
		await ask(socket, 'who');
		await eventually(() => down.length >= N, 'all that the server said');
		const all = Array.from({ length: N }, (_, i) => i);
		assert.deepEqual(up, all);
		assert.deepEqual(down, all);
	});

	test_('large payloads, and one above the limit', async (t) => {
		const { connect, cluster } = await start(t);
		const socket = await settled(connect(), mode);
		const text = 'ä'.repeat(400_000);
		const bytes = Buffer.alloc(600_000, 7);

		assert.equal(await ask(socket, 'echo', text), text);
		assert.deepEqual(await ask(socket, 'echo', bytes), bytes);
		const gone = heard(socket, 'disconnect');
		socket.emit('echo', 'x'.repeat(1_100_000));
		assert.match((await gone)[0], /^transport (error|close)$/);
		await isEmpty(cluster);
	});

	test_('rooms and namespaces', async (t) => {
		const { connect, servers } = await start(t, {
			nServers: 1,
			setUp(io) {
				io.of('/other').on('connection', (socket) => socket.on('who', (done) => done('other')));
			},
		});
		const [one, two, three] = await Promise.all([connect(), connect(), connect()]
			.map((socket) => settled(socket, mode)));

		await ask(one, 'join', 'room');
		await ask(two, 'join', 'room');
		let stranger = 0;
		three.on('told', () => stranger++);
		const told = [heard(one, 'told'), heard(two, 'told')];
		three.emit('tell', 'room', 'hello');
		assert.deepEqual(await Promise.all(told), [['hello'], ['hello']]);
		const other = await connected(one.io.socket('/other'));
		assert.equal(await ask(other, 'who'), 'other');
		assert.equal(await ask(one, 'who'), 'server 0');
		other.disconnect();
		assert.equal(await ask(one, 'who'), 'server 0');
		assert.equal(stranger, 0);
		assert.equal(servers[0].nClients, 3);
	});

	test_('a middleware refuses', async (t) => {
		const { connect } = await start(t, {
			setUp(io) {
				io.use((socket, next) => {
					const error = new Error('not you');
					error.data = { why: 'token' };
					next(socket.handshake.auth.token === 'good' ? undefined : error);
				});
			},
		});
		const socket = connect({ auth: { token: 'bad' } });

		const [error] = await heard(socket, 'connect_error');
		assert.equal(error.message, 'not you');
		assert.deepEqual(error.data, { why: 'token' });
		socket.auth = { token: 'good' };
		await connected(socket.connect());
		assert.match(await ask(socket, 'who'), /^server \d$/);
		const stranger = connect({}, '/nowhere');
		assert.equal((await heard(stranger, 'connect_error'))[0].message, 'Invalid namespace');
	});

	test_('the server refuses the handshake', async (t) => {
		const { connect, pollux } = await start(t, {
			io: { allowRequest: (request, done) => done('house is full', false) },
		});
		const socket = connect();
		const [error] = await heard(socket, 'connect_error');

		if (mode === 'websocket') {
			assert.equal(error.message, 'websocket error');
			return;
		}
		assert.equal(error.message, 'xhr poll error');
		assert.equal(error.description, 403);
		const response = await fetch(pollux.url('/socket.io/?EIO=4&transport=polling'));
		assert.deepEqual(await response.json(), { code: 4, message: 'house is full' });
	});

	test_('cookies, tokens and fields reach the server', async (t) => {
		const { connect } = await start(t);
		const socket = await settled(connect({
			extraHeaders: { Cookie: 'a=b', Authorization: 'Bearer x', 'X-Own': 'mine' },
			query: { room: 'a b&c' },
			auth: { token: 't' },
		}), mode);
		const [headers, query, auth] = await new Promise((done) => {
			socket.emit('headers', (...args) => done(args));
		});

		assert.equal(headers.cookie, 'a=b');
		assert.equal(headers.authorization, 'Bearer x');
		assert.equal(headers['x-own'], 'mine');
		assert.equal(headers['x-forwarded-for'], '127.0.0.1');
		assert.equal(query.room, 'a b&c');
		assert.equal(query.EIO, '4');
		assert.equal(query.transport, 'websocket');
		assert.equal(query.sid, undefined);
		assert.deepEqual(auth, { token: 't' });
	});

	// Ends. The reasons decide whether a client comes back by itself.

	test_('the server disconnects', async (t) => {
		const { connect, cluster } = await start(t);

		for (const how of ['leave me', 'leave the namespace']) {
			const socket = await settled(connect(), mode);
			const gone = heard(socket, 'disconnect');
			socket.emit(how);
			assert.equal((await gone)[0], 'io server disconnect');
		}
		assert.deepEqual(await cluster.left(2), Array(2).fill('server namespace disconnect'));
		await isEmpty(cluster);
	});

	test_('the server disconnects right behind many messages', async (t) => {
		const { connect, cluster } = await start(t, {
			setUp(io) {
				io.on('connection', (socket) => socket.on('flood', () => {
					for (let i = 0; i < 600; i++)
						socket.emit('number', i);
					socket.disconnect(true);
				}));
			},
		});
		const socket = await settled(connect(), mode);
		const got = [];

		socket.on('number', (i) => got.push(i));
		const gone = heard(socket, 'disconnect');
		socket.emit('flood');
		assert.equal((await gone)[0], 'io server disconnect');
		assert.deepEqual(got, Array.from({ length: 600 }, (_, i) => i));
		await isEmpty(cluster);
	});

	test_('the client disconnects', async (t) => {
		const { connect, cluster } = await start(t);
		const socket = await settled(connect(), mode);
		const gone = heard(socket, 'disconnect');

		socket.emit('say', 'last words');
		socket.disconnect();
		assert.equal((await gone)[0], 'io client disconnect');
		assert.deepEqual(await cluster.left(1), ['client namespace disconnect']);
		await isEmpty(cluster);
	});

	test_('the engine of the client closes', async (t) => {
		const { connect, cluster } = await start(t);
		const socket = await settled(connect(), mode);

		socket.io.engine.close();
		assert.deepEqual(await cluster.left(1), ['transport close']);
		await isEmpty(cluster);
	});

	test_('the server closes the connection under the sockets', async (t) => {
		const { connect, servers, cluster } = await start(t);
		const socket = await settled(connect(), mode);
		const gone = heard(socket, 'disconnect');
		const { sockets } = servers.find((server) => server.sockets.length > 0);

		sockets[0].conn.close();
		assert.equal((await gone)[0], 'transport close');
		await isEmpty(cluster);
	});

	test_('a server that is stopped sends its clients to another one', async (t) => {
		const { connect, servers } = await start(t);
		const socket = await settled(connect({ reconnection: true, reconnectionDelay: 50 }), mode);
		const home = await ask(socket, 'who');

		const gone = heard(socket, 'disconnect');
		const back = heard(socket, 'connect');
		servers.find(({ name }) => name === home).io.close();
		assert.match((await gone)[0], /^transport (close|error)$/);
		await back;
		assert.notEqual(await ask(socket, 'who'), home);
	});

	test_('a server that says no ping', async (t) => {
		const { connect, servers, cluster } = await start(t, { io: { pingInterval: 400, pingTimeout: 1000 } });
		const socket = await settled(connect(), mode);
		const { sockets } = servers.find((server) => server.sockets.length > 0);

		// Some rounds, to see that it works as long as it does.
		await pass(1500);
		assert.equal(await ask(socket, 'echo', 1), 1);
		const gone = heard(socket, 'disconnect');
		clearTimeout(sockets[0].conn.pingIntervalTimer);
		sockets[0].conn.schedulePing = () => {};
		sockets[0].conn.sendPacket = () => {};
		assert.equal((await gone)[0], 'ping timeout');
		sockets[0].conn.close(true);
		await isEmpty(cluster);
	});

	test_('a client that answers no ping', async (t) => {
		const { connect, cluster } = await start(t, { io: { pingInterval: 400, pingTimeout: 1000 } });
		const socket = await settled(connect(), mode);

		socket.io.engine._sendPacket = () => {};
		assert.deepEqual(await cluster.left(1), ['ping timeout']);
		await isEmpty(cluster);
	});
}

test('volatile events come while the client keeps up', async (t) => {
	const { connect, servers } = await socketIoStage(t);
	const socket = await connected(connect(MODES.polling));
	const { sockets } = servers.find((server) => server.sockets.length > 0);
	let n = 0;

	socket.on('volatile', () => n++);
	for (let i = 0; i < 20; i++) {
		sockets[0].volatile.emit('volatile', i);
		await ask(socket, 'who');
	}
	assert.equal(n, 20);
});

test('an upgrade while messages flow both ways', async (t) => {
	const { connect, servers } = await socketIoStage(t);
	const N = 500;

	for (let round = 0; round < 5; round++) {
		const down = [];
		const up = [];
		const socket = connect(MODES.upgrade);
		socket.on('number', (n) => down.push(n));
		servers.forEach((server) => server.io.once('connection', (other) => {
			other.on('number', (n) => up.push(n));
			let n = 0;
			const timer = setInterval(() => {
				for (let i = 0; i < 10; i++)
					other.emit('number', n++);
				if (n === N)
					clearInterval(timer);
			}, 1);
		}));
		await connected(socket);
		for (let n = 0; n < N; n++) {
			socket.emit('number', n);
			if (n % 25 === 0)
				await pass(1);
		}
		await upgraded(socket);
		await eventually(() => down.length >= N && up.length >= N, 'all messages');
		const all = Array.from({ length: N }, (_, i) => i);
		assert.deepEqual(down, all);
		assert.deepEqual(up, all);
		socket.disconnect();
		servers.forEach((server) => server.io.removeAllListeners('connection'));
	}
});

test('a client whose WebSockets are blocked stays on its polls', async (t) => {
	const { connect } = await socketIoStage(t, { route: { engineio_upgrade: 'no' } });
	const socket = await connected(connect(MODES.upgrade));

	assert.equal(await ask(socket, 'echo', 'a'), 'a');
	assert.equal(socket.io.engine.transport.name, 'polling');
});

test('a client of version 2 is told so', async (t) => {
	const { pollux, servers } = await socketIoStage(t);
	const response = await fetch(pollux.url('/socket.io/?EIO=3&transport=polling'));

	assert.equal(response.status, 400);
	assert.deepEqual(await response.json(), { code: 5, message: 'Unsupported protocol version' });
	assert.equal(servers.reduce((sum, { nClients }) => sum + nClients, 0), 0);
});

test('a session comes back by connection state recovery', async (t) => {
	const { connect } = await socketIoStage(t, {
		nServers: 1, io: { connectionStateRecovery: {} },
	});
	const socket = await connected(connect({ ...MODES.polling, reconnection: true, reconnectionDelay: 20 }));
	const { id } = socket;

	// The offset of an event is what a session can be recovered by.
	socket.emit('say', 'something');
	await heard(socket, 'said');
	const back = heard(socket, 'connect');
	socket.io.engine.close();
	await back;
	assert.equal(socket.recovered, true);
	assert.equal(socket.id, id);
});
