// Every connection is cut every two seconds, and everything arrives once and in order, both ways:
// pollux.js over each transport and over one after the other, EventSource, and a bare long-poll.
//
//	CUT_SECONDS=n	how long the cuts go on; a minute is what a release has to bear
//	SEED=n		repeats the messages of a run
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import EventSource from 'eventsource';

import { BlockingProxy } from './lib/blocking_proxy.mjs';
import { bridgeStage } from './lib/bridge.mjs';
import { TRANSPORTS, Talker, numbered, sameMessages } from './lib/pollux_js.mjs';
import { Random } from './lib/random.mjs';
import { atEnd } from './lib/scope.mjs';
import { Tap } from './lib/tap.mjs';
import { Changing, pass } from './lib/wait.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const SECONDS = Number(process.env.CUT_SECONDS ?? 5);
const CUT_EVERY_MS = 2000;

// All connections are cut, by turns with a reset and with an end. `nCuts` counts those that lived.
function startCuts(t, tap, onCut = () => {}) {
	const cuts = { n: 0 };
	const timer = setInterval(() => {
		for (const conn of tap.conns.filter(({ isOver }) => !isOver)) {
			conn[cuts.n % 2 === 0 ? 'reset' : 'cut']();
			cuts.n++;
		}
		onCut();
	}, CUT_EVERY_MS);
	cuts.stop = () => clearInterval(timer);
	atEnd(t, cuts.stop);
	return cuts;
}

async function start(t, options = {}) {
	const stage = await bridgeStage(t, { route: { heartbeat: '500ms', ...options } });
	const proxy = await BlockingProxy.start(t, stage.pollux.where());
	stage.tap = await Tap.start(t, proxy.where);
	stage.url = `http://${stage.tap.address}/chat`;
	stage.proxy = proxy;
	return stage;
}

// Says something again and again until `until`; all that was said.
async function talk(random, name, until, say) {
	const said = [];
	while (Date.now() < until) {
		for (let n = random.integer(0, 3); n > 0; n--) {
			said.push(numbered(random, name, said.length));
			say(said.at(-1));
		}
		await pass(random.integer(0, 20));
	}
	return said;
}

// Both ends talk while connections are cut; then everything must have arrived.
async function converse(t, stage, client, onCut) {
	const random = new Random(SEED);
	const socket = await stage.backend.accept();
	await client.opened();
	const cuts = startCuts(t, stage.tap, onCut);
	const until = Date.now() + SECONDS * 1000;
	const [down, up] = await Promise.all([
		talk(random.fork(), 'down', until, (message) => socket.send(message)),
		talk(random.fork(), 'up', until, (message) => client.send(message)),
	]);
	sameMessages(await client.count(down.length, 60_000), down, 'down');
	sameMessages(await socket.received.count(up.length, 60_000), up, 'up');
	cuts.stop();
	assert.ok(cuts.n >= SECONDS / 2 - 1, `${cuts.n} cuts`);
	t.diagnostic(`SEED=${SEED}: ${down.length} down, ${up.length} up, ${cuts.n} cuts`);
	await client.end();
	assert.equal(client.received.length, down.length, 'nothing more');
	assert.equal(socket.received.all.length, up.length, 'nothing more');
}

class PolluxJs {
	constructor(t, stage, options) {
		this.talker = new Talker(t, stage.url, { timeout: 1000, ...options });
	}

	get received() {
		return this.talker.received;
	}

	opened() {
		return this.talker.opened();
	}

	send(message) {
		this.talker.socket.send(message);
	}

	count(n, ms) {
		return this.talker.count(n, ms);
	}

	async end() {
		this.talker.socket.close();
		await this.talker.end();
		assert.equal(this.talker.closed.code, 1000);
	}
}

// What a client without a library does: numbered posts, repeated until they are answered.
class Bare extends Changing {
	received = [];
	#queue = [];
	#isSending = false;
	#n = 0;

	constructor(stage) {
		super();
		this.stage = stage;
	}

	opened() {
		return this.until(() => this.session, 'a session');
	}

	get url() {
		return `${this.stage.url}/~${this.session}`;
	}

	async #insist(url, options) {
		for (;;) {
			try {
				return await fetch(url, options);
			} catch {
				await pass(50);
			}
		}
	}

	async send(message) {
		this.#queue.push(message);
		if (this.#isSending)
			return;
		this.#isSending = true;
		while (this.#queue.length > 0) {
			const body = this.#queue.shift();
			const type = Buffer.isBuffer(body) ? 'application/octet-stream' : 'text/plain';
			const { status } = await this.#insist(this.url, { method: 'POST', body,
				headers: { 'Content-Type': type, 'Pollux-Seq': ++this.#n } });
			assert.equal(status, 204);
		}
		this.#isSending = false;
	}

	take({ seq, text, binary }) {
		assert.equal(seq, this.received.length + 1, 'the next message is the next');
		this.received.push(text ?? Buffer.from(binary, 'base64'));
		this.changed();
	}

	async count(n, ms) {
		await this.until(() => this.received.length >= n, `${n} messages`, ms);
		return this.received;
	}

	async end() {
		this.isDone = true;
		await this.#insist(this.url, { method: 'DELETE' });
	}
}

class Events extends Bare {
	constructor(t, stage) {
		super(stage);
		const source = new EventSource(`${stage.url}?as=json`);
		atEnd(t, () => source.close());
		source.onmessage = ({ data }) => this.take(JSON.parse(data));
		source.addEventListener('session', ({ data }) => {
			this.session = JSON.parse(data).session;
			this.changed();
		});
		source.addEventListener('reset', ({ data }) => this.abandon(new Error(`reset: ${data}`)));
		source.addEventListener('close', () => source.close());
	}
}

class Polls extends Bare {
	constructor(t, stage) {
		super(stage);
		atEnd(t, () => (this.isDone = true));
		this.#poll().catch((error) => this.abandon(error));
	}

	async #poll() {
		const opened = await fetch(this.stage.url, { method: 'POST' });
		this.session = (await opened.json()).session;
		this.changed();
		for (let cursor = 0; !this.isDone;) {
			let json;
			try {
				json = await (await fetch(`${this.url}?after=${cursor}&wait=1`)).json();
			} catch {
				await pass(50);
				continue;
			}
			assert.ok(json.messages || this.isDone, JSON.stringify(json));
			json.messages?.forEach((message) => this.take(message));
			cursor = json.cursor;
		}
	}
}

// They all wait most of the time.
describe('cut every two seconds', { concurrency: true }, () => {
	for (const transport of TRANSPORTS) {
		test(`pollux.js over ${transport}`, async (t) => {
			const stage = await start(t);
			const client = new PolluxJs(t, stage, { transports: [transport] });
			await converse(t, stage, client);
			assert.equal(client.talker.socket.transport, transport);
		});
	}

	test('pollux.js over one transport after the other', async (t) => {
		const stage = await start(t);
		const client = new PolluxJs(t, stage, { timeout: 300 });
		const turns = [['websocket'], ['websocket silently', 'sse'], [], ['websocket', 'sse']];
		const seen = new Set();
		let n = 0;
		await converse(t, stage, client, () => {
			seen.add(client.talker.socket.transport);
			stage.proxy.blocked = new Set(turns[n++ % turns.length]);
		});
		assert.ok(seen.size >= 2, [...seen].join());
		t.diagnostic([...seen].join(', '));
	});

	test('EventSource and posts', async (t) => {
		const stage = await start(t);
		await converse(t, stage, new Events(t, stage));
	});

	test('long-polls and posts', async (t) => {
		const stage = await start(t);
		await converse(t, stage, new Polls(t, stage));
	});
});
