// Socket.IO in Chromium, with the bundle that the package brings: pages of the same origin and of
// another one, in all modes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'node:test';

import { ExpressBackend } from './lib/backends.mjs';
import { Authority } from './lib/certificates.mjs';
import { WITHOUT_BROWSER, startBrowser } from './lib/demo_page.mjs';
import { atEnd } from './lib/scope.mjs';
import { MODES, socketIoStage } from './lib/socketio.mjs';
import { PATIENCE_MS, eventually } from './lib/wait.mjs';

const SCRIPT = readFileSync(
	fileURLToPath(new URL('../node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url)),
);

const PAGE = `<!doctype html><meta charset="utf-8"><title>a page</title><link rel="icon" href="data:,">
<script src="/client.js"></script>`;

function serve(app) {
	app.get('/page', (request, response) => response.type('html').send(PAGE));
	app.get('/client.js', (request, response) => response.type('js').send(SCRIPT));
}

// Runs in the page: a client that has been heard and has heard; what it is asked for.
async function converse({ url, options }) {
	const once = (socket, name) => new Promise((done, fail) => {
		socket.once(name, (...args) => done(args));
		socket.once('connect_error', fail);
	});
	const socket = window.io(url, { forceNew: true, reconnection: false, ...options });
	await once(socket, 'connect');
	const home = await socket.emitWithAck('who');
	if (options.transports.length > 1 && socket.io.engine.transport.name === 'polling')
		await new Promise((done) => socket.io.engine.once('upgrade', done));
	const bytes = new Uint8Array([0, 1, 2, 254, 255]);
	const echoed = [];
	for (let i = 0; i < 10; i++) {
		const [answer] = [await socket.emitWithAck('echo', { i, bytes, text: 'ä\u001e€😀' })];
		echoed.push([answer.i, [...new Uint8Array(answer.bytes)].join(), answer.text]);
	}
	const large = await socket.emitWithAck('echo', 'x'.repeat(200_000));
	const result = {
		home,
		stillHome: await socket.emitWithAck('who') === home,
		echoed,
		large: large.length,
		transport: socket.io.engine.transport.name,
	};
	const gone = once(socket, 'disconnect');
	socket.emit('leave me');
	[result.reason] = await gone;
	return result;
}

async function openPage(t, browser, url) {
	const context = await browser.newContext({ ignoreHTTPSErrors: true });
	context.setDefaultTimeout(PATIENCE_MS);
	atEnd(t, () => context.close());
	const page = await context.newPage();
	page.faults = [];
	page.on('pageerror', (error) => page.faults.push(error.message));
	await page.goto(url);
	return page;
}

test('Socket.IO in Chromium', { skip: WITHOUT_BROWSER }, async (t) => {
	const browser = await startBrowser(t);

	for (const [scheme, listen] of [['http', {}], ['https', null]]) {
		await t.test(`${scheme}: a page of the same origin, in all modes`, async (t) => {
			const pages = await ExpressBackend.start(t, serve);
			const options = listen ?? { certificates: [new Authority(t).issue(['127.0.0.1']).pem] };
			const { pollux, cluster, servers } = await socketIoStage(t, {
				listen: options,
				backends: (servers) => ({ app: { servers }, pages: { servers: [pages] } }),
				route: [{ path: '/socket.io', bridge: ['engineio'] }, { path: '/', backend: 'pages' }],
			});
			const page = await openPage(t, browser, pollux.url('/page', { scheme }));

			for (const [mode, { transports }] of Object.entries(MODES)) {
				const result = await page.evaluate(converse, { url: '', options: { transports } });
				assert.equal(result.transport, mode === 'polling' ? 'polling' : 'websocket');
				assert.equal(result.stillHome, true);
				assert.deepEqual(result.echoed, Array.from({ length: 10 },
					(_, i) => [i, '0,1,2,254,255', 'ä\u001e€😀']));
				assert.equal(result.large, 200_000);
				assert.equal(result.reason, 'io server disconnect');
			}
			await eventually(() => cluster.nClients === 0, 'no client at the servers');
			assert.deepEqual(page.faults, []);
			assert.equal(servers.reduce((sum, server) => sum + server.sockets.length, 0), 3);
		});
	}

	await t.test('a page of another origin, with credentials and fields of its own', async (t) => {
		const pages = await ExpressBackend.start(t, serve);
		const origin = `http://${pages.address}`;
		const { pollux, servers } = await socketIoStage(t, {
			io: { cors: { origin, credentials: true } },
			setUp(io) {
				io.engine.on('initial_headers', (headers) => {
					headers['Set-Cookie'] = 'visited=yes; Path=/; HttpOnly';
				});
			},
		});
		const page = await openPage(t, browser, `${origin}/page`);
		const options = {
			transports: ['polling'], withCredentials: true, extraHeaders: { 'X-Token': 'mine' },
		};

		for (const { transports } of Object.values(MODES)) {
			const result = await page.evaluate(converse, {
				url: pollux.url('').replace(/\/$/, ''), options: { ...options, transports },
			});
			assert.equal(result.reason, 'io server disconnect');
		}
		const headers = servers.flatMap(({ sockets }) => sockets.map(({ handshake }) => handshake.headers));
		const byPoll = headers.filter((one) => one['x-token'] === 'mine');
		assert.equal(byPoll.length, 2);
		assert.ok(headers.every((one) => one.origin === origin));
		// What the first handshake has set comes with the later ones.
		assert.equal(headers.filter(({ cookie }) => cookie === 'visited=yes').length, 2);
		// Preflights are the servers' to answer.
		const preflights = servers.flatMap(({ requests }) => requests);
		assert.ok(preflights.length > 0);
		assert.ok(preflights.every((line) => line.startsWith('OPTIONS ')), preflights.join());
		assert.deepEqual(page.faults, []);
	});

	await t.test('a page of an origin that the servers do not know', async (t) => {
		const pages = await ExpressBackend.start(t, serve);
		const { pollux } = await socketIoStage(t, {
			io: { cors: { origin: 'http://other.example', credentials: true } },
		});
		const page = await openPage(t, browser, `http://${pages.address}/page`);

		const error = await page.evaluate(converse, {
			url: pollux.url('').replace(/\/$/, ''), options: { transports: ['polling'] },
		}).then(() => assert.fail('it is connected'), (reason) => reason);
		assert.match(error.message, /xhr poll error/);
	});

	await t.test('a session that is unknown is an error that the page can read', async (t) => {
		const pages = await ExpressBackend.start(t, serve);
		const { pollux } = await socketIoStage(t);
		const page = await openPage(t, browser, `http://${pages.address}/page`);
		const url = pollux.url('/socket.io/?EIO=4&transport=polling&sid=unknown');

		assert.deepEqual(await page.evaluate(async (address) => {
			const response = await fetch(address, { credentials: 'include' });
			return { status: response.status, body: await response.json() };
		}, url), { status: 400, body: { code: 1, message: 'Session ID unknown' } });
	});

	await t.test('a page that is left takes its session along', async (t) => {
		const pages = await ExpressBackend.start(t, serve);
		// Who is left between two polls is missed by its pong.
		const io = { cors: { origin: '*' }, pingInterval: 1000, pingTimeout: 2000 };
		const { pollux, cluster } = await socketIoStage(t, { io });

		for (const { transports } of Object.values(MODES)) {
			const page = await openPage(t, browser, `http://${pages.address}/page`);
			await page.evaluate(({ url, transports: list }) => new Promise((done) => {
				const socket = window.io(url, { transports: list });
				socket.once('connect', done);
			}), { url: pollux.url('').replace(/\/$/, ''), transports });
			assert.equal(cluster.nClients, 1);
			await page.close();
			await eventually(() => cluster.nClients === 0, 'the end of the session');
		}
	});
});
