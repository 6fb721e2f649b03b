// Clients of the plain dialect: some in good order, some not at all. What comes from a faithful
// backend is compared number by number.
import net from 'node:net';

import { WebSocketServer } from 'ws';

import { event } from '../e2e/lib/wait.mjs';
import { mutate } from './mutate.mjs';
import { readResponses } from './reference.mjs';

const TYPES = ['text/plain', 'application/json', 'application/octet-stream', 'application/x-ndjson',
	'image/png', 'text/plain; charset=latin1', 'nonsense', ''];
const STATUSES = new Set([101, 200, 201, 204, 400, 403, 404, 405, 408, 409, 410, 413, 415, 417, 426, 431,
	414, 500, 501, 502, 503, 504, 505]);

// Says 'f:CONNECTION:NUMBER', numbered as the session's sequence is, a few at once and one for each
// message.
export class FaithfulBackend {
	received = []; // texts by connection

	static async start(owner, random) {
		const backend = new FaithfulBackend(random);
		await event(backend.server, 'listening');
		backend.address = `127.0.0.1:${backend.server.address().port}`;
		owner.after(() => backend.close());
		return backend;
	}

	constructor(random) {
		this.server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
		this.server.on('connection', (socket) => this.#serve(socket, random));
	}

	#serve(socket, random) {
		const id = this.received.length;
		const received = [];
		let n = 0;
		const say = () => socket.send(`f:${id}:${++n}`);
		this.received.push(received);
		socket.on('error', () => {});
		socket.on('message', (data) => {
			received.push(data.toString());
			say();
		});
		for (let i = random.below(20); i > 0; i--)
			say();
		if (random.chance(10))
			setTimeout(() => socket.close(1000, 'enough'), random.below(1000));
		else if (random.chance(5))
			setTimeout(() => socket.terminate(), random.below(1000));
	}

	close() {
		for (const socket of this.server.clients)
			socket.terminate();
		this.server.close();
	}
}

/*
 * One request on a connection of its own; the first whole answer, or undefined. `cut`: leaves after
 * so many ms. `mute`: reads nothing for so long.
 */
function ask(where, bytes, { cut, mute, method = 'GET', ms = 8000 } = {}) {
	return new Promise((done) => {
		const socket = net.connect(where);
		const chunks = [];
		let timers;
		const finish = (isLate) => {
			timers.forEach(clearTimeout);
			socket.destroy();
			done({
				...readResponses(Buffer.concat(chunks), [method]),
				bytes: Buffer.concat(chunks),
				isLate,
			});
		};
		timers = [setTimeout(finish, ms, true)];
		if (cut !== undefined)
			timers.push(setTimeout(finish, cut, false));
		if (mute !== undefined) {
			socket.pause();
			timers.push(setTimeout(() => socket.resume(), mute));
		}
		socket.on('data', (chunk) => chunks.push(chunk));
		socket.on('error', () => {});
		socket.on('close', () => finish(false));
		socket.write(bytes);
	});
}

export class BridgeClient {
	#session;
	#cursor = 0;
	#postNumber = 0;
	#sent = 0;
	#seen = new Map(); // text by session and number
	#answered; // the session of the answer that is looked at

	// `keep({ sent, got })` is told what was made wrong, for the judge.
	constructor(random, where, { path, host = 'a', isFaithful, report, keep }) {
		Object.assign(this, { random, where, path, host, isFaithful, report, keep });
	}

	async run() {
		const { random } = this;
		await this.#open();
		for (let n = random.between(1, 8); n > 0 && this.#session !== undefined; n--) {
			const steps = Array.from({ length: random.chance(30) ? 3 : 1 }, () => this.#step());
			await Promise.all(steps);
		}
	}

	#head(method, target, fields) {
		const lines = [`Host: ${this.host}`, 'Connection: close', ...fields];
		return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
	}

	async #ask(method, target, fields = [], body, options = {}) {
		const { random } = this;
		const framing = body === undefined ? [] : [`Content-Length: ${body.length}`];
		const right = Buffer.concat([Buffer.from(this.#head(method, target, [...fields, ...framing]),
			'latin1'), body ?? Buffer.alloc(0)]);
		const isMutated = !this.isFaithful && random.chance(15);
		const sent = isMutated ? mutate(random, right) : right;
		const answer = await ask(this.where, sent, { method, ...options });
		if (isMutated)
			this.keep({ sent, got: answer.bytes });
		else
			this.#check(answer, `${method} ${target}`);
		return answer.responses[0];
	}

	#check(answer, what) {
		const [response] = answer.responses;
		if (answer.isBroken)
			this.report(`${what}: the answer is no HTTP: ${answer.error}`, answer.bytes);
		if (answer.isLate && this.isFaithful)
			this.report(`${what}: no whole answer in time`, answer.bytes);
		if (answer.responses.length > 1)
			this.report(`${what}: more than one answer`, answer.bytes);
		if (response !== undefined && this.isFaithful && !STATUSES.has(response.status))
			this.report(`${what}: status ${response.status}`, answer.bytes);
		this.#checkBody(response, what, answer.bytes);
	}

	#field(response, name) {
		return response.fields.find(([key]) => key === name)?.[1];
	}

	#checkBody(response, what, bytes) {
		const type = response === undefined ? undefined : this.#field(response, 'content-type');
		if (type === undefined || this.#field(response, 'cache-control') !== 'no-store')
			return;
		this.#answered = this.#field(response, 'pollux-session');
		try {
			if (type === 'application/json' && response.isComplete && response.body.length > 0)
				this.#takeBatch(JSON.parse(response.body.toString()));
			else if (type === 'application/x-ndjson')
				this.#takeLines(response.body.toString());
			else if (type === 'text/event-stream')
				this.#takeEvents(response.body.toString());
		} catch (error) {
			this.report(`${what}: ${error.message}`, bytes);
		}
	}

	// The same number says the same at all times, and the numbers of one answer have no hole.
	#takeItem(item, last) {
		if (last !== undefined && item.seq !== last + 1)
			throw new Error(`number ${item.seq} after ${last}`);
		if (item.text !== undefined && this.isFaithful) {
			const key = `${this.#answered} ${item.seq}`;
			const before = this.#seen.get(key) ?? item.text;
			if (before !== item.text || !item.text.endsWith(`:${item.seq}`))
				throw new Error(`number ${item.seq} is ${item.text}, was ${before}`);
			this.#seen.set(key, item.text);
		}
		return item.seq;
	}

	#takeBatch(batch) {
		if (batch.messages === undefined)
			return;
		let last;
		for (const item of batch.messages)
			last = this.#takeItem(item, last);
		if (last !== undefined && batch.cursor < last)
			throw new Error(`cursor ${batch.cursor} below ${last}`);
		if (batch.session === this.#session)
			this.#cursor = batch.cursor;
	}

	#takeLines(text) {
		let last;
		for (const line of text.split('\n').slice(0, -1)) {
			const item = line === '' ? {} : JSON.parse(line);
			if (item.seq !== undefined)
				last = this.#takeItem(item, last);
		}
	}

	#takeEvents(text) {
		let last;
		for (const block of text.split('\n\n').slice(0, -1)) {
			const id = /^id: .*\.(\d+)$/m.exec(block);
			const data = [...block.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join('\n');
			if (id !== null && !/^event: /m.test(block))
				last = this.#takeItem({ seq: Number(id[1]), text: data }, last);
		}
	}

	async #open() {
		const { random } = this;
		const key = random.chance(30) ? [`Idempotency-Key: k${random.below(1000)}`] : [];
		const way = random.weighted({ post: 60, poll: 20, events: 10, lines: 10 });
		const cut = random.between(50, 600);
		let response;
		if (way === 'post')
			response = await this.#ask('POST', this.path, key, this.#body());
		else if (way === 'poll')
			response = await this.#ask('GET', `${this.path}?wait=1`, key);
		else
			response = await this.#ask('GET', this.path, [...key, way === 'events'
				? 'Accept: text/event-stream' : 'Accept: application/x-ndjson'], undefined, { cut });
		this.#session = response === undefined ? undefined : this.#field(response, 'pollux-session');
	}

	#body() {
		const { random } = this;
		if (random.chance(3))
			return Buffer.alloc(random.below(1_200_000), 'p');
		return random.chance(70) ? Buffer.from(`x${++this.#sent}`) : random.bytes(random.size(3000));
	}

	#after() {
		const { random } = this;
		if (random.chance(20))
			return '';
		return `?after=${random.chance(80) ? this.#cursor : random.pick([0, 1, 7, 1000, -1, 'x', '',
			'18446744073709551615', '18446744073709551616', `${this.#cursor}&after=1`])}`;
	}

	async #step() {
		const { random } = this;
		const target = `${this.path}/~${this.#session}`;
		const way = random.weighted({ poll: 35, events: 8, lines: 8, post: 30, odd: 10, close: 2, other: 5,
			resume: 4 });
		return this[`step_${way}`](target);
	}

	async step_poll(target) {
		const { random } = this;
		const after = this.#after();
		const wait = `${after === '' ? '?' : '&'}wait=${random.pick([0, 0, 1, 1, 'x', 99])}`;
		const options = random.chance(20) ? { cut: random.below(300) } : {};
		await this.#ask('GET', target + after + wait, this.#acks(), undefined, options);
	}

	#acks() {
		const { random } = this;
		if (!random.chance(10))
			return [];
		return [`Pollux-Ack: ${random.chance(70) ? this.#cursor : random.pick(['x', -1, 99999, ''])}`];
	}

	async #stream(target, accept) {
		const { random } = this;
		const options = { cut: random.between(10, 700) };
		if (random.chance(20))
			options.mute = random.between(50, 600);
		const fields = [`Accept: ${accept}`];
		if (random.chance(30))
			fields.push(`Last-Event-ID: ${random.pick([`${this.#session}.${this.#cursor}`, 'x', '',
				`${this.#session}.x`, `${this.#session}.99999`, `other.${this.#cursor}`])}`);
		await this.#ask('GET', target, fields, undefined, options);
	}

	step_events(target) {
		return this.#stream(target + this.#after(), 'text/event-stream');
	}

	step_lines(target) {
		return this.#stream(target + this.#after(), 'application/x-ndjson');
	}

	step_resume() {
		return this.#stream(this.path, 'text/event-stream');
	}

	async step_post(target) {
		const { random } = this;
		const fields = this.#acks();
		if (random.chance(60))
			fields.push(`Content-Type: ${random.pick(TYPES)}`);
		if (random.chance(40))
			fields.push(`Pollux-Seq: ${random.chance(70) ? ++this.#postNumber : random.pick([0, 1, 99, 'x'])}`);
		if (random.chance(10))
			fields.push('Expect: 100-continue');
		const options = random.chance(10) ? { cut: random.below(50) } : {};
		await this.#ask('POST', target, fields, this.#body(), options);
	}

	async step_odd(target) {
		const { random } = this;
		const method = random.pick(['HEAD', 'OPTIONS', 'PUT', 'PATCH', 'FOO', 'GET', 'POST']);
		const fields = random.chance(50) ? ['Origin: http://evil.example', 'Sec-Fetch-Site: cross-site'] : [];
		await this.#ask(method, target + random.pick(['', '/', '?', '?as=json', '?after=&wait=', '/~x', 'x']),
			fields);
	}

	async step_close(target) {
		if (this.random.chance(50))
			await this.#ask('DELETE', target);
		else
			await this.#ask('POST', `${target}?close`, [], Buffer.alloc(0));
	}

	async step_other(target) {
		const { random } = this;
		await this.#ask('GET', `${random.pick(['/fb', '/hb', `${this.path}/sub`])}/~${this.#session}`, []);
		await this.#ask('GET', target.slice(0, -random.between(1, 5)), ['Accept: text/event-stream'],
			undefined, { cut: 200 });
	}
}
