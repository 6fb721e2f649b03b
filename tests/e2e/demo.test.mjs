// The demo page as a person sees it: Debian's Chromium, Pollux, and the demo app, over plain TCP
// and over TLS.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSocket } from 'ws';

import { Authority } from './lib/certificates.mjs';
import { DemoPage, NARROW, WIDE, WITHOUT_BROWSER, startBrowser } from './lib/demo_page.mjs';
import { Origin } from './lib/origin.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { Changing, event } from './lib/wait.mjs';

const TITLES = { websocket: 'WebSocket', sse: 'SSE', longpoll: 'Long-poll' };
const HARD = '<b>&amp;</b> "ü" € 𝄞 \\ \u2028 data: x';

// A member of the room that comes to Pollux without the browser and without the tap.
class Member extends Changing {
	heard = [];

	static async enter(owner, stage, name) {
		const member = new Member();
		member.socket = new WebSocket(stage.pollux.url(`/chat?name=${name}`, { scheme: stage.ws }),
			{ rejectUnauthorized: false });
		member.socket.on('message', (data) => {
			member.heard.push(JSON.parse(data));
			member.changed();
		});
		await event(member.socket, 'open');
		atEnd(owner, () => member.socket.terminate());
		await member.hears({ kind: 'welcome' });
		return member;
	}

	say(text) {
		this.socket.send(text);
	}

	hears(members) {
		const fits = (said) => Object.entries(members).every(([name, value]) => said[name] === value);
		return this.until(() => this.heard.find(fits), JSON.stringify(members));
	}

	count(text) {
		return this.heard.filter((said) => said.text === text && !said.old).length;
	}
}

/*
 * The demo app, Pollux, and a tap between it and the browser, so that connections can be cut and
 * Pollux be started anew at the same address.
 */
async function start(t, scheme) {
	const origin = await Origin.start(t);
	const listen = {};
	if (scheme === 'https')
		listen.certificates = [new Authority(t).issue(['127.0.0.1']).pem];
	const stage = { ws: scheme === 'https' ? 'wss' : 'ws' };
	stage.startPollux = () => Pollux.start(t, {
		listen,
		backend: { servers: [origin] },
		route: [{}, { path: '/chat', bridge: ['plain'] }],
	});
	stage.pollux = await stage.startPollux();
	const target = stage.pollux.where();
	stage.losesAnswers = false;
	stage.tap = await Tap.start(t, target, (conn) => {
		if (stage.losesAnswers)
			conn.toClient.cutAt = 0;
	});
	stage.restart = async () => {
		await stage.pollux.stop();
		stage.pollux = await stage.startPollux();
		Object.assign(target, stage.pollux.where());
	};
	stage.url = `${scheme}://${stage.tap.address}/`;
	return stage;
}

async function openPage(t, stage, browser, { name, ...options } = {}) {
	const page = await DemoPage.open(t, browser, `${stage.url}?name=${name}`, options);
	await page.isOpen();
	return page;
}

// Each column hears each once, and in this order.
async function allHear(page, texts) {
	await page.each(async (column) => {
		for (const text of texts)
			await column.hears(text);
		const heard = (await column.lines())
			.map((line) => texts.find((text) => line.endsWith(` ${text}`)))
			.filter((text) => text !== undefined);
		assert.deepEqual(heard, texts, column.id);
	});
}

for (const scheme of ['http', 'https']) {
	test(`the demo page over ${scheme}`, { skip: WITHOUT_BROWSER }, async (t) => {
		const browser = await startBrowser(t);

		await t.test('each column is a member of its own', async (t) => {
			const stage = await start(t, scheme);
			const watcher = await Member.enter(t, stage, 'watcher');
			const page = await openPage(t, stage, browser, { name: 'Ann' });

			await page.each(async (column) => {
				const name = `Ann (${TITLES[column.id]})`;
				await column.hears(`You are ${name}.`);
				await watcher.hears({ kind: 'join', name });
			});
			assert.deepEqual(page.faults, []);
		});

		await t.test('what is said in one column is heard in all', async (t) => {
			const stage = await start(t, scheme);
			const page = await openPage(t, stage, browser, { name: 'Ann' });

			const texts = [];
			for (const column of page.columns) {
				for (const text of [`hello from ${column.id}`, `${HARD} ${column.id}`]) {
					texts.push(text);
					await column.say(text);
					await allHear(page, texts);
				}
			}
			assert.deepEqual(page.faults, []);
		});

		await t.test('counters count', async (t) => {
			const stage = await start(t, scheme);
			const page = await openPage(t, stage, browser, { name: 'Ann' });
			await page.each((column) => column.hears('You are Ann'));

			for (const column of page.columns)
				await column.say('ü€');
			await page.each(async (column) => {
				await column.hears('ü€', { times: 3 });
				await column.root.locator('[data-counter=sent]', { hasText: '1' }).waitFor();
				assert.equal(await column.counter('bytesSent'), 5);
				assert.match(await column.root.locator('[data-counter=roundTrip]').textContent(),
					/^[\d.]+ ms$/);
				assert.ok(await column.counter('received') >= 4);
				assert.ok(await column.counter('bytesReceived') > 100);
			});
			assert.equal(await page.websocket.counter('requests'), 1);
			assert.equal(await page.sse.counter('requests'), 2, 'a stream and a post');
			assert.ok(await page.longpoll.counter('requests') >= 4);
		});

		await t.test('two people hear each other', async (t) => {
			const stage = await start(t, scheme);
			const ann = await openPage(t, stage, browser, { name: 'Ann' });
			const bob = await openPage(t, stage, browser, { name: 'Bob', viewport: NARROW });

			await ann.each((column) => column.hears('Bob (Long-poll) came'));
			await ann.sse.say('hello Bob');
			await allHear(bob, ['hello Bob']);
			await bob.longpoll.say('hello Ann');
			await allHear(ann, ['hello Bob', 'hello Ann']);
		});

		await t.test('who comes late is told what was said', async (t) => {
			const stage = await start(t, scheme);
			const member = await Member.enter(t, stage, 'early');
			member.say('before');
			await member.hears({ text: 'before' });

			const page = await openPage(t, stage, browser, { name: 'Ann' });
			await allHear(page, ['before']);
		});

		await t.test('a column can leave and come back', async (t) => {
			const stage = await start(t, scheme);
			const watcher = await Member.enter(t, stage, 'watcher');
			const page = await openPage(t, stage, browser, { name: 'Ann' });

			for (const column of page.columns) {
				const name = `Ann (${TITLES[column.id]})`;
				await watcher.hears({ kind: 'join', name });
				await column.switch.click();
				await column.isState('closed');
				assert.ok(await column.button.isDisabled());
				await watcher.hears({ kind: 'leave', name });
				await column.switch.click();
				await column.isState('open');
				await column.say(`${column.id} is back`);
				await watcher.hears({ text: `${column.id} is back`, name });
			}
			await allHear(page, page.columns.map(({ id }) => `${id} is back`));
			assert.deepEqual(page.faults, []);
		});

		await t.test('who leaves the page leaves the room', async (t) => {
			const stage = await start(t, scheme);
			const watcher = await Member.enter(t, stage, 'watcher');
			const page = await openPage(t, stage, browser, { name: 'Ann' });

			await page.leave();
			for (const title of Object.values(TITLES))
				await watcher.hears({ kind: 'leave', name: `Ann (${title})` });
		});

		await t.test('connections that are cut: nothing is lost or shown twice', async (t) => {
			const stage = await start(t, scheme);
			const member = await Member.enter(t, stage, 'member');
			const page = await openPage(t, stage, browser, { name: 'Ann' });

			const texts = [];
			for (const way of ['reset', 'cut', 'reset']) {
				for (const conn of stage.tap.conns)
					conn[way]();
				// Said while nobody in the browser is connected.
				texts.push(`said after ${way} ${texts.length}`);
				member.say(texts.at(-1));
				await allHear(page, texts);
				await page.isOpen();
				for (const column of page.columns) {
					texts.push(`${column.id} after ${way} ${texts.length}`);
					await column.say(texts.at(-1));
					await allHear(page, texts);
				}
			}
			for (const column of [page.sse, page.longpoll])
				assert.equal(await column.count('a new session'), 0, 'the session has survived');
			for (const text of texts)
				assert.equal(member.count(text), 1, `${text}: said once`);
		});

		await t.test('answers that are lost: what was posted is said once', async (t) => {
			const stage = await start(t, scheme);
			const member = await Member.enter(t, stage, 'member');
			const page = await openPage(t, stage, browser, { name: 'Ann' });
			const columns = [page.sse, page.longpoll];
			for (const column of columns)
				await column.input.fill(`posted by ${column.id}`);
			// Nothing is on its way to the browser any more when this has come.
			await page.websocket.say('ready');
			await allHear(page, ['ready']);

			stage.losesAnswers = true;
			for (const conn of stage.tap.conns)
				conn.toClient.cutAt = conn.toClient.n;
			await page.submit(columns);
			// Over TLS a new connection gets nowhere, for the handshake's answers are lost, too: whether
			// the posts have arrived depends on the connections that the browser had left.
			if (scheme === 'http')
				await Promise.all(columns.map(({ id }) => member.hears({ text: `posted by ${id}` })));
			stage.losesAnswers = false;
			for (const conn of stage.tap.conns)
				conn.cut();
			await page.isOpen();
			await Promise.all(columns.map(({ id }) => member.hears({ text: `posted by ${id}` })));
			await page.each((column) => Promise.all(
				columns.map(({ id }) => column.hears(`posted by ${id}`))));
			for (const { id } of columns)
				assert.equal(member.count(`posted by ${id}`), 1);
			for (const { id } of columns)
				await page.each(async (column) => assert.equal(await column.count(`posted by ${id}`), 1));
		});

		await t.test('Pollux starts anew: everybody comes back', async (t) => {
			const stage = await start(t, scheme);
			const page = await openPage(t, stage, browser, { name: 'Ann' });
			await page.websocket.say('before');
			await allHear(page, ['before']);

			await stage.restart();
			await page.sse.hears('a new session (unknown session)');
			await page.longpoll.hears('the session has ended: 404');
			await page.each((column) => column.hears('You are Ann', { times: 2 }));
			await page.isOpen();
			const texts = ['before'];
			for (const column of page.columns) {
				texts.push(`${column.id} is back`);
				await column.say(texts.at(-1));
				await allHear(page, texts);
			}
		});

		await t.test('the page fits its window', async (t) => {
			const stage = await start(t, scheme);
			for (const viewport of [WIDE, NARROW]) {
				const page = await openPage(t, stage, browser, { name: 'Ann', viewport });
				await page.longpoll.say(`${'a long word '.repeat(20)}${'x'.repeat(300)}`);
				await page.each((column) => column.hears('a long word'));
				assert.equal(await page.overflow(), 0, `${viewport.width} wide`);
			}
		});
	});
}
