// Who comes anew while Pollux leaves: as long as others wait for their turn he is answered, each
// connection once; handshakes and new sessions are sent elsewhere. With drain_accept = no nobody comes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSocket } from 'ws';

import { Bridge, requestText, startBackend } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { Engine } from './lib/engineio.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { atEnd } from './lib/scope.mjs';
import { connect, get, ok } from './lib/stage.mjs';
import { event, eventually } from './lib/wait.mjs';
import { handshake, switching } from './lib/websocket_bytes.mjs';

const LEFT = { code: 0, signal: null };
const REFUSED = { code: 'ECONNREFUSED' };
const TEXT = { 'Content-Type': 'text/plain' };
// More than there are workers, in each of which the first has its turn at once.
const N = 12;

async function start(t, { program, respond = () => ok() } = {}) {
	const certificate = new Authority(t).issue(['127.0.0.1']);
	const app = await RawBackend.start(t);
	const peers = await startBackend(t);
	app.serve((request) => (request.get('Upgrade') === undefined ? respond(request) : switching()));
	const pollux = await Pollux.start(t, {
		program,
		listen: [{}, { certificates: [certificate.pem] }],
		backends: { app: { servers: [app] }, peers: { servers: [peers] } },
		route: [
			{ path: '/', forwarded: 'off' },
			{ path: '/tunnel', backend: 'peers' },
			{ path: '/chat', backend: 'peers', bridge: ['plain'] },
			{ path: '/echo', backend: 'peers', bridge: ['sockjs'] },
			{ path: '/engine.io', backend: 'peers', bridge: ['engineio'] },
		],
	});
	return { app, peers, pollux, bridge: new Bridge(t, pollux, { path: '/chat' }) };
}

async function tunnels(t, pollux) {
	return Promise.all(Array.from({ length: N }, async () => {
		const socket = new WebSocket(pollux.url('/tunnel', { scheme: 'ws' }));
		socket.on('error', () => {});
		atEnd(t, () => socket.terminate());
		await event(socket, 'open');
		return socket;
	}));
}

// One request on a connection of its own, which ends with the answer.
async function once(t, pollux, text, options = {}) {
	const wire = await connect(t, pollux, options);
	wire.send(text);
	const response = await wire.readResponse();
	assert.equal(response.get('Connection'), 'close', response.text);
	await wire.expectEnd();
	wire.close();
	return response;
}

function isSentAway(response, what) {
	assert.equal(response.status, 503, `${what}: ${response.text}`);
	assert.equal(response.get('Retry-After'), '1', what);
}

test('requests are answered, handshakes and new sessions are not, open sessions can send', async (t) => {
	const { peers, pollux, bridge } = await start(t, { program: { drain: '60s' } });
	const sockets = await tunnels(t, pollux);
	const sessions = [];
	for (let i = 0; i < N; i++)
		sessions.push(await bridge.openStream());

	await pollux.drain();
	const post = (path, body) => requestText('POST', path, { body, fields: TEXT }) + body;
	for (const options of [{}, { index: 1, tls: {} }]) {
		assert.equal((await once(t, pollux, get('/new'), options)).status, 200);
		isSentAway(await once(t, pollux, handshake({ target: '/new' }), options), 'a tunnel');
		isSentAway(await once(t, pollux, handshake({ target: '/chat' }), options), 'a WebSocket of the bridge');
		isSentAway(await once(t, pollux, post('/chat', ''), options), 'a session');
		isSentAway(await once(t, pollux, get('/chat', 'Accept: text/event-stream\r\n'), options), 'a stream');
		isSentAway(await once(t, pollux, post('/echo/0/new/xhr', ''), options), 'SockJS');
		isSentAway(await once(t, pollux, get('/engine.io/?EIO=4&transport=polling'), options), 'Engine.IO');
		const client = await H2Client.connect(t, pollux.where(options.index),
			options.tls ? { tls: { rejectUnauthorized: false } } : {});
		assert.equal((await client.get('/new')).status, 200);
		client.close();
	}
	let nSent = 0;
	for (const [i, { session }] of sessions.entries()) {
		const { status } = await once(t, pollux, post(session.url, `up ${i}`));
		assert.ok(status === 204 || status === 404, `${status}`);
		nSent += status === 204 ? 1 : 0;
	}
	const nWorkers = Number(process.env.POLLUX_WORKERS ?? 1);
	assert.ok(nSent >= N - nWorkers, `${nSent} of ${N}`);
	await eventually(() => peers.sockets.reduce((sum, { received }) => sum + received.all.length, 0) === nSent,
		'messages at the backend');

	// When nobody stays there is nothing to wait for.
	for (const socket of sockets)
		socket.terminate();
	for (const { stream } of sessions)
		stream.close();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('an extended CONNECT gets 503, on a connection that is new', async (t) => {
	const { pollux } = await start(t, { program: { drain: '60s' } });
	const sockets = await tunnels(t, pollux);

	await pollux.drain();
	const client = await H2Client.connect(t, pollux.where());
	const refused = await client.webSocket('/new').then(() => undefined, (error) => error.response);
	assert.equal(refused?.status, 503);
	assert.equal(refused.headers['retry-after'], '1');
	client.close();
	for (const socket of sockets)
		socket.terminate();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('after the last turn nobody comes, though a request is still under way', async (t) => {
	const { app, pollux } = await start(t, { program: { drain: '4s' }, respond: () => '' });
	await tunnels(t, pollux);
	const held = await connect(t, pollux);
	held.send(get('/held'));
	const conn = await app.accept();

	await pollux.drain();
	await eventually(() => connect(t, pollux).then(
		(wire) => {
			wire.close();
			return false;
		},
		({ code }) => code === REFUSED.code,
	), 'a door that is closed');
	conn.send(ok('worth waiting for'));
	assert.equal((await held.readResponse()).body.toString(), 'worth waiting for');
	held.close();
	assert.deepEqual(await pollux.left(), LEFT);
});

test('drain_accept = no: nobody comes from the start', async (t) => {
	const { pollux } = await start(t, { program: { drain: '60s', drain_accept: false } });
	const sockets = await tunnels(t, pollux);

	await pollux.drain();
	for (let i = 0; i < 20; i++)
		await assert.rejects(connect(t, pollux), REFUSED);
	assert.ok(sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length > 0);
	for (const socket of sockets)
		socket.terminate();
	assert.deepEqual(await pollux.left(), LEFT);
});
