// Everything that clients do, a little of each, under valgrind: no wrong access, no decision on what was
// never set, no leak. Some of it is still going on when Pollux is told to leave, and it has to leave
// nothing behind.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import { test } from 'node:test';
import EventSource from 'eventsource';
import { WebSocket } from 'ws';

import { ExpressBackend } from '../e2e/lib/backends.mjs';
import { Authority } from '../e2e/lib/certificates.mjs';
import { freePort, Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { event } from '../e2e/lib/wait.mjs';
import { Wire } from '../e2e/lib/wire.mjs';
import { isSanitized, sized, startOrigin } from './lib/scale.mjs';

const ROUNDS = sized(1, 10);
const KINDS = '--show-leak-kinds=definite,indirect,possible';
const VALGRIND = ['valgrind', '--quiet', '--error-exitcode=99', '--leak-check=full', KINDS,
	KINDS.replace('show-leak', 'errors-for-leak')];
const MESSAGES = { 'content-type': 'text/plain' };

function hasValgrind() {
	try {
		execFileSync('valgrind', ['--version']);
		return true;
	} catch {
		return false;
	}
}

// One listener of Pollux: requests to it.
class Door {
	constructor(t, pollux, index, ca) {
		Object.assign(this, { t, pollux, index, ca });
		this.isTls = ca !== undefined;
		const { Agent } = this.isTls ? https : http;
		this.agent = new Agent({ keepAlive: true, ca });
		atEnd(t, () => this.agent.destroy());
	}

	url(path, scheme = 'http') {
		return this.pollux.url(path, { index: this.index, scheme: this.isTls ? `${scheme}s` : scheme });
	}

	connect() {
		return Wire.connect(this.t, this.pollux.where(this.index), { tls: this.isTls ? {} : undefined });
	}

	request(path, { method = 'GET', headers = {}, agent = this.agent } = {}) {
		const { request } = this.isTls ? https : http;
		const where = this.pollux.where(this.index);
		return request({ ...where, path, method, headers, agent, ca: this.ca });
	}

	// The response with its body.
	async ask(path, { body, ...options } = {}) {
		const request = this.request(path, options);
		for (const piece of [body ?? []].flat())
			request.write(piece);
		request.end();
		const response = await event(request, 'response');
		const chunks = [];
		response.on('data', (chunk) => chunks.push(chunk));
		await event(response, 'end');
		response.body = Buffer.concat(chunks);
		return response;
	}

	async status(path, options) {
		return (await this.ask(path, options)).statusCode;
	}

	eventSource(path) {
		const source = new EventSource(this.url(path), { https: { ca: this.ca } });
		atEnd(this.t, () => source.close());
		return source;
	}

	async webSocket(path = '/ws/echo') {
		const socket = new WebSocket(this.url(path, 'ws'), { ca: this.ca });
		await event(socket, 'open');
		return socket;
	}
}

async function forwardsRequests(door) {
	const body = Buffer.alloc(200_000, 'pollux');

	assert.equal((await door.ask('/small')).body.length, 2);
	assert.equal((await door.ask('/bytes/300000')).body.length, 300_000);
	assert.equal((await door.ask('/small', { method: 'HEAD' })).body.length, 0);
	assert.equal(await door.status('/secure'), 200);
	assert.equal(await door.status('/dead'), 502);
	assert.equal(await door.status('/none-such'), 404);
	for (const headers of [{ 'content-length': body.length }, {}, { expect: '100-continue' }]) {
		const echo = await door.ask('/echo', {
			method: 'POST',
			headers,
			body: [body.subarray(0, 1000), body.subarray(1000)],
		});
		assert.ok(echo.body.equals(body));
	}
	assert.equal(await door.status('/small', { method: 'POST', body, headers: MESSAGES }), 413);
}

async function takesBytes(door) {
	const pipeline = await door.connect();
	pipeline.send('GET /small HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20));
	for (let n = 0; n < 20; n++)
		assert.equal((await pipeline.readResponse()).status, 200);
	pipeline.send('GET /small HTTP/1.0\r\n\r\n');
	assert.equal((await pipeline.readResponse()).status, 200);
	await pipeline.expectEnd();
	for (const bad of ['GET / HTTP/1.1\r\n\r\n', 'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n',
		'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n']) {
		const wire = await door.connect();
		wire.send(bad);
		assert.equal((await wire.readResponse()).status, 400);
		wire.close();
	}
}

// Clients that leave in the middle: of a head, of a body, of a response, of a tunnel.
async function leaves(door) {
	const head = await door.connect();
	head.send('GET /small HTTP/1.1\r\nHost');
	head.close();
	const body = await door.connect();
	body.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc');
	await body.readHead();
	body.close();
	const request = door.request('/bytes/50000000', { agent: false });
	request.end();
	const response = await event(request, 'response');
	await event(response, 'data');
	response.destroy();
	const late = door.request('/delay/5000', { agent: false });
	late.end();
	await event(late, 'finish');
	late.on('error', () => {}); // that it is over
	late.destroy();
	const socket = await door.webSocket();
	socket.send(Buffer.alloc(100_000));
	socket.terminate();
}

async function opensTunnels(door) {
	const socket = await door.webSocket();
	for (const message of ['hello', Buffer.alloc(70_000, 1), '']) {
		socket.send(message);
		const [data, isBinary] = await event(socket, 'message');
		assert.equal(isBinary, typeof message !== 'string');
		assert.ok(Buffer.from(message).equals(data));
	}
	socket.send('two ', { fin: false });
	socket.send('parts', { fin: true });
	assert.equal((await event(socket, 'message'))[0].toString(), 'two parts');
	socket.close(1000, 'bye');
	assert.equal((await event(socket, 'close'))[0], 1000);
	const refused = new WebSocket(door.url('/small', 'ws'), { ca: door.ca });
	await event(refused, 'unexpected-response');
}

async function open(door) {
	const { statusCode, headers } = await door.ask('/ws/echo', { method: 'POST' });
	assert.equal(statusCode, 201);
	return headers.location;
}

async function post(door, session, body, headers = MESSAGES) {
	return door.status(session, { method: 'POST', body, headers });
}

async function polls(door) {
	const first = await door.ask('/ws/echo?wait=1', { headers: { prefer: 'wait=1' } });
	assert.equal(first.statusCode, 200);
	const session = `/ws/echo/~${JSON.parse(first.body).session}`;
	let after = 0;
	for (const message of ['one', 'two', 'three']) {
		assert.equal(await post(door, session, message), 204);
		const { body } = await door.ask(`${session}?after=${after}&wait=10`);
		const { messages, cursor } = JSON.parse(body);
		assert.deepEqual(messages, [{ seq: after + 1, text: message }]);
		after = cursor;
	}
	assert.equal(await door.status(`${session}?after=99`), 409);
	assert.equal(await post(door, session, 'no', { ...MESSAGES, 'pollux-seq': '7' }), 409);
	assert.equal(await post(door, session, 'a\nb\n', { 'content-type': 'application/x-ndjson' }), 204);
	assert.equal(await post(door, session, Buffer.alloc(10), { 'content-type': 'image/png' }), 415);
	// The second one supersedes the first.
	const held = door.ask(`${session}?after=5&wait=20`, { agent: false });
	const last = door.ask(`${session}?after=3&wait=20`, { agent: false });
	await Promise.all([last, post(door, session, 'last')]);
	assert.equal(await door.status(session, { method: 'DELETE' }), 204);
	assert.ok([200, 409, 410].includes((await held).statusCode));
	assert.equal(await door.status('/ws/echo/~w1.AAAAAAAAAAAAAAAAAAAAAA'), 404);
}

async function streams(door) {
	const source = door.eventSource('/ws/echo');
	const { data } = await event(source, 'session');
	const session = `/ws/echo/~${JSON.parse(data).session}`;
	const messages = event(source, 'message');
	assert.equal(await post(door, session, 'hello'), 204);
	assert.equal((await messages).data, 'hello');
	source.close();
	// Continued as JSON lines, cut, and continued again.
	for (let n = 0; n < 2; n++) {
		const request = door.request(`${session}?after=0`, {
			agent: false,
			headers: { accept: 'application/x-ndjson' },
		});
		request.end();
		const response = await event(request, 'response');
		await event(response, 'data');
		response.destroy();
	}
	const resumed = door.eventSource(`${session}?as=json`);
	await event(resumed, 'session');
	const close = event(resumed, 'close');
	assert.equal(await door.status(session, { method: 'DELETE' }), 204);
	assert.equal(JSON.parse((await close).data).code, 1000);
	resumed.close();
}

// What is under way when Pollux is told to leave; `done` says how it ended.
async function stays(door, secure) {
	const socket = await door.webSocket();
	await event(door.eventSource('/ws/echo'), 'session');
	const session = await open(door);
	const idle = await open(door);
	assert.equal(await post(door, idle, 'nobody reads this'), 204);
	// The first one is answered when the second has come.
	const first = door.ask(`${session}?wait=20`, { agent: false });
	const poll = door.ask(`${session}?wait=20`, { agent: false });
	const superseded = await Promise.race([first, poll]);
	assert.equal(JSON.parse(superseded.body).superseded, true);
	const n = secure.requests.length;
	const late = door.ask('/secure/late', { agent: false });
	await secure.until(() => secure.requests.length > n, 'a request at the backend');
	const head = await door.connect();
	head.send('GET /small HT');
	return {
		done: Promise.all([
			event(socket, 'close').then(([code]) => assert.equal(code, 1001)),
			...[first, poll, late].map((one) => one.then(({ statusCode }) => assert.equal(statusCode, 200))),
		]),
	};
}

const skip = isSanitized ? 'sanitizers do not run under valgrind'
	: !hasValgrind() && 'there is no valgrind (Debian: valgrind)';

test('mixed traffic and a drain under valgrind', { skip }, async (t) => {
	const authority = new Authority(t);
	const { certText: cert, keyText: key } = authority.issue(['localhost', '127.0.0.1']);
	const origin = await startOrigin(t);
	const secure = await ExpressBackend.start(t, (app) => {
		app.get('/secure', (_, response) => response.send('ok'));
		app.get('/secure/late', (_, response) => setTimeout(() => response.send('ok'), 300));
	}, { tls: { cert, key } });
	const pollux = await Pollux.start(t, {
		wrapper: VALGRIND,
		listen: [{}, { certificates: [authority.issue(['127.0.0.1']).pem] }]
			.map((listen) => ({ ...listen, header_timeout: '2s' })),
		backends: {
			app: { servers: [origin] },
			secure: { servers: [`localhost:${secure.port}`], tls: true, tls_ca: authority.file },
			dead: { servers: [`127.0.0.1:${await freePort()}`] },
		},
		route: [
			{ path: '/' },
			{ path: '/small', max_body_size: 1000 },
			{ path: '/secure', backend: 'secure' },
			{ path: '/dead', backend: 'dead' },
			{ path: '/ws', bridge: ['plain'] },
		],
		program: { drain: '20s' },
	});
	const doors = [new Door(t, pollux, 0), new Door(t, pollux, 1, authority.certificate)];
	for (let n = 0; n < ROUNDS; n++) {
		for (const door of doors) {
			for (const part of [forwardsRequests, takesBytes, leaves, opensTunnels, polls, streams])
				await part(door);
		}
	}
	const staying = [await stays(doors[0], secure), await stays(doors[1], secure)];
	pollux.signal('SIGTERM');
	await Promise.all(staying.map(({ done }) => done));
	const { code } = await pollux.left(60_000);
	assert.equal(code, 0, pollux.log.text());
	assert.ok(!pollux.log.has(/cutting/), pollux.log.text());
});
