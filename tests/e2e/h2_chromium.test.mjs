// Debian's Chromium over HTTP/2: pages, fetches, EventSource, and WebSockets by RFC 8441.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';

import { WITHOUT_BROWSER, startBrowser } from './lib/demo_page.mjs';
import { N_EVENTS, answer } from './lib/dual_app.mjs';
import { LINKS, linked } from './lib/h2_stage.mjs';
import { atEnd } from './lib/scope.mjs';
import { PATIENCE_MS } from './lib/wait.mjs';

const IS_H2 = /^2/;

async function start(t, browser, link, options = {}) {
	const stage = await linked(t, link, {
		route: [{}, { path: '/chat', bridge: ['plain'] }],
		server: { answer },
		...options,
	});
	const context = await browser.newContext({ ignoreHTTPSErrors: true });
	context.setDefaultTimeout(PATIENCE_MS);
	atEnd(t, () => context.close());
	stage.page = await context.newPage();
	stage.faults = [];
	stage.page.on('pageerror', (error) => stage.faults.push(error.message));
	await stage.page.goto(stage.pollux.url('/page', { scheme: 'https' }));
	return stage;
}

// Runs in the page: a WebSocket that has said what it was given, and what came of it.
function converse({ path, protocols, texts, sizes, close }) {
	return new Promise((done, fail) => {
		const socket = new WebSocket(`wss://${location.host}${path}`, protocols);
		const got = { texts: [], sums: [] };
		socket.binaryType = 'arraybuffer';
		socket.onopen = () => {
			got.protocol = socket.protocol;
			got.extensions = socket.extensions;
			texts.forEach((text) => socket.send(text));
			sizes.forEach((size) => socket.send(new Uint8Array(size).fill(7)));
		};
		socket.onmessage = ({ data }) => {
			if (typeof data === 'string')
				got.texts.push(data);
			else
				got.sums.push([data.byteLength, new Uint8Array(data).every((byte) => byte === 7)]);
			if (got.texts.length === texts.length && got.sums.length === sizes.length)
				socket.close(...close);
		};
		socket.onclose = ({ code, reason, wasClean }) => done({ ...got, code, reason, wasClean });
		socket.onerror = () => fail(new Error(`the WebSocket ${path} has failed`));
	});
}

async function fetches(t, stage) {
	const { page, pollux } = stage;

	await t.test('the page comes over HTTP/2', async () => {
		const protocol = await page.evaluate(() =>
			performance.getEntriesByType('navigation')[0].nextHopProtocol);
		assert.equal(protocol, 'h2');
		assert.match((await pollux.accessed({ target: '/page' })).version, IS_H2);
	});

	await t.test('two hundred fetches at once', async () => {
		const texts = await page.evaluate(() => Promise.all(Array.from({ length: 200 }, async (_, n) =>
			(await fetch(`/facts?${n}`, { headers: { 'x-n': n } })).json())));
		texts.forEach(({ headers }, n) => assert.equal(headers['x-n'], String(n)));
		for (let n = 0; n < 200; n++)
			assert.match((await pollux.accessed({ target: `/facts?${n}` })).version, IS_H2);
	});

	await t.test('bodies: text, a form, a blob, and one that is made as it goes', async () => {
		const sent = await page.evaluate(async () => {
			const hash = async (body, options = {}) =>
				(await fetch('/hash', { method: 'POST', body, ...options })).text();
			const form = new URLSearchParams({ a: '1', b: 'ü' });
			const blob = new Blob([new Uint8Array(5_000_000).fill(7)]);
			const parts = new ReadableStream({
				n: 0,
				pull(controller) {
					if (this.n++ === 20)
						controller.close();
					else
						controller.enqueue(new Uint8Array(10_000).fill(7));
				},
			});
			return [
				await hash('some text'), await hash(form), await hash(blob),
				await hash(parts, { duplex: 'half' }),
			];
		});
		const wanted = ['some text', 'a=1&b=%C3%BC', Buffer.alloc(5_000_000, 7), Buffer.alloc(200_000, 7)]
			.map((body) => createHash('sha256').update(body).digest('hex'));
		assert.deepEqual(sent, wanted);
	});

	await t.test('cookies', async () => {
		await page.context().addCookies(['one', 'two', 'three'].map((name) => (
			{ name, value: 'x', url: stage.pollux.url('/', { scheme: 'https' }) })));
		const { headers } = await page.evaluate(async () => (await fetch('/facts')).json());
		assert.deepEqual(headers.cookie.split('; ').sort(), ['one=x', 'three=x', 'two=x']);
	});

	await t.test('a fetch that is given up', async () => {
		const nBefore = stage.backend.requests.length;
		await page.evaluate(() => {
			window.control = new AbortController();
			fetch('/never', { signal: window.control.signal }).catch(() => {});
		});
		await stage.backend.until(() => stage.backend.requests[nBefore], 'the request');
		await page.evaluate(() => window.control.abort());
		assert.equal((await pollux.accessed({ target: '/never' })).reason, 'client-gone');
	});
}

async function pushes(t, stage) {
	const { page, pollux } = stage;

	await t.test('EventSource: all events once, over two streams', async () => {
		const events = await page.evaluate((n) => new Promise((done) => {
			const source = new EventSource('/events');
			const all = [];
			source.onmessage = ({ data, lastEventId }) => {
				all.push(`${lastEventId}: ${data}`);
				if (all.length === n) {
					source.close();
					done(all);
				}
			};
		}), N_EVENTS);
		assert.deepEqual(events, Array.from({ length: N_EVENTS }, (_, n) => `${n + 1}: event ${n + 1}`));
		for (let n = 0; n < 2; n++)
			assert.match((await pollux.accessed({ target: '/events' })).version, IS_H2);
	});

	await t.test('a WebSocket, over HTTP/2', async () => {
		const nBefore = stage.backend.webSockets.length;
		stage.backend.webSocket = () => ({ fields: { 'sec-websocket-protocol': 'chat.v2' } });
		const got = await page.evaluate(converse, {
			path: '/ws?x=1',
			protocols: ['chat.v1', 'chat.v2'],
			texts: ['', 'hello', 'Grüße 🌍'.repeat(10_000)],
			sizes: [1, 70_000, 2_000_000],
			close: [4001, 'enough'],
		});
		stage.backend.webSocket = () => ({});
		assert.deepEqual(got.texts, ['', 'hello', 'Grüße 🌍'.repeat(10_000)]);
		assert.deepEqual(got.sums, [[1, true], [70_000, true], [2_000_000, true]]);
		assert.deepEqual([got.code, got.reason, got.wasClean, got.protocol], [4001, 'enough', true, 'chat.v2']);
		const entry = await pollux.accessed({ target: '/ws?x=1' });
		assert.match(entry.version, IS_H2);
		assert.deepEqual([entry.tunnel, entry.status, entry.reason], [true, 200, undefined]);
		const { headers } = stage.backend.webSockets[nBefore];
		assert.equal(headers['sec-websocket-protocol'], 'chat.v1, chat.v2');
		assert.match(headers['sec-websocket-extensions'], /permessage-deflate/);
		assert.equal(headers.origin, stage.pollux.url('', { scheme: 'https' }));
	});

	// Not many more: Chromium opens them one by one, the more the slower.
	await t.test('eight WebSockets at once, while fetches go on', async () => {
		const plan = { path: '/ws', protocols: [], texts: ['a', 'b'], sizes: [10_000], close: [1000] };
		const all = await Promise.all([
			...Array.from({ length: 8 }, () => page.evaluate(converse, plan)),
			page.evaluate(async () => (await fetch('/hello')).text()),
		]);
		assert.equal(all.pop(), 'hello\n');
		for (const got of all)
			assert.deepEqual([got.texts, got.code, got.wasClean], [['a', 'b'], 1000, true]);
		for (let n = 0; n < 8; n++)
			assert.match((await pollux.accessed({ target: '/ws' })).version, IS_H2);
	});

	await t.test('a WebSocket that is refused', async () => {
		stage.backend.webSocket = () => ({ status: 403, body: 'no' });
		await assert.rejects(page.evaluate(converse,
			{ path: '/refused', protocols: [], texts: ['x'], sizes: [], close: [] }), /has failed/);
		stage.backend.webSocket = () => ({});
		const entry = await pollux.accessed({ target: '/refused' });
		assert.equal(entry.status, 403);
		assert.match(entry.version, IS_H2);
	});

	await t.test('the bridge: an EventSource listens, fetch speaks', async () => {
		const nBefore = stage.backend.webSockets.length;
		const got = await page.evaluate(() => new Promise((done, fail) => {
			const source = new EventSource('/chat');
			const all = [];
			source.addEventListener('session', async ({ data }) => {
				const url = `/chat/~${JSON.parse(data).session}`;
				for (const body of ['one', 'two\nlines', 'ü'])
					await fetch(url, { method: 'POST', body });
				await fetch(url, { method: 'POST', body: new Blob(['raw'], { type: 'application/octet-stream' }) });
			});
			source.onmessage = ({ data }) => all.push(data);
			source.addEventListener('binary', ({ data }) => {
				source.close();
				done([...all, data]);
			});
			source.onerror = () => fail(new Error('the EventSource has failed'));
		}));
		assert.deepEqual(got, ['one', 'two\nlines', 'ü', Buffer.from('raw').toString('base64')]);
		assert.equal(stage.backend.webSockets.length, nBefore + 1);
		assert.match((await pollux.accessed({ target: '/chat' })).version, IS_H2);
	});
}

test('Chromium over HTTP/2', { skip: WITHOUT_BROWSER }, async (t) => {
	const browser = await startBrowser(t);

	for (const link of LINKS.filter(({ isTls }) => isTls)) {
		await t.test(link.name, async (t) => {
			const stage = await start(t, browser, link);
			await fetches(t, stage);
			await pushes(t, stage);
			assert.deepEqual(stage.faults, []);
		});

		await t.test(`${link.name}: a drain closes WebSockets with 1001`, async (t) => {
			const { page, pollux } = await start(t, browser, link, { program: { drain: '10s' } });
			await page.evaluate(() => new Promise((done, fail) => {
				const socket = new WebSocket(`wss://${location.host}/ws`);
				window.ended = new Promise((tell) => {
					socket.onclose = ({ code, wasClean }) => tell([code, wasClean]);
				});
				socket.onopen = done;
				socket.onerror = fail;
			}));
			pollux.signal('SIGTERM');
			assert.deepEqual(await page.evaluate(() => window.ended), [1001, true]);
			assert.match((await pollux.accessed({ target: '/ws' })).version, IS_H2);
			assert.deepEqual(await pollux.left(), { code: 0, signal: null });
		});

		await t.test(`${link.name}: a page that is left gives up what it had open`, async (t) => {
			const { page, pollux, backend } = await start(t, browser, link);
			await page.evaluate(() => new Promise((done) => {
				window.socket = new WebSocket(`wss://${location.host}/ws`);
				window.socket.onopen = done;
			}));
			const end = await backend.accept();
			await page.goto('about:blank');
			await end.expectGone();
			assert.match((await pollux.accessed({ target: '/ws' })).version, IS_H2);
		});
	}

	await t.test('a listener that does not offer RFC 8441: WebSockets over HTTP/1.1', async (t) => {
		const { page, pollux } = await start(t, browser, LINKS[2], { listen: { http2_websocket: false } });
		const got = await page.evaluate(converse,
			{ path: '/ws', protocols: [], texts: ['x'], sizes: [], close: [1000] });
		assert.deepEqual([got.texts, got.code], [['x'], 1000]);
		assert.equal((await pollux.accessed({ target: '/ws' })).version, '1.1');
		assert.match((await pollux.accessed({ target: '/page' })).version, IS_H2);
	});
});
