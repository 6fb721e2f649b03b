// A client of the bridge that lives with cuts: it comes back after each, by whatever transport it
// likes at the moment, and keeps a record of what it got. What must not happen throws.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { WebSocket } from 'ws';

import { PATIENCE_MS, within } from './wait.mjs';

// Longer than any answer may take.
const ANSWER_MS = 4 * PATIENCE_MS;

export function pause(ms) {
	return new Promise((done) => setTimeout(done, ms));
}

// The connection broke before the answer was whole: to be tried again.
class Cut extends Error {}

// A response that broke off; what was read of it has been taken.
function isCut(error) {
	return error instanceof Cut;
}

export class LossClient {
	received = []; // text or base64 by number - 1; undefined: lost, and announced
	cursor = 0;
	gaps = []; // [from, to]
	closed; // { code, reason, undelivered }
	#nWanted = Infinity;
	#isClosed = false;
	counts = { cuts: 0, requests: 0, resets: 0, superseded: 0, overlaps: 0 };

	// `where`: { port, tls, library }, of the way that cuts; `path` with a query. `library` is what
	// makes requests instead of Node's http or https.
	constructor(random, where, path, { isPatient = false } = {}) {
		this.random = random;
		this.where = where;
		this.path = path;
		this.isPatient = isPatient;
		const library = where.library ?? (where.tls ? https : http);
		this.library = library;
		this.agent = new library.Agent({ keepAlive: random.chance(0.5), maxSockets: 20 });
		this.key = `${path} ${random.integer(0, 2 ** 32)}`;
	}

	// Whatever it is at fails with its next request.
	close() {
		this.#isClosed = true;
		this.agent.destroy();
	}

	// Requests.

	// The head of the answer; its body is the caller's.
	async #send(method, target, headers = {}, body = undefined) {
		assert.ok(!this.#isClosed, 'the test is over');
		this.counts.requests++;
		return within(new Promise((done, fail) => {
			const request = this.library.request({
				host: '127.0.0.1',
				port: this.where.port,
				agent: this.agent,
				method,
				path: target,
				headers,
				rejectUnauthorized: false,
			}, done);
			request.on('error', (error) => fail(new Cut(error.code)));
			request.end(body);
		}), `an answer to ${method} ${target}`, ANSWER_MS);
	}

	// A whole answer: { status, headers, text, json }.
	async ask(method, target, headers, body) {
		const response = await this.#send(method, target, headers, body);
		const chunks = [];
		try {
			for await (const chunk of response)
				chunks.push(chunk);
		} catch (error) {
			throw new Cut(error.code);
		}
		if (!response.complete)
			throw new Cut('cut');
		const text = Buffer.concat(chunks).toString();
		const isJson = /json/.test(response.headers['content-type']) && method !== 'HEAD';
		return {
			status: response.statusCode,
			headers: response.headers,
			text,
			json: isJson ? JSON.parse(text) : undefined,
		};
	}

	// Until there is an answer.
	async insist(method, target, headers, body) {
		for (;;) {
			try {
				return await this.ask(method, target, headers, body);
			} catch (error) {
				await this.#afterCut(error);
			}
		}
	}

	async #afterCut(error) {
		if (!isCut(error))
			throw error;
		this.counts.cuts++;
		if (this.random.chance(this.isPatient ? 0.3 : 0.05))
			await pause(this.random.size(1, 1500));
	}

	// What came.

	#take({ seq, text, binary }) {
		const value = text ?? `base64:${binary}`;
		if (seq <= this.cursor) {
			const before = this.received[seq - 1];
			assert.ok(before === undefined || before === value, `message ${seq} is another now`);
			return;
		}
		assert.equal(seq, this.cursor + 1, 'the next message is the next');
		this.received.push(value);
		this.cursor = seq;
	}

	#takeClose(seq, closed) {
		assert.ok(seq === this.cursor + 1 || (seq === this.cursor && this.closed), 'the close is last');
		this.closed = closed;
		this.cursor = seq;
	}

	// Everything up to `cursor` that has not come is lost.
	#takeGap(from, to) {
		this.counts.resets++;
		this.gaps.push([from, to]);
		assert.equal(from, this.cursor + 1, 'the gap begins where we are');
		while (this.cursor < to) {
			this.received.push(undefined);
			this.cursor++;
		}
	}

	// Transports. Each comes back when it is over or cut.

	async open() {
		const headers = { 'Idempotency-Key': this.key };
		const form = this.random.pick(['post', 'post', 'poll', 'lines']);
		for (;;) {
			try {
				if (form === 'post') {
					const { status, json } = await this.ask('POST', this.path, headers);
					assert.equal(status, 201);
					this.session = json.session;
				} else if (form === 'poll') {
					const answer = await this.ask('GET', `${this.path}&wait=0`, headers);
					assert.equal(answer.status, 200);
					this.session = answer.json.session;
					this.#takePoll(answer, 0);
				} else {
					const response = await this.#send('GET', this.path,
						{ ...headers, Accept: 'application/x-ndjson' });
					assert.equal(response.statusCode, 200);
					this.session = response.headers['pollux-session'];
					await this.#readLines(response, 0, true);
				}
				break;
			} catch (error) {
				await this.#afterCut(error);
				if (this.session !== undefined)
					break;
			}
		}
		this.url = `${this.path.replace(/\?.*/, '')}/~${this.session}`;
	}

	#takePoll({ status, json }, after) {
		if (status === 409) {
			assert.equal(json.error, 'cursor');
			// Another poll of ours was further on; or it is a gap.
			if (json.cursor > this.cursor)
				this.#takeGap(this.cursor + 1, json.cursor);
			return;
		}
		if (status === 410) {
			assert.ok(this.closed, 'the close has come before');
			assert.deepEqual(json.closed, this.closed);
			return;
		}
		assert.equal(status, 200);
		if (json.superseded) {
			this.counts.superseded++;
			assert.deepEqual(json.messages, []);
			return;
		}
		assert.ok(json.cursor >= after);
		if (json.messages.length > 0)
			assert.equal(json.messages[0].seq, after + 1, 'the answer begins behind its after');
		for (const message of json.messages)
			this.#take(message);
		if (json.closed && json.cursor > this.cursor)
			this.#takeClose(json.cursor, json.closed);
	}

	async #poll() {
		const after = this.cursor;
		const target = () => `${this.url}?after=${after}&wait=${this.random.integer(0, 1)}`;
		const ask = async () => this.#takePoll(await this.ask('GET', target()), after);
		if (!this.random.chance(0.3))
			return ask();
		// Overlapping: the newest wins, the others are told so.
		this.counts.overlaps++;
		const later = () => pause(this.random.integer(0, 30)).then(ask);
		const results = await Promise.allSettled([ask(), later(), later()]);
		const failed = results.find(({ reason }) => reason !== undefined && !isCut(reason));
		if (failed !== undefined)
			throw failed.reason;
		return undefined;
	}

	// Lines of a stream as they come. Sometimes we leave in the middle, heartbeats counted.
	async #eachLine(response, take, isOpening) {
		const mayStay = !isOpening && this.random.chance(0.7);
		const leaveAfter = mayStay ? Infinity : this.random.size(1, isOpening ? 5 : 50);
		let rest = Buffer.alloc(0);
		let n = 0;
		try {
			for await (const chunk of response) {
				rest = Buffer.concat([rest, chunk]);
				for (let at; (at = rest.indexOf(10)) >= 0; rest = rest.subarray(at + 1)) {
					take(rest.subarray(0, at).toString());
					if (++n >= leaveAfter || this.cursor >= this.#nWanted) {
						response.destroy();
						return;
					}
				}
			}
		} catch (error) {
			if (error instanceof assert.AssertionError)
				throw error;
			throw new Cut(error.code);
		}
		if (!response.complete)
			throw new Cut('cut');
	}

	async #readLines(response, after, isOpening = false) {
		if (this.#isRefused(response))
			return this.#takeRefusal(response, after);
		return this.#eachLine(response, (line) => {
			if (line === '')
				return;
			const object = JSON.parse(line);
			if (object.reset)
				this.#takeReset(object.reset);
			else if (object.session)
				this.#takeSession(object);
			else if (object.closed)
				this.#takeClose(object.seq, object.closed);
			else
				this.#take(object);
		}, isOpening);
	}

	#takeReset({ reason, lost }) {
		assert.equal(reason, 'gap', 'no other reset');
		this.#takeGap(...lost);
	}

	#takeSession({ session, cursor }) {
		assert.equal(session, this.session);
		assert.equal(cursor, this.cursor, 'the stream begins where we are');
	}

	#isRefused(response) {
		return response.statusCode !== 200;
	}

	async #takeRefusal(response, after) {
		const chunks = [];
		try {
			for await (const chunk of response)
				chunks.push(chunk);
		} catch (error) {
			throw new Cut(error.code);
		}
		if (!response.complete)
			throw new Cut('cut');
		if (response.statusCode === 204) {
			assert.ok(this.closed, 'the close has come before');
			return;
		}
		const text = Buffer.concat(chunks).toString();
		assert.match(response.headers['content-type'], /json/, text);
		this.#takePoll({ status: response.statusCode, json: JSON.parse(text) }, after);
	}

	async #lines() {
		const after = this.cursor;
		const headers = { Accept: 'application/x-ndjson' };
		const response = await this.#send('GET', `${this.url}?after=${after}`, headers);
		return this.#readLines(response, after);
	}

	// By Last-Event-ID, on the path or on the session, as text or as JSON.
	async #events() {
		const after = this.cursor;
		const isJson = this.random.chance(0.5);
		const target = this.random.chance(0.5) ? this.path : `${this.url}?`;
		const response = await this.#send('GET', target + (isJson ? '&as=json' : ''), {
			Accept: 'text/event-stream',
			'Last-Event-ID': `${this.session}.${after}`,
		});
		if (this.#isRefused(response))
			return this.#takeRefusal(response, after);
		let event = { data: [] };
		return this.#eachLine(response, (line) => {
			const [, name, value] = /^([a-z]*): ?(.*)$/s.exec(line) ?? ['', '', ''];
			if (line === '') {
				if (event.data.length > 0)
					this.#takeEvent(event, isJson);
				event = { data: [] };
			} else if (name === 'data') {
				event.data.push(value);
			} else {
				event[name] = value;
			}
		});
	}

	#takeEvent({ event, id, data }, isJson) {
		const text = data.join('\n');
		const seq = id === undefined ? undefined : Number(id.slice(this.session.length + 1));
		if (id !== undefined)
			assert.ok(id.startsWith(`${this.session}.`), 'an id of this session');
		if (event === 'session')
			this.#takeSession(JSON.parse(text));
		else if (event === 'reset')
			this.#takeReset(JSON.parse(text));
		else if (event === 'close')
			this.#takeClose(seq, JSON.parse(text));
		else if (isJson)
			this.#take(JSON.parse(text));
		else if (event === 'binary')
			this.#take({ seq, binary: text });
		else
			this.#take({ seq, text });
	}

	// A WebSocket of pollux.v1. Sometimes we leave in the middle, politely or not.
	async #socket() {
		const after = this.cursor;
		const url = `${this.where.tls ? 'wss' : 'ws'}://127.0.0.1:${this.where.port}${this.url}?after=${after}`;
		const socket = new WebSocket(url, 'pollux.v1', { rejectUnauthorized: false });
		const leaveAfter = this.random.chance(0.7) ? Infinity : this.random.size(1, 50);
		let n = 0;
		const take = (object) => {
			if (object.session)
				this.#takeSession(object);
			else if (object.closed)
				this.#takeClose(object.seq, object.closed);
			else
				this.#take(object);
			if (this.random.chance(0.1))
				socket.send(JSON.stringify({ ack: this.cursor }));
			if (++n >= leaveAfter || this.cursor >= this.#nWanted)
				this.random.chance(0.5) ? socket.close() : socket.terminate();
		};
		return within(new Promise((done, fail) => {
			socket.on('message', (data) => {
				try {
					if (socket.readyState === WebSocket.OPEN)
						take(JSON.parse(data));
				} catch (error) {
					fail(error);
				}
			});
			socket.on('unexpected-response', (_, response) => {
				this.#takeRefusal(response, after).then(done, fail);
			});
			socket.on('error', (error) => fail(new Cut(error.message)));
			socket.on('close', (code) => (code === 1006 ? fail(new Cut('cut')) : done()));
		}), 'the end of a WebSocket', ANSWER_MS).finally(() => socket.terminate());
	}

	// Receives until the close has come, or until there are `n` messages.
	async receive(n = Infinity) {
		this.#nWanted = n;
		while (this.closed === undefined && this.cursor < n) {
			try {
				await this.random.pick([() => this.#poll(), () => this.#lines(), () => this.#events(),
					() => this.#socket()])();
			} catch (error) {
				await this.#afterCut(error);
			}
		}
	}

	// Posts each of these with its number, some of them twice at once or with the next one. False:
	// the session was closed before all were taken.
	async post(bodies) {
		for (let i = 0; i < bodies.length; i++) {
			const together = this.random.pick([[i], [i], [i], [i, i], [i, i + 1]])
				.filter((at) => at < bodies.length);
			const answers = await Promise.all(together.map((at) => this.#postOne(at, bodies[at])));
			if (answers.includes(false))
				return false;
			if (this.random.chance(0.2))
				await pause(this.random.integer(0, 20));
		}
		return true;
	}

	async #postOne(at, { type, body }) {
		for (;;) {
			const headers = { 'Pollux-Seq': String(at + 1), 'Content-Type': type };
			if (this.random.chance(0.2))
				headers['Pollux-Ack'] = String(this.cursor);
			const { status, headers: fields, json } = await this.insist('POST', this.url, headers, body);
			if (status === 204) {
				assert.ok(Number(fields['pollux-seq']) >= at + 1);
				return true;
			}
			if (status === 410)
				return false;
			assert.ok(status === 503 || (status === 409 && json.error === 'gap' && json.expected <= at),
				`${status} ${JSON.stringify(json)} to post ${at + 1}`);
		}
	}

	// Ends the session. The answer may be lost: then it is closed already.
	async end() {
		const [method, query] = this.random.pick([['DELETE', ''], ['POST', '?close']]);
		const { status } = await this.insist(method, this.url + query);
		assert.ok(status === 204 || status === 410, `${method}: ${status}`);
	}
}
