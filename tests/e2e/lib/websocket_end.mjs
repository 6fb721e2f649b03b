// One end of a WebSocket over whatever carries bytes both ways: a socket after its upgrade, or an
// HTTP/2 stream (RFC 8441). Frames are written and read by the classes of ws.
import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { Receiver, Sender } from 'ws';

import { Changing } from './wait.mjs';

const ONLY_FLAT = { allowSynchronousEvents: true, maxPayload: 0 };

// RST_STREAM and nothing before it: Node would send END_STREAM first, an orderly end.
export function resetStream(stream, code = constants.NGHTTP2_CANCEL) {
	stream._final = (done) => done();
	stream.close(code);
}

export class WebSocketEnd extends Changing {
	received = []; // messages: strings and Buffers
	controls = []; // pings and pongs: { type, data }
	closed = undefined; // the Close frame that has come: { code, reason }
	afterClose = 0; // bytes that have come behind it
	hasEnded = false; // the other side has ended its side cleanly
	isOver = false; // both sides are over
	error = undefined; // what broke it
	onMessage = () => {}; // called with each message
	#stream;
	#isClient;
	#isManual;
	#sender;
	#receiver;
	#nTaken = 0;
	#nControls = 0;
	#hasSentClose = false;

	/*
	 * `isClient`: masks what it sends. `isManual`: a Close is not answered and an end not followed by
	 * our own. `extensions` as ws has them by name.
	 */
	constructor(stream, { isClient = false, isManual = false, extensions = {} } = {}) {
		super();
		this.#stream = stream;
		this.#isClient = isClient;
		this.#isManual = isManual;
		this.#sender = new Sender(stream, extensions);
		this.#receiver = new Receiver({ ...ONLY_FLAT, isServer: !isClient, extensions });
		this.#readFrames();
		this.#readBytes();
	}

	#readFrames() {
		const receiver = this.#receiver;
		const note = (type) => (data) => {
			this.controls.push({ type, data: data.toString() });
			if (type === 'ping' && !this.#isManual)
				this.#sender.pong(data, this.#isClient);
			this.changed();
		};
		receiver.on('message', (data, isBinary) => {
			const message = isBinary ? data : data.toString();
			this.received.push(message);
			this.onMessage(message);
			this.changed();
		});
		receiver.on('ping', note('ping'));
		receiver.on('pong', note('pong'));
		receiver.on('conclude', (code, reason) => {
			this.closed = { code, reason: reason.toString() };
			if (!this.#isManual) {
				this.close(code === 1005 ? undefined : code, reason);
				if (!this.#isClient)
					this.#stream.end();
			}
			this.changed();
		});
		receiver.on('error', (error) => this.#fail(error));
		receiver.on('drain', () => this.#stream.resume());
	}

	#readBytes() {
		const stream = this.#stream;
		stream.on('data', (chunk) => {
			if (this.closed !== undefined)
				this.afterClose += chunk.length;
			else if (!this.#receiver.write(chunk) && this.closed === undefined)
				stream.pause(); // until the receiver drains; one that has seen a Close never does
		});
		stream.on('end', () => {
			// Node tells of the end of a stream that was reset, too.
			if (!this.#wasReset())
				this.hasEnded = true;
			if (!this.#isManual)
				stream.end();
			this.changed();
		});
		stream.on('error', (error) => this.#fail(error));
		stream.on('aborted', () => this.changed());
		stream.on('close', () => {
			this.isOver = true;
			this.changed();
		});
	}

	#wasReset() {
		return this.#stream.rstCode !== undefined && this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR;
	}

	#fail(error) {
		this.error ??= error;
		this.changed();
	}

	// The error code of RST_STREAM, once it is over; undefined on a socket.
	get rstCode() {
		return this.#stream.rstCode;
	}

	get stream() {
		return this.#stream;
	}

	// Bytes that were told to leave and have not.
	get waiting() {
		return this.#stream.writableLength;
	}

	// Sending.

	send(data, { binary = typeof data !== 'string', fin = true, compress = false } = {}) {
		this.#sender.send(data, { binary, fin, compress, mask: this.#isClient });
	}

	ping(data = '') {
		this.#sender.ping(data, this.#isClient);
	}

	// A Close frame; the first only.
	close(code, reason = '') {
		if (this.#hasSentClose)
			return;
		this.#hasSentClose = true;
		this.#sender.close(code, reason, this.#isClient);
	}

	// Ends our side; the other may go on.
	end() {
		this.#stream.end();
	}

	// RST_STREAM with CANCEL; a reset of TCP; over TLS an end without a word.
	abort() {
		if (this.#stream.close !== undefined)
			resetStream(this.#stream);
		else if (this.#stream.encrypted)
			this.#stream.destroy();
		else
			this.#stream.resetAndDestroy();
	}

	destroy() {
		this.#stream.destroy();
	}

	stall() {
		this.#stream.pause();
	}

	goOn() {
		this.#stream.resume();
	}

	// Receiving. Each wait fails as soon as it cannot be fulfilled any more.

	#await(condition, what, ms) {
		return this.until(() => {
			const value = condition();
			if (value !== undefined && value !== false)
				return value;
			if (this.error !== undefined || this.isOver)
				throw new Error(`${what}: the WebSocket is over (${this.error?.message ?? this.rstCode})`);
			return undefined;
		}, what, ms);
	}

	async next(ms = undefined) {
		const index = this.#nTaken++;
		await this.#await(() => index < this.received.length, `message ${index} of a WebSocket`, ms);
		return this.received[index];
	}

	// The next ping or pong.
	async control(ms = undefined) {
		const index = this.#nControls++;
		return this.#await(() => this.controls[index], `control frame ${index} of a WebSocket`, ms);
	}

	// Once so many messages have come: all of them.
	async count(n, ms = undefined) {
		await this.#await(() => this.received.length >= n, `${n} messages`, ms);
		return this.received;
	}

	async closing(ms = undefined) {
		return this.#await(() => this.closed, 'a Close frame', ms);
	}

	// The other side has ended cleanly, with no byte behind what was read.
	async expectEnd(ms = undefined) {
		await this.#await(() => this.hasEnded, 'a clean end', ms);
		assert.equal(this.afterClose, 0, 'bytes behind a Close frame');
	}

	// The other side does no more, one way or the other.
	async expectGone(ms = undefined) {
		await this.until(() => this.hasEnded || this.isOver || this.error !== undefined,
			'the end of a WebSocket', ms);
	}

	// Over on both sides, cleanly.
	async expectOver(ms = undefined) {
		await this.until(() => this.isOver, 'the end of a WebSocket', ms);
		assert.equal(this.error, undefined);
		assert.ok(this.hasEnded, 'an end of its own');
		assert.ok(!this.#wasReset(), `RST_STREAM with ${this.rstCode}`);
	}

	// Aborted: RST_STREAM with CANCEL, a reset of TCP. Over TLS any end counts: Node does not tell
	// one with close_notify from one without.
	async expectAborted(ms = undefined) {
		await this.until(() => this.isOver || this.hasEnded, 'the abort of a WebSocket', ms);
		if (this.#stream.close !== undefined)
			assert.equal(this.rstCode, constants.NGHTTP2_CANCEL, 'the code of RST_STREAM');
		else if (!this.#stream.encrypted)
			assert.equal(this.error?.code, 'ECONNRESET', 'a reset, and no orderly end');
	}
}
