// The plain dialect with the clients that people have: EventSource, fetch of undici, http of Node,
// and curl; each over plain TCP and over TLS.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import test from 'node:test';

import EventSource from 'eventsource';
import { Agent, fetch } from 'undici';

import { bridgeStage } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { LineLog } from './lib/line_log.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { Changing, event, eventually, within } from './lib/wait.mjs';

// Two ways to reach Pollux: { scheme, url(path), ca }.
async function start(t, scheme, options = {}) {
	const listen = {};
	let authority;
	if (scheme === 'https') {
		authority = new Authority(t);
		listen.certificates = [authority.issue(['127.0.0.1']).pem];
	}
	const stage = await bridgeStage(t, { listen, ...options });
	const url = (path = '/chat') => stage.pollux.url(path, { scheme });
	return { ...stage, url, ca: authority?.certificate, caFile: authority?.file };
}

// An echo that also greets.
const ECHO = {
	onSocket(socket) {
		socket.send('welcome');
		socket.on('message', (data, binary) => socket.send(data, { binary }));
	},
};

for (const scheme of ['http', 'https']) {
	const test_ = (what, run) => test(`${scheme}: ${what}`, run);

	// EventSource.

	class Events extends Changing {
		all = []; // [type, data]

		constructor(t, url, ca) {
			super();
			this.source = new EventSource(url, { https: { ca } });
			atEnd(t, () => this.source.close());
			for (const type of ['open', 'error', 'message', 'binary', 'session', 'reset', 'close']) {
				this.source.addEventListener(type, ({ data, lastEventId }) => {
					this.all.push({ type, data, id: lastEventId });
					this.changed();
				});
			}
		}

		next(type, n = 1) {
			const find = () => this.all.filter((one) => one.type === type)[n - 1];
			return this.until(find, `event ${type} ${n}`);
		}

		givesUp() {
			return eventually(() => this.source.readyState === EventSource.CLOSED, 'EventSource giving up');
		}

		texts() {
			return this.all.filter(({ type }) => type === 'message').map(({ data }) => data);
		}
	}

	test_('EventSource listens, and fetch sends', async (t) => {
		const { url, ca } = await start(t, scheme, { ws: ECHO });
		const events = new Events(t, url(), ca);
		const dispatcher = new Agent({ connect: { ca } });
		atEnd(t, () => dispatcher.close());

		const { session } = JSON.parse((await events.next('session')).data);
		for (const body of ['one\r\ntwo\rthree', 'ü€', ''])
			assert.equal((await fetch(url(`/chat/~${session}`), { method: 'POST', body, dispatcher })).status, 204);
		await fetch(url(`/chat/~${session}`), {
			method: 'POST', body: new Uint8Array([1, 2, 3]), dispatcher,
			headers: { 'Content-Type': 'application/octet-stream' },
		});
		assert.equal((await events.next('binary')).data, 'AQID');
		assert.deepEqual(events.texts(), ['welcome', 'one\ntwo\nthree', 'ü€', '']);
		assert.equal(events.all.at(-1).id, `${session}.5`);
		assert.equal((await fetch(url(`/chat/~${session}`), { method: 'DELETE', dispatcher })).status, 204);
		assert.deepEqual(JSON.parse((await events.next('close')).data), { code: 1000, reason: '' });
		// It comes back, gets 204, and gives up.
		await events.givesUp();
	});

	test_('EventSource that is cut comes back for what it has missed', async (t) => {
		const { url, ca, backend, pollux } = await start(t, scheme);
		const tap = await Tap.start(t, pollux.where());
		const target = url().replace(/:\d+\//, `:${tap.port}/`);
		const events = new Events(t, target, ca);

		await events.next('session');
		const socket = await backend.accept();
		socket.send('one');
		await events.next('message');
		(await tap.accept()).reset();
		socket.send('two');
		await events.next('error');
		socket.send('three');
		await events.next('session', 2);
		await events.next('message', 3);
		assert.deepEqual(events.texts(), ['one', 'two', 'three']);
		assert.ok(!events.all.some(({ type }) => type === 'reset'));
		assert.equal(backend.sockets.length, 1);
	});

	test_('EventSource that comes back too late is told of the reset', async (t) => {
		const { url, ca, backend, pollux } = await start(t, scheme, { route: { linger: '100ms' } });
		const tap = await Tap.start(t, pollux.where());
		const events = new Events(t, url().replace(/:\d+\//, `:${tap.port}/`), ca);

		await events.next('session');
		const socket = await backend.accept();
		(await tap.accept()).reset();
		assert.equal((await backend.closeOf(socket)).code, 1001);
		assert.deepEqual(JSON.parse((await events.next('reset')).data), { reason: 'unknown session' });
		await events.next('session', 2);
		assert.equal(backend.sockets.length, 2);
	});

	test_('EventSource that is refused gives up', async (t) => {
		const { url, ca } = await start(t, scheme, {
			ws: { verifyClient: (_, done) => done(false, 401, 'no') },
		});
		const events = new Events(t, url(), ca);

		await events.next('error');
		await events.givesUp();
	});

	// fetch.

	test_('a long-poll loop with fetch', async (t) => {
		const { url, ca } = await start(t, scheme, { ws: ECHO });
		const dispatcher = new Agent({ connect: { ca } });
		atEnd(t, () => dispatcher.close());
		const ask = (target, options = {}) => fetch(new URL(target, url()), { dispatcher, ...options });

		const opened = await ask('/chat', { method: 'POST', body: 'first' });
		assert.equal(opened.status, 201);
		const target = opened.headers.get('Location');
		const { session } = await opened.json();
		assert.equal(target, `/chat/~${session}`);
		const sending = (async () => {
			for (let n = 1; n <= 20; n++) {
				const headers = { 'Pollux-Seq': String(n) };
				const response = await ask(target, { method: 'POST', body: `${n}`, headers });
				assert.equal(response.status, 204);
			}
		})();
		const texts = [];
		for (let { next } = { next: `${target}?after=0` }; texts.length < 22;) {
			const response = await ask(`${next}&wait=5`);
			assert.equal(response.status, 200);
			const answer = await response.json();
			texts.push(...answer.messages.map(({ text }) => text));
			({ next } = answer);
			assert.equal(response.headers.get('Link'), `<${next}>; rel="next"`);
		}
		await sending;
		assert.deepEqual(texts, ['welcome', 'first', ...Array.from({ length: 20 }, (_, n) => `${n + 1}`)]);
		assert.equal((await ask(target, { method: 'DELETE' })).status, 204);
	});

	test_('JSON lines with fetch', async (t) => {
		const { url, ca } = await start(t, scheme, { ws: ECHO });
		const dispatcher = new Agent({ connect: { ca } });
		atEnd(t, () => dispatcher.destroy());

		const response = await fetch(url(), { dispatcher, headers: { Accept: 'application/x-ndjson' } });
		const lines = [];
		let rest = '';
		const target = url(`/chat/~${response.headers.get('Pollux-Session')}`);
		for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
			rest += chunk;
			for (let at; (at = rest.indexOf('\n')) >= 0; rest = rest.slice(at + 1))
				lines.push(JSON.parse(rest.slice(0, at)));
			if (lines.length === 2)
				await fetch(target, { dispatcher, method: 'POST', body: 'echo' });
			if (lines.length === 3)
				await fetch(target, { dispatcher, method: 'DELETE' });
		}
		assert.equal(lines[0].cursor, 0);
		assert.deepEqual(lines.slice(1), [
			{ seq: 1, text: 'welcome' },
			{ seq: 2, text: 'echo' },
			{ seq: 3, closed: { code: 1000, reason: '', undelivered: 0 } },
		]);
	});

	// http of Node, with one connection for all.

	test_('http of Node polls and posts on kept connections', async (t) => {
		const { url, ca } = await start(t, scheme, { ws: ECHO });
		const library = scheme === 'https' ? https : http;
		const agent = new library.Agent({ keepAlive: true, maxSockets: 1, ca });
		atEnd(t, () => agent.destroy());
		const ask = (target, { method = 'GET', body } = {}) => within(new Promise((done, fail) => {
			const request = library.request(url(target), { agent, method }, (response) => {
				const chunks = [];
				response.on('data', (chunk) => chunks.push(chunk));
				response.on('end', () => done({
					status: response.statusCode,
					text: Buffer.concat(chunks).toString(),
				}));
			});
			request.on('error', fail);
			request.end(body);
		}), `${method} ${target}`);

		const { session } = JSON.parse((await ask('/chat', { method: 'POST' })).text);
		for (let n = 1; n <= 10; n++) {
			assert.equal((await ask(`/chat/~${session}`, { method: 'POST', body: `${n}` })).status, 204);
			let cursor = n - 1;
			let messages = [];
			while (cursor < n + 1)
				({ cursor, messages } = JSON.parse((await ask(`/chat/~${session}?after=${cursor}`)).text));
			assert.equal(messages.at(-1).text, `${n}`);
		}
	});

	// curl.

	function curl(t, ca, ...args) {
		const log = new LineLog();
		const trust = ca === undefined ? [] : ['--cacert', ca];
		const child = spawn('curl', ['-sS', ...trust, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
		log.read(child.stdout);
		const exit = event(child, 'close');
		exit.catch(() => {});
		atEnd(t, () => child.kill());
		return { log, exit };
	}

	async function curlText(t, ca, ...args) {
		const { log, exit } = curl(t, ca, ...args);
		await exit;
		return log.text();
	}

	test_('curl -N listens to events, another curl speaks', async (t) => {
		const { url, caFile, backend } = await start(t, scheme, { ws: ECHO });

		const { log, exit } = curl(t, caFile, '-N', '-H', 'Accept: text/event-stream', url());
		const id = await log.find((line) => line.startsWith('id: '));
		const session = url(`/chat/~${/id: (.*)\.0/.exec(id)[1]}`);
		await log.find((line) => line === 'data: welcome');
		assert.equal(await curlText(t, caFile, '-d', 'from=a shell&x=%20', session), '');
		await log.find((line) => line === 'data: from=a shell&x=%20');
		assert.equal(await curlText(t, caFile, '-w', '%{http_code}', '-X', 'DELETE', session), '204');
		await log.find((line) => line === 'data: {"code":1000,"reason":""}');
		assert.equal((await exit)[0], 0);
		assert.equal((await backend.closeOf(backend.sockets[0])).code, 1000);
	});

	test_('a conversation in shell: open, say, poll', async (t) => {
		const { url, caFile } = await start(t, scheme, { ws: ECHO });

		const session = await curlText(t, caFile, '-X', 'POST', '-H', 'Accept: text/plain', url());
		assert.match(session, new RegExp(`^${url().replace(/\./g, '\\.')}/~[A-Za-z0-9_.-]+$`));
		await curlText(t, caFile, '--data-binary', 'hello', '-H', 'Content-Type: text/plain', session);
		const answer = JSON.parse(await curlText(t, caFile, `${session}?wait=5`));
		assert.deepEqual(answer.messages, [{ seq: 1, text: 'welcome' }, { seq: 2, text: 'hello' }]);
		const again = JSON.parse(await curlText(t, caFile, '-H', 'Prefer: wait=5', `${session}?after=1`));
		assert.deepEqual(again.messages, [{ seq: 2, text: 'hello' }]);
	});

	test_('curl -N reads JSON lines', async (t) => {
		const { url, caFile, backend } = await start(t, scheme);

		const { log, exit } = curl(t, caFile, '-N', '-H', 'Accept: application/x-ndjson', url());
		const socket = await backend.accept();
		socket.send('one');
		await log.find((line) => line === '{"seq":1,"text":"one"}');
		socket.close(1000, 'bye');
		await log.find((line) => line === '{"seq":2,"closed":{"code":1000,"reason":"bye","undelivered":0}}');
		assert.equal((await exit)[0], 0);
	});
}
