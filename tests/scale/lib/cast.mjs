// Clients of each kind, each of which has one session after the other: a new one when it was told that
// the last one is over, and only then.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
// Version 2 takes an event's id before it has the event, and so passes over one that is cut.
import { EventSource } from 'eventsource3';
import { io } from 'socket.io-client';
import SockJS from 'sockjs-client';
import { WebSocket } from 'ws';

import { PolluxSocket } from '../../e2e/lib/pollux_js.mjs';
import { atEnd } from '../../e2e/lib/scope.mjs';
import { MODES } from '../../e2e/lib/socketio.mjs';
import { pass } from '../../e2e/lib/wait.mjs';
import { Conversation } from './conversation.mjs';

const AGAIN_MS = 50;

class Client {
	conversations = [];
	isDone = false;

	constructor(owner, room, cutter, name) {
		this.room = room;
		this.cutter = cutter;
		this.name = name;
		room.clients.push(this);
		atEnd(owner, async () => {
			this.isDone = true;
			await this.leave();
		});
	}

	get current() {
		return this.conversations.at(-1);
	}

	url(path, scheme = 'http') {
		return `${scheme}://${this.cutter.address}${path}`;
	}

	begin(send) {
		return new Conversation(this, send);
	}

	async again() {
		await pass(AGAIN_MS);
		if (!this.isDone)
			this.enter();
	}
}

// The plain dialect without a library: posts with their numbers, repeated until they are answered.
class Plain extends Client {
	over = new AbortController();

	leave() {
		this.over.abort();
	}

	// A conversation of this session.
	beginAt(session) {
		const queue = [];
		const conversation = this.begin((text) => {
			queue.push(text);
			if (queue.length === 1)
				this.#post(conversation, queue).catch((error) => this.failed(error));
		});
		conversation.session = session;
		conversation.nPosted = 0;
		return conversation;
	}

	async #post(conversation, queue) {
		for (; queue.length > 0 && !conversation.isOver; queue.shift()) {
			const { status, text } = await this.insist(`/chat/~${conversation.session}`, {
				method: 'POST',
				headers: { 'Content-Type': 'text/plain', 'Pollux-Seq': String(++conversation.nPosted) },
				body: queue[0],
			});
			if (status === 404)
				this.onLost(conversation, `404 ${JSON.parse(text).error}`);
			else
				assert.equal(status, 204, text);
		}
	}

	failed(error) {
		if (!this.isDone)
			this.room.fault(`${this.name}: ${error.stack}`);
	}

	// Asks until there is an answer, and one that says more than that Pollux has no answer now.
	async insist(path, options = {}) {
		for (;;) {
			try {
				const response = await fetch(this.url(path), { signal: this.over.signal, ...options });
				const text = await response.text();
				if (![502, 503, 504].includes(response.status))
					return { status: response.status, text };
			} catch (error) {
				if (this.isDone)
					throw error;
			}
			await pass(AGAIN_MS);
		}
	}
}

class PlainEvents extends Plain {
	static acknowledges = true;
	static lost = /^reset: unknown session$/;

	enter() {
		const source = new EventSource(this.url('/chat?as=json'));
		this.source = source;
		let seq = 0;
		source.addEventListener('session', ({ data }) => {
			const { session, cursor } = JSON.parse(data);
			if (this.current?.session === session && !this.current.isOver)
				return;
			seq = cursor;
			this.beginAt(session);
		});
		source.addEventListener('reset', ({ data }) => this.current.end(`reset: ${JSON.parse(data).reason}`));
		source.onmessage = ({ data }) => {
			const message = JSON.parse(data);
			if (message.seq !== ++seq)
				this.room.fault(`${this.current.name}: number ${message.seq} instead of ${seq}`);
			this.current.hear(message.text);
		};
		source.onerror = ({ message }) => {
			if (source.readyState === EventSource.CLOSED)
				this.room.fault(`${this.name}: an EventSource that gives up: ${message}`);
		};
	}

	// The stream is what tells.
	onLost() {}

	leave() {
		this.source.close();
		super.leave();
	}
}

class PlainPolls extends Plain {
	static acknowledges = true;
	static lost = /^404 unknown session$/;

	enter() {
		this.#run().catch((error) => this.failed(error));
	}

	async #run() {
		while (!this.isDone) {
			const key = `${this.name}.${this.conversations.length}`;
			const { status, text } = await this.insist('/chat', { method: 'POST',
				headers: { 'Idempotency-Key': key } });
			assert.equal(status, 201, text);
			await this.#poll(this.beginAt(JSON.parse(text).session));
		}
	}

	async #poll(conversation) {
		for (let cursor = 0; !conversation.isOver;) {
			const { status, text } = await this.insist(`/chat/~${conversation.session}?after=${cursor}&wait=5`);
			const answer = JSON.parse(text);
			if (status === 404) {
				this.onLost(conversation, `404 ${answer.error}`);
				return;
			}
			assert.equal(status, 200, text);
			for (const message of answer.messages) {
				if (message.seq !== ++cursor)
					this.room.fault(`${conversation.name}: number ${message.seq} instead of ${cursor}`);
				conversation.hear(message.text);
			}
		}
	}

	onLost(conversation, how) {
		conversation.end(how);
	}
}

// Over what has the API of WebSocket.
class Socket extends Client {
	take(socket) {
		let conversation;
		this.socket = socket;
		socket.onopen = () => (conversation = this.begin((text) => socket.send(text)));
		socket.onmessage = ({ data }) => conversation.hear(data);
		socket.onclose = ({ code, reason }) => {
			conversation?.end(`${code} ${reason}`);
			this.again();
		};
	}

	leave() {
		this.socket.close();
	}
}

class PolluxJs extends Socket {
	static acknowledges = true;
	static lost = /^1006 the session is lost$/;

	enter() {
		this.take(new PolluxSocket(this.url('/chat'), undefined,
			{ WebSocket, timeout: 1000, transports: [this.constructor.transport] }));
	}
}

// In Node sockjs-client does not look at whether a response breaks off; a browser tells it.
subscribe('http.client.request.start', ({ request }) => {
	if (!request.path.startsWith('/echo/'))
		return;
	request.once('response', (response) => response.once('close', () => {
		if (!response.complete)
			request.emit('error', new Error('the response breaks off'));
	}));
});

class Sock extends Socket {
	static acknowledges = false;
	static lost = /^(1002 Connection interrupted|1006 .*)$/;

	enter() {
		this.take(new SockJS(this.url('/echo'), null, { transports: this.constructor.transport }));
	}
}

class SocketIo extends Client {
	static acknowledges = false;
	static lost = /^transport (close|error)$/;

	enter() {
		const socket = io(this.url(''), { ...MODES[this.constructor.transport], forceNew: true,
			reconnectionDelay: AGAIN_MS, reconnectionDelayMax: AGAIN_MS, timeout: 2000 });
		let conversation;
		this.socket = socket;
		socket.on('connect', () => (conversation = this.begin((text) => socket.emit('up', text))));
		socket.on('down', (text) => conversation.hear(text));
		socket.on('disconnect', (reason) => conversation.end(reason));
	}

	leave() {
		this.socket.disconnect();
	}
}

class Tunnel extends Client {
	static acknowledges = false;
	static lost = /^1006$/;

	enter() {
		const socket = new WebSocket(this.url('/ws', 'ws'));
		let conversation;
		this.socket = socket;
		socket.on('open', () => (conversation = this.begin((text) => socket.send(text))));
		socket.on('message', (data) => conversation.hear(data));
		socket.on('error', () => {});
		socket.on('close', (code) => {
			conversation?.end(String(code));
			this.again();
		});
	}

	leave() {
		this.socket.terminate();
	}
}

function over(base, transport) {
	return class extends base {
		static transport = transport;
	};
}

export const KINDS = {
	events: PlainEvents,
	polls: PlainPolls,
	'pollux.js-websocket': over(PolluxJs, 'websocket'),
	'pollux.js-sse': over(PolluxJs, 'sse'),
	'pollux.js-poll': over(PolluxJs, 'poll'),
	'sockjs-xhr-polling': over(Sock, 'xhr-polling'),
	'sockjs-xhr-streaming': over(Sock, 'xhr-streaming'),
	'sockjs-eventsource': over(Sock, 'eventsource'),
	'sockjs-websocket': over(Sock, 'websocket'),
	'socket.io-polling': over(SocketIo, 'polling'),
	'socket.io-upgrade': over(SocketIo, 'upgrade'),
	'socket.io-websocket': over(SocketIo, 'websocket'),
	tunnel: Tunnel,
};
