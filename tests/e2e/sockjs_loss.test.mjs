// Cuts at random places: a SockJS client that is cut off may lose messages, but is never left to believe
// that it has them all. The seed is printed, and SEED repeats it.
import assert from 'node:assert/strict';
import test from 'node:test';

import { requestText } from './lib/bridge.mjs';
import { Random } from './lib/random.mjs';
import { RECEIVERS, newSession, sockStage } from './lib/sockjs.mjs';
import { Tap } from './lib/tap.mjs';
import { eventually } from './lib/wait.mjs';
import { Wire } from './lib/wire.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const N_SESSIONS = 60;
const N_MESSAGES = 400;

// How a frame ends, what stands in it, and how what goes before the first one ends.
const JSON_IN = (shape) => (text) => JSON.parse(shape.exec(text)[1]);
const SHAPES = {
	xhr: { end: '\n', unwrap: (text) => text.slice(0, -1) },
	xhr_streaming: { end: '\n', unwrap: (text) => text.slice(0, -1), preludeEnd: '\n' },
	eventsource: { end: '\r\n\r\n', unwrap: (text) => /^data: (.*)\r\n\r\n$/.exec(text)[1], preludeEnd: '\r\n' },
	htmlfile: {
		end: '</script>\r\n',
		unwrap: JSON_IN(/^<script>\np\((.*)\);\n<\/script>\r\n$/),
		preludeEnd: '  \r\n\r\n',
	},
	jsonp: { end: ');\r\n', unwrap: JSON_IN(/^\/\*\*\/call\.back\((.*)\);\r\n$/) },
};

// Reads one response: its frames, to its end.
async function* framesOf(wire, transport) {
	const { end, unwrap, preludeEnd } = SHAPES[transport];
	let mark = preludeEnd ?? end;
	let text = '';
	let isPrelude = preludeEnd !== undefined;
	for (;;) {
		const size = parseInt((await wire.readUntil('\r\n')).toString('latin1'), 16);
		text += (await wire.read(size)).toString();
		await wire.read(2);
		for (let n = text.indexOf(mark); n >= 0; n = text.indexOf(mark)) {
			const piece = text.slice(0, n + mark.length);
			text = text.slice(piece.length);
			mark = end;
			if (!isPrelude)
				yield unwrap(piece);
			isPrelude = false;
		}
		if (size === 0)
			return;
	}
}

class Client {
	next = 0;
	nOpened = 0;

	constructor(tap, random) {
		this.tap = tap;
		this.random = random;
		this.id = newSession();
	}

	// False: cut.
	async receive(where, transport) {
		const { method, query } = RECEIVERS[transport];
		let wire;
		try {
			wire = await Wire.connect(undefined, where);
			wire.send(requestText(method, `/echo/0/${this.id}/${transport}${query}`));
			const head = await wire.readHead();
			assert.match(head.line, / 200 /);
			for await (const frame of framesOf(wire, transport))
				this.take(frame);
			return true;
		} catch (error) {
			if (error.code === 'ERR_ASSERTION')
				throw error;
			return false;
		} finally {
			wire?.close();
		}
	}

	take(frame) {
		switch (frame[0]) {
		case 'o':
			assert.equal(++this.nOpened, 1, 'a session that begins anew in the middle');
			break;
		case 'a':
			for (const text of JSON.parse(frame.slice(1)))
				assert.equal(text, String(this.next++), 'a hole');
			break;
		case 'c':
			this.closed = JSON.parse(frame.slice(1));
			break;
		default:
			assert.equal(frame, 'h');
		}
	}

	// To the close, or to a cut; what a receiver without cuts is told then.
	async run(direct) {
		while (this.closed === undefined) {
			const transport = this.random.pick(Object.keys(RECEIVERS));
			this.cutAt = this.random.chance(0.15) ? this.random.integer(0, 6000) : Infinity;
			if (await this.receive(this.tap.where, transport))
				continue;
			this.wasCut = true;
			break;
		}
		const had = this.next;
		// Whoever was not cut has everything.
		if (!this.wasCut) {
			assert.deepEqual(this.closed, [3000, 'done']);
			assert.equal(had, N_MESSAGES);
			return;
		}
		if (this.nOpened === 0)
			return;
		/*
		 * Where the response had left Pollux whole, the session goes on, and a client that knows that its
		 * poll has failed does not ask. Else it is over, and that is said.
		 */
		this.take = (frame) => (this.told = frame);
		await eventually(async () => {
			await this.receive(direct, 'xhr');
			return !this.told.startsWith('c[2010,');
		}, 'the cut seen by Pollux');
		assert.match(this.told, /^[ach]/);
		if (this.told[0] === 'c')
			assert.match(this.told, /^c\[(1002,"Connection interrupted"|3000,"done")\]$/);
	}
}

test(`clients that are cut at random (SEED=${SEED})`, async (t) => {
	const random = new Random(SEED);
	const ws = {
		onSocket(socket) {
			let n = 0;
			const say = () => {
				for (let k = 0; k < 20; k++)
					socket.send(String(n++));
				if (n < N_MESSAGES)
					setImmediate(say);
				else
					socket.close(3000, 'done');
			};
			say();
		},
	};
	const { pollux } = await sockStage(t, { ws, route: { sockjs_response_limit: 600, batch_messages: 30 } });
	for (let n = 0; n < N_SESSIONS; n++) {
		let client;
		const tap = await Tap.start(t, pollux.where(), (conn) => {
			conn.toClient.cutAt = client.cutAt;
		});
		client = new Client(tap, random);
		await client.run(pollux.where());
	}
});

test(`streams that are cut at random end their sessions (SEED=${SEED})`, async (t) => {
	const random = new Random(SEED + 1);
	const { pollux, backend, sock } = await sockStage(t);
	for (let n = 0; n < 30; n++) {
		const transport = random.pick(['xhr_streaming', 'eventsource', 'htmlfile']);
		const session = sock.session();
		const receiver = await session.receive(transport);
		await receiver.expect(RECEIVERS[transport].wrap('o'));
		const socket = await backend.accept();
		for (let k = random.integer(0, 20); k > 0; k--)
			socket.send('x'.repeat(random.integer(0, 3000)));
		receiver.reset();
		assert.equal((await backend.closeOf(socket)).code, 1001);
		await session.expectFrame('c[1002,"Connection interrupted"]');
	}
	await pollux.accessed({ target: /\/xhr$/ });
});
