// One end of an HTTP/2 connection, frame by frame: sends exactly the frames it is given, right or
// wrong, and waits for those that should come. A judge watches all that comes. It acknowledges
// SETTINGS and answers PINGs by itself unless told not to; it gives window updates only where
// `credits` is set.
import assert from 'node:assert/strict';

import {
	CODE, FLAG, PREFACE, TYPE, codeName, data, frame as anyFrame, headers, parseFrame, ping, settings,
	settingsAck, showFrame, typeName, windowUpdate,
} from './h2_frames.mjs';
import { Judge } from './h2_judge.mjs';
import { atEnd } from './scope.mjs';
import { Wire } from './wire.mjs';

const NEVER_READ = 64 * 1024 * 1024; // more than any test leaves unread

// A request's fields, pseudo-header fields first; null leaves one out.
export function request({ method = 'GET', scheme = 'http', authority = 'a', path = '/', fields = [] } = {}) {
	const pseudo = [
		[':method', method], [':scheme', scheme], [':authority', authority], [':path', path],
	];
	return [...pseudo.filter(([, value]) => value !== null), ...fields];
}

function codes(given) {
	return Array.isArray(given) ? given : [given];
}

function named(given) {
	return codes(given).map(codeName).join(' or ');
}

export class H2Wire extends Wire {
	judge = new Judge();
	frames = []; // that have come and that no expectFrame has taken
	credits = false;
	acknowledges = true;
	answers = true; // PINGs
	fault; // what the server may not have sent
	#nextStream = 1;
	#nPings = 0;
	#scheme;

	// Preface and SETTINGS both ways, acknowledged. `settings` are pairs.
	static async open(owner, where, { settings: pairs = [], credits = false, ...options } = {}) {
		const wire = await this.connect(owner, where, options);
		wire.credits = credits;
		wire.start(pairs);
		await wire.ready();
		return wire;
	}

	static connect(owner, where, { tls, ...options } = {}) {
		const given = tls === undefined ? options : { ...options, tls: { ALPNProtocols: ['h2'], ...tls } };
		return super.connect(owner, where, given);
	}

	constructor(socket, owner) {
		super(socket, owner);
		socket.setNoDelay(true);
		this.#scheme = socket.encrypted ? 'https' : 'http';
		if (owner !== undefined)
			atEnd(owner, () => this.#blame());
	}

	start(pairs = []) {
		return this.send(PREFACE, settings(pairs));
	}

	async ready() {
		await this.#wait(() => this.judge.nSettings > 0 && this.judge.nAcknowledged > 0, 'the exchange of SETTINGS');
	}

	// Sending.

	send(...parts) {
		for (const part of parts.flat(Infinity))
			this.#noteSent(part);
		return super.send(...parts);
	}

	#noteSent(part) {
		if (!Buffer.isBuffer(part))
			return;
		const frame = parseFrame(part);
		if (frame === undefined || frame.size !== part.length)
			return;
		this.judge.sent(frame);
		if (frame.type === TYPE.HEADERS && frame.stream >= this.#nextStream)
			this.#nextStream = frame.stream + 1 + (frame.stream % 2);
	}

	nextStream() {
		const id = this.#nextStream;
		this.#nextStream += 2;
		return id;
	}

	stream(id) {
		return this.judge.stream(id);
	}

	// A request on the next stream; `body` is sent whole, `open` leaves the request without an end.
	request({ body, open = false, ...given } = {}) {
		const id = this.nextStream();
		this.stream(id).isHead = given.method === 'HEAD';
		this.send(headers(id, request({ scheme: this.#scheme, ...given }), { endStream: body === undefined && !open }));
		if (body !== undefined)
			this.send(data(id, body, { endStream: !open }));
		return id;
	}

	get(path = '/', fields = []) {
		return this.request({ path, fields });
	}

	// Sends so many bytes on a stream as the windows allow, in frames of at most `size`.
	async upload(id, total, { size = 16384, endStream = true } = {}) {
		for (let nSent = 0; nSent < total;) {
			await this.#wait(() => this.judge.room(id) > 0, `room for stream ${id} after ${nSent} of ${total} bytes`);
			const n = Math.min(size, total - nSent, this.judge.room(id));
			nSent += n;
			this.send(data(id, 'x'.repeat(n), { endStream: endStream && nSent === total }));
			await this.#drained();
		}
	}

	// Sends on a stream whose body nobody takes until there has been no room for `quiet` ms. Returns
	// how many bytes that took.
	async uploadUntilStall(id, { quiet = 300, most = 64 * 1024 * 1024 } = {}) {
		for (let nSent = 0; nSent < most;) {
			try {
				await this.#wait(() => this.judge.room(id) > 0, 'room', quiet);
			} catch (error) {
				if (this.isOver || this.fault !== undefined)
					throw error;
				return nSent;
			}
			const n = Math.min(16384, this.judge.room(id));
			nSent += n;
			this.send(data(id, 'x'.repeat(n)));
			await this.#drained();
		}
		return assert.fail(`stream ${id} still has room after ${most} bytes`);
	}

	async #drained() {
		if (this.socket.writableLength > 1024 * 1024)
			await this.#wait(() => this.socket.writableLength === 0 || this.isClosed, 'the kernel taking bytes');
	}

	// Receiving.

	changed() {
		try {
			while (this.fault === undefined) {
				const frame = parseFrame(this.peek());
				if (frame === undefined)
					break;
				this.take(frame.size);
				this.judge.got(frame);
				this.#react(frame);
				if (this.judge.keepsBodies || frame.type !== TYPE.DATA)
					this.frames.push(frame);
			}
			assert.ok(this.size < NEVER_READ);
		} catch (error) {
			this.fault = error;
		}
		super.changed();
	}

	#react(frame) {
		const isAck = frame.has(FLAG.ACK);
		if (frame.type === TYPE.SETTINGS && !isAck && this.acknowledges)
			this.send(settingsAck());
		else if (frame.type === TYPE.PING && !isAck && this.answers)
			this.send(anyFrame(TYPE.PING, FLAG.ACK, 0, frame.payload));
		else if (frame.type === TYPE.DATA && this.credits && frame.payload.length > 0)
			this.#credit(frame);
	}

	#credit({ stream, payload }) {
		this.send(windowUpdate(0, payload.length));
		if (!this.stream(stream).hasEnded)
			this.send(windowUpdate(stream, payload.length));
	}

	#blame() {
		if (this.fault !== undefined)
			throw this.fault;
	}

	get isOver() {
		return this.hasEnded || this.isClosed || this.error !== undefined;
	}

	story() {
		return `frames that came: ${this.frames.slice(-20).map(showFrame).join(' ') || 'none'}`
			+ (this.isOver ? `, then ${this.error?.code ?? (this.hasEnded ? 'the end' : 'the close')}` : '');
	}

	// Fulfilled when `condition` is; fails as soon as nothing more can come.
	async #wait(condition, what, ms) {
		try {
			return await this.until(() => {
				this.#blame();
				const value = condition();
				if (value !== undefined && value !== false)
					return value;
				if (this.isOver)
					throw new Error(`${what}: did not come`);
				return undefined;
			}, what, ms);
		} catch (error) {
			error.message += `; ${this.story()}`;
			throw error;
		}
	}

	// The first frame of a type, past or coming, that fulfils the predicate; each is given once.
	expectFrame(type, predicate = () => true, ms = undefined) {
		return this.#wait(() => {
			const index = this.frames.findIndex((frame) => frame.type === type && predicate(frame));
			return index < 0 ? undefined : this.frames.splice(index, 1)[0];
		}, typeName(type), ms);
	}

	// A condition on what the judge has seen.
	expectThat(condition, what, ms = undefined) {
		return this.#wait(condition, what, ms);
	}

	// RST_STREAM with one of these codes, and no connection error.
	async expectReset(id, code, ms = undefined) {
		const what = `RST_STREAM ${named(code)} of stream ${id}`;
		const stream = this.stream(id);
		await this.#wait(() => {
			if (this.#hasFailed())
				assert.fail(`${what}, not a connection error`);
			return stream.isReset;
		}, what, ms);
		assert.ok(codes(code).includes(stream.code), `${what}, not ${codeName(stream.code)}; ${this.story()}`);
		return stream.code;
	}

	#hasFailed() {
		return this.judge.goaways.some(({ code }) => code !== CODE.NO_ERROR);
	}

	// GOAWAY with one of these codes, and then the end of the connection (5.4.1). Gives the frame's
	// { last, code, debug }.
	async expectGoaway(code, ms = undefined) {
		const what = `GOAWAY ${named(code)}`;
		await this.#wait(() => {
			const given = this.judge.goaways.find((goaway) => goaway.code !== CODE.NO_ERROR);
			return given !== undefined || (codes(code).includes(CODE.NO_ERROR) && this.judge.goaways.length > 0);
		}, what, ms);
		const last = this.judge.goaways.at(-1);
		assert.ok(codes(code).includes(last.code), `${what}, not ${codeName(last.code)} ${last.debug}`);
		await this.expectGone(ms);
		return last;
	}

	// The whole response: the stream of the judge, with { status, body, ... } beside it.
	async expectResponse(id, ms = undefined) {
		const stream = this.stream(id);
		await this.#wait(() => {
			if (stream.isReset && !stream.hasEnded)
				assert.fail(`a response on stream ${id}, not ${codeName(stream.code)}`);
			return stream.hasEnded;
		}, `the response on stream ${id}`, ms);
		const { response, interim, trailers, body } = stream;
		return { ...response, interim, trailers, body };
	}

	// The head of the final response.
	async expectHead(id, ms = undefined) {
		const stream = this.stream(id);
		return this.#wait(() => {
			if (stream.isReset && stream.response === undefined)
				assert.fail(`a response on stream ${id}, not ${codeName(stream.code)}`);
			return stream.response;
		}, `the head of the response on stream ${id}`, ms);
	}

	// Something has become of a stream, or of the connection.
	expectOutcome(id, ms = undefined) {
		const stream = this.stream(id);
		return this.#wait(() => stream.isReset || stream.hasEnded || this.judge.goaways.length > 0,
			`an outcome of stream ${id}`, ms);
	}

	async expectStatus(id, status, ms = undefined) {
		const response = await this.expectResponse(id, ms);
		assert.equal(response.status, status, `status on stream ${id}`);
		return response;
	}

	/*
	 * All that was sent so far has been processed by the frame layer of the server: it has answered
	 * a PING behind it.
	 */
	async settle(ms = undefined) {
		const opaque = `settle${String(this.#nPings++ % 100).padStart(2, '0')}`;
		this.send(ping(opaque));
		await this.expectFrame(TYPE.PING, (frame) => frame.has(FLAG.ACK) && frame.payload.toString('latin1') === opaque, ms);
	}

	// The connection is in order: another request on it is answered.
	async expectServes(path = '/', ms = undefined) {
		const id = this.get(path);
		await this.expectStatus(id, 200, ms);
	}
}
