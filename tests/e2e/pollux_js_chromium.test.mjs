// pollux.js in a page of Debian's Chromium, as Pollux serves it: each transport, blocked transports,
// cuts, and a page that leaves.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';

import { BlockingProxy } from './lib/blocking_proxy.mjs';
import { bridgeStage } from './lib/bridge.mjs';
import { WITHOUT_BROWSER, startBrowser } from './lib/demo_page.mjs';
import { TRANSPORTS } from './lib/pollux_js.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { PATIENCE_MS, event, pass } from './lib/wait.mjs';

const HTML = '<!doctype html><meta charset=utf-8><link rel=icon href=data:,>';

// A site of one empty page.
async function startSite(t) {
	const server = http.createServer((request, response) => {
		response.writeHead(200, { 'Content-Type': 'text/html' }).end(HTML);
	});
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	atEnd(t, () => {
		server.close();
		server.closeAllConnections();
	});
	return `http://127.0.0.1:${server.address().port}`;
}

// The page talks over `url`: `talker.received` and `talker.closed` are kept in it.
class Page {
	faults = [];

	static async open(t, browser, site, script) {
		const context = await browser.newContext();
		context.setDefaultTimeout(PATIENCE_MS);
		atEnd(t, () => context.close());
		const self = new Page();
		self.page = await context.newPage();
		self.page.on('pageerror', (error) => self.faults.push(error.message));
		await self.page.goto(site);
		await self.page.addScriptTag({ url: script });
		return self;
	}

	connect(url, options = {}, protocols = []) {
		return this.page.evaluate(({ url, options, protocols }) => {
			const socket = new PolluxSocket(url, protocols, options);
			const talker = { socket, received: [], closed: undefined };
			globalThis.talker = talker;
			socket.binaryType = 'arraybuffer';
			socket.onmessage = ({ data }) => talker.received.push(
				typeof data === 'string' ? data : `bytes ${[...new Uint8Array(data)]}`);
			socket.onclose = ({ code, reason, wasClean }) => (talker.closed = { code, reason, wasClean });
			return new Promise((done, fail) => {
				socket.onopen = done;
				socket.onerror = ({ message }) => fail(new Error(message));
			});
		}, { url, options, protocols });
	}

	send(...texts) {
		return this.page.evaluate((texts) => texts.forEach((text) => globalThis.talker.socket.send(text)), texts);
	}

	async count(n, ms = PATIENCE_MS) {
		await this.page.waitForFunction((n) => globalThis.talker.received.length >= n, n, { timeout: ms });
		return this.page.evaluate(() => globalThis.talker.received);
	}

	async closed() {
		await this.page.waitForFunction(() => globalThis.talker.closed);
		return this.page.evaluate(() => globalThis.talker.closed);
	}

	transport() {
		return this.page.evaluate(() => globalThis.talker.socket.transport);
	}
}

test('pollux.js in Chromium', { skip: WITHOUT_BROWSER }, async (t) => {
	const browser = await startBrowser(t);
	const blockings = [
		{ blocked: [], wanted: 'websocket' },
		{ blocked: ['websocket'], wanted: 'sse' },
		{ blocked: ['websocket silently'], wanted: 'sse' },
		{ blocked: ['websocket', 'sse'], wanted: 'poll' },
	];

	async function start(t, { blocked = [], ...options } = {}) {
		const site = await startSite(t);
		const stage = await bridgeStage(t, {
			route: { client_script: '/chat/pollux.js', allowed_origins: [site], ...options },
		});
		stage.proxy = await BlockingProxy.start(t, stage.pollux.where());
		stage.proxy.blocked = new Set(blocked);
		stage.tap = await Tap.start(t, stage.proxy.where);
		stage.url = `http://${stage.tap.address}/chat`;
		stage.page = await Page.open(t, browser, site, `${stage.url}/pollux.js`);
		return stage;
	}

	for (const { blocked, wanted } of blockings) {
		await t.test(`blocked: ${blocked.join(', ') || 'nothing'}`, async (t) => {
			const { page, url, backend } = await start(t, { blocked });
			await page.connect(url, { timeout: 1000 });
			const socket = await backend.accept();
			socket.send('down €');
			socket.send(Buffer.from([0, 1, 255]));
			await page.send('up 𝄞', '', 'second');
			assert.deepEqual(await page.count(2), ['down €', 'bytes 0,1,255']);
			assert.deepEqual(await socket.received.count(3), ['up 𝄞', '', 'second']);
			assert.equal(await page.transport(), wanted);
			socket.close(4001, 'bye');
			assert.deepEqual(await page.closed(), { code: 4001, reason: 'bye', wasClean: true });
			assert.deepEqual(page.faults, []);
		});
	}

	const isCut = (transport) => async (t) => {
		const { page, url, backend, tap } = await start(t);
		await page.connect(url, { transports: [transport], timeout: 1000 });
		const socket = await backend.accept();
		const down = [];
		const up = [];
		for (let n = 0; n < 4; n++) {
			for (let i = 0; i < 40; i++) {
				down.push(`down ${down.length}`);
				up.push(`up ${up.length}`);
				socket.send(down.at(-1));
				await page.send(up.at(-1));
				await pass(50);
			}
			tap.conns.filter(({ isOver }) => !isOver)
				.forEach((conn) => conn[n % 2 === 0 ? 'reset' : 'cut']());
		}
		assert.deepEqual(await page.count(down.length), down);
		assert.deepEqual(await socket.received.count(up.length), up);
		assert.equal(await page.transport(), transport);
	};
	await t.test('connections are cut every two seconds', { concurrency: true }, (t) =>
		Promise.all(TRANSPORTS.map((transport) => t.test(transport, isCut(transport)))));

	await t.test('subprotocols', async (t) => {
		const { page, url, backend } = await start(t);
		await page.connect(url, {}, ['chat.v1']);
		await backend.accept();
		assert.equal(await page.page.evaluate(() => globalThis.talker.socket.protocol), 'chat.v1');
	});

	await t.test('who leaves the page ends the session', async (t) => {
		const { page, url, backend } = await start(t);
		await page.connect(url);
		const socket = await backend.accept();
		const closed = event(socket, 'close');
		await page.page.goto('about:blank');
		assert.equal((await closed)[0], 1000);
	});

	await t.test('a page of a foreign site gets no session', async (t) => {
		const { url, backend } = await start(t);
		const foreign = await Page.open(t, browser, await startSite(t), `${url}/pollux.js`);
		await assert.rejects(foreign.connect(url, { patience: 1000 }), /nothing gets through|HTTP 403/);
		assert.equal(backend.sockets.length, 0);
	});
});
