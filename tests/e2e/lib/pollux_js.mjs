// pollux.js in Node, and a backend that talks to it: each end numbers what it says, so that what is
// lost, repeated or reordered shows.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { WebSocket } from 'ws';

import { atEnd } from './scope.mjs';
import { Changing, eventually } from './wait.mjs';

const require = createRequire(import.meta.url);

export const PolluxSocket = require('../../../bridge/client/pollux.js');
export const TRANSPORTS = ['websocket', 'sse', 'poll'];

// A PolluxSocket whose events are kept and waited for.
export class Talker extends Changing {
	received = [];
	events = []; // types, messages apart
	closed; // { code, reason, wasClean }

	constructor(owner, url, { protocols, ...options } = {}) {
		super();
		this.socket = new PolluxSocket(url, protocols, { WebSocket, ...options });
		this.socket.binaryType = 'arraybuffer';
		for (const type of ['open', 'error', 'close']) {
			this.socket.addEventListener(type, (event) => {
				this.events.push(type);
				if (type === 'close')
					this.closed = { code: event.code, reason: event.reason, wasClean: event.wasClean };
				this.changed();
			});
		}
		this.socket.onmessage = ({ data }) => {
			this.received.push(data instanceof ArrayBuffer ? Buffer.from(data) : data);
			this.changed();
		};
		atEnd(owner, async () => {
			if (this.socket.readyState !== PolluxSocket.CLOSED)
				this.socket.close();
		});
	}

	// Fails at once when it has closed instead.
	#await(condition, what, ms) {
		return this.until(() => {
			const value = condition();
			if (!value && this.closed !== undefined)
				throw new Error(`${what}: closed with ${JSON.stringify(this.closed)}`);
			return value;
		}, what, ms);
	}

	opened(ms) {
		return this.#await(() => this.events.includes('open'), 'the open event', ms);
	}

	async count(n, ms) {
		await this.#await(() => this.received.length >= n, `${n} messages`, ms);
		return this.received;
	}

	// No event tells of these.
	through(transport) {
		return eventually(() => this.socket.transport === transport, `${transport} to get through`);
	}

	acknowledged() {
		return eventually(() => this.socket.bufferedAmount === 0, 'everything to be acknowledged');
	}

	end(ms) {
		return this.until(() => this.closed, 'the close event', ms);
	}
}

// Messages up and down by number, at random sizes and of both kinds.
export function numbered(random, name, n) {
	const text = `${name} ${n}\n"€\u2028${'x'.repeat(random.size(1, 3000))}`;
	return random.chance(0.3) ? Buffer.from(text) : text;
}

export function sameMessages(got, wanted, what) {
	const shown = (message) => String(message).slice(0, 20);
	assert.deepEqual(got.map(shown), wanted.map(shown), what);
	got.forEach((message, n) => assert.deepEqual(message, wanted[n], `${what}: ${n}`));
}
