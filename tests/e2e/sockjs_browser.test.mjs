// sockjs-client as pages have it: its bundle in Debian's Chromium, each transport forced in turn, from a
// page of the same origin and, where a transport is for that, from one of another.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';

import { ExpressBackend } from './lib/backends.mjs';
import { startBackend } from './lib/bridge.mjs';
import { WITHOUT_BROWSER, startBrowser } from './lib/demo_page.mjs';
import { Pollux } from './lib/pollux.mjs';
import { ECHO, LONE, TEXTS } from './lib/sockjs_echo.mjs';
import { atEnd } from './lib/scope.mjs';

const BUNDLE = createRequire(import.meta.url).resolve('sockjs-client/dist/sockjs.min.js');
const SAME = ['websocket', 'xhr-streaming', 'eventsource', 'iframe-eventsource', 'htmlfile', 'iframe-htmlfile', 'xhr-polling',
	'iframe-xhr-polling', 'jsonp-polling'];
// htmlfile reaches into the page that framed it.
const CROSS = SAME.filter((name) => name !== 'htmlfile');
// A script's GET says no Origin, so a listed one cannot be told from any other.
const LISTED = CROSS.filter((name) => name !== 'jsonp-polling');

let browser;
const owner = { after: (run) => ends.push(run) };
const ends = [];

if (!WITHOUT_BROWSER) {
	before(async () => {
		browser = await startBrowser(owner);
	});
	after(async () => {
		for (const end of ends.reverse())
			await end();
	});
}

function app(routes) {
	routes.get('/sockjs.js', (request, response) => response.sendFile(BUNDLE));
	routes.get('/page', (request, response) => {
		response.type('html').send('<!doctype html><title>sockjs</title><body><script src="/sockjs.js"></script>');
	});
}

// Pollux before the app and the echo, another app at another origin, and a page of one of the two.
async function start(t, { isCross = false, route = {} } = {}) {
	const echo = await startBackend(t, ECHO);
	const site = await ExpressBackend.start(t, app);
	const other = await ExpressBackend.start(t, app);
	const pollux = await Pollux.start(t, {
		backends: { app: { servers: [site] }, echo: { servers: [echo] } },
		route: [{}, {
			path: '/echo', backend: 'echo', bridge: ['sockjs'], sockjs_client_url: '/sockjs.js',
			sockjs_disconnect_delay: '2s',
			...(isCross ? { allowed_origins: [`http://${other.address}`] } : {}),
			...(route.allowed_origins ? { allowed_origins: route.allowed_origins } : {}),
		}],
	});
	const page = await browser.newPage();
	atEnd(t, () => page.close());
	await page.goto(isCross ? `http://${other.address}/page` : pollux.url('/page'));
	return { page, pollux, echo, url: pollux.url('/echo') };
}

// In the page: opens, says all, and resolves with what it heard once it heard as much, or was closed.
function talk({ url, transport, texts, nExpected }) {
	return new Promise((resolve) => {
		const socket = new window.SockJS(url, null, { transports: transport });
		const said = { heard: [] };
		const timer = setTimeout(() => resolve({ ...said, isLate: true }), 20_000);
		const done = () => {
			clearTimeout(timer);
			said.transport ??= socket.transport;
			resolve(said);
		};
		socket.onopen = () => {
			said.transport = socket.transport;
			texts.forEach((text) => socket.send(text));
		};
		socket.onmessage = ({ data }) => {
			said.heard.push(data);
			if (said.heard.length === nExpected) {
				socket.onclose = null;
				socket.close();
				done();
			}
		};
		socket.onclose = ({ code, reason, wasClean }) => {
			said.closed = { code, reason, wasClean };
			done();
		};
	});
}

async function echoes({ page, url, echo }, transport) {
	const said = await page.evaluate(talk, { url, transport, texts: [...TEXTS, LONE[0]], nExpected: TEXTS.length + 1 });
	assert.deepEqual(said, { heard: [...TEXTS, LONE[1]], transport });
	assert.equal((await echo.closeOf(await echo.accept())).code, 1001);
}

for (const transport of SAME) {
	test(`same origin, ${transport}: an echo of everything, close codes`, { skip: WITHOUT_BROWSER }, async (t) => {
		const stage = await start(t);
		await echoes(stage, transport);
		const said = await stage.page.evaluate(talk, { url: stage.url, transport, texts: ['x', 'close:3000:Go away!'], nExpected: -1 });
		assert.deepEqual(said, { heard: ['x'], transport, closed: { code: 3000, reason: 'Go away!', wasClean: true } });
	});
}

for (const transport of LISTED) {
	test(`listed origin, ${transport}: an echo of everything`, { skip: WITHOUT_BROWSER }, async (t) => {
		await echoes(await start(t, { isCross: true }), transport);
	});
}

for (const transport of CROSS) {
	test(`open to all, ${transport}: an echo of everything`, { skip: WITHOUT_BROWSER }, async (t) => {
		await echoes(await start(t, { isCross: true, route: { allowed_origins: ['*'] } }), transport);
	});
}

test('another origin gets no session, by whatever transport', { skip: WITHOUT_BROWSER }, async (t) => {
	const stage = await start(t, { isCross: true, route: { allowed_origins: ['https://x.example'] } });
	for (const transport of CROSS) {
		const said = await stage.page.evaluate(talk, { url: stage.url, transport, texts: ['x'], nExpected: 1 });
		assert.equal(said.closed?.code, 1002, transport);
		assert.deepEqual(said.heard, []);
	}
	// Also where the client does without info: the page in the frame is refused by the browser.
	const isFramed = await stage.page.evaluate((url) => new Promise((resolve) => {
		const frame = document.createElement('iframe');
		window.onmessage = () => resolve(true);
		frame.onload = () => setTimeout(() => resolve(false), 1000);
		frame.src = `${url}/iframe.html#x`;
		document.body.append(frame);
	}), stage.url);
	assert.equal(isFramed, false);
	assert.equal(stage.echo.requests.length, 0);
});
