// Watches one HTTP/2 connection from the client's end and fails on the first thing that a server may
// not send (RFC 9113, sections in the messages). It also puts together what has come: streams,
// responses, settings, windows. Every raw client has one, so every test checks these rules.
import assert from 'node:assert/strict';

import {
	FLAG, LEAST_FRAME_SIZE, MOST_STREAM, MOST_WINDOW, SETTING, TYPE, WINDOW,
	settingsOf, showFrame,
} from './h2_frames.mjs';
import { BlockReader } from './h2_hpack.mjs';

const FLAGS = {
	[TYPE.DATA]: FLAG.END_STREAM | FLAG.PADDED,
	[TYPE.HEADERS]: FLAG.END_STREAM | FLAG.END_HEADERS | FLAG.PADDED | FLAG.PRIORITY,
	[TYPE.PRIORITY]: 0,
	[TYPE.RST_STREAM]: 0,
	[TYPE.SETTINGS]: FLAG.ACK,
	[TYPE.PING]: FLAG.ACK,
	[TYPE.GOAWAY]: 0,
	[TYPE.WINDOW_UPDATE]: 0,
	[TYPE.CONTINUATION]: FLAG.END_HEADERS,
};

const OF_CONNECTIONS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

// A setting as the other side may still, or already, go by: what it has acknowledged, and what is
// on its way to it.
class Limit {
	#applied;
	#pending = [];

	constructor(initial) {
		this.#applied = initial;
	}

	send(value) {
		this.#pending.push(value);
	}

	acknowledge(value) {
		this.#pending.shift();
		this.#applied = value;
	}

	get most() {
		return Math.max(this.#applied, ...this.#pending);
	}
}

// What has become of one stream. `code` is that of the server's RST_STREAM.
class Stream {
	interim = []; // responses 1xx: { status, fields }
	response; // { status, fields, get(name), getAll(name) }
	trailers; // pairs
	nBytes = 0; // of DATA, padding aside
	hasEnded = false; // END_STREAM has come
	code;
	isCancelled = false; // by a RST_STREAM of ours
	hasSentEnd = false;
	isHead = false; // a response without a body whatever its length says
	granted = 0; // window updates of ours
	taken = 0; // flow-controlled bytes that came
	credit = 0; // window updates of the server
	nSent = 0; // flow-controlled bytes of ours
	#chunks = [];

	keep(chunk) {
		this.#chunks.push(chunk);
	}

	get body() {
		return Buffer.concat(this.#chunks);
	}

	get isReset() {
		return this.code !== undefined;
	}
}

function withGetters(fields) {
	return {
		fields,
		getAll: (name) => fields.filter(([given]) => given === name).map(([, value]) => value),
		get(name) {
			return this.getAll(name)[0];
		},
	};
}

export class Judge {
	streams = new Map();
	settings = new Map(); // of the server, by identifier
	goaways = []; // { last, code, debug }
	nSettings = 0; // SETTINGS frames of the server
	nAcknowledged = 0; // SETTINGS frames of ours
	keepsBodies = true;
	#isFirst = true;
	#reader = new BlockReader();
	#openBlock; // HEADERS that wait for CONTINUATION: { stream, endStream, fragments }
	#sentSettings = []; // not yet acknowledged
	#pings = []; // opaque bytes of ours without an answer
	#window = new Limit(WINDOW);
	#frameSize = new Limit(LEAST_FRAME_SIZE);
	#granted = 0; // of the connection, as in Stream
	#taken = 0;
	#credit = 0;
	#nSent = 0;

	stream(id) {
		if (!this.streams.has(id))
			this.streams.set(id, new Stream());
		return this.streams.get(id);
	}

	// How many bytes of DATA we may send now.
	room(id) {
		const stream = this.stream(id);
		const initial = this.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? WINDOW;
		return Math.min(initial + stream.credit - stream.nSent, WINDOW + this.#credit - this.#nSent);
	}

	get connectionRoom() {
		return WINDOW + this.#credit - this.#nSent;
	}

	// What we send; wrong frames are noted for what they would do if they were taken.
	sent(frame) {
		const { type, payload } = frame;
		if (type === TYPE.SETTINGS && !frame.has(FLAG.ACK)) {
			const pairs = settingsOf(payload);
			this.#sentSettings.push(pairs);
			for (const [id, value] of pairs)
				this.#limit(id)?.send(value);
		} else if (type === TYPE.PING && !frame.has(FLAG.ACK)) {
			this.#pings.push(payload.toString('latin1'));
		} else if (type === TYPE.WINDOW_UPDATE && payload.length === 4) {
			const increment = payload.readUInt32BE(0) & MOST_WINDOW;
			if (frame.stream === 0)
				this.#granted += increment;
			else
				this.stream(frame.stream).granted += increment;
		} else if (type === TYPE.RST_STREAM) {
			this.stream(frame.stream).isCancelled = true;
		} else if (type === TYPE.DATA || type === TYPE.HEADERS) {
			const stream = this.stream(frame.stream);
			stream.hasSentEnd ||= frame.has(FLAG.END_STREAM);
			if (type === TYPE.DATA) {
				stream.nSent += payload.length;
				this.#nSent += payload.length;
			}
		}
	}

	#limit(id) {
		return { [SETTING.INITIAL_WINDOW_SIZE]: this.#window, [SETTING.MAX_FRAME_SIZE]: this.#frameSize }[id];
	}

	// What the server sends.
	got(frame) {
		const { type, flags, stream, payload } = frame;
		const must = (condition, what) => assert.ok(condition, `${what}: ${showFrame(frame)}`);

		if (this.#isFirst)
			must(type === TYPE.SETTINGS && !frame.has(FLAG.ACK), 'SETTINGS come first (3.4)');
		this.#isFirst = false;
		must(payload.length <= this.#frameSize.most, 'beyond SETTINGS_MAX_FRAME_SIZE (4.2)');
		must(!frame.isReserved, 'the reserved bit is unset (4.1)');
		if (type in FLAGS)
			must((flags & ~FLAGS[type]) === 0, 'unused flags are unset (4.1)');
		if (this.#openBlock !== undefined)
			must(type === TYPE.CONTINUATION && stream === this.#openBlock.stream,
				'only CONTINUATION within a field block (4.3)');
		switch (type) {
		case TYPE.DATA: return this.#gotData(frame, must);
		case TYPE.HEADERS: return this.#gotHeaders(frame, must);
		case TYPE.PRIORITY: return must(stream !== 0 && payload.length === 5, 'PRIORITY (6.3)');
		case TYPE.RST_STREAM: return this.#gotReset(frame, must);
		case TYPE.SETTINGS: return this.#gotSettings(frame, must);
		case TYPE.PUSH_PROMISE: return must(false, 'nothing is pushed');
		case TYPE.PING: return this.#gotPing(frame, must);
		case TYPE.GOAWAY: return this.#gotGoaway(frame, must);
		case TYPE.WINDOW_UPDATE: return this.#gotWindowUpdate(frame, must);
		case TYPE.CONTINUATION: return this.#gotContinuation(frame, must);
		default: return undefined; // an extension, to be ignored
		}
	}

	// A stream that the server may use: opened by us, neither ended nor reset by the server.
	#usable(frame, must) {
		must(frame.stream % 2 === 1 && this.streams.has(frame.stream), 'a stream that we opened (5.1)');
		const stream = this.streams.get(frame.stream);
		must(!stream.isReset, 'nothing after RST_STREAM (5.4.2)');
		must(!stream.hasEnded, 'nothing after END_STREAM (5.1)');
		return stream;
	}

	// What stands between pad length and padding.
	#content(frame, must) {
		if (!frame.has(FLAG.PADDED))
			return frame.payload;
		const { payload } = frame;
		must(payload.length > 0 && payload[0] < payload.length, 'padding within the payload (6.1)');
		const end = payload.length - payload[0];
		must(payload.subarray(end).every((byte) => byte === 0), 'padding is zero (6.1)');
		return payload.subarray(1, end);
	}

	#gotData(frame, must) {
		const stream = this.#usable(frame, must);
		const content = this.#content(frame, must);
		const size = frame.payload.length;

		must(stream.response !== undefined, 'DATA follow the head of a final response (8.1)');
		must(stream.trailers === undefined, 'no DATA after trailers (8.1)');
		stream.taken += size;
		this.#taken += size;
		if (size > 0) {
			must(stream.taken <= this.#window.most + stream.granted, 'beyond the window of the stream (6.9.1)');
			must(this.#taken <= WINDOW + this.#granted, 'beyond the window of the connection (6.9.1)');
		}
		stream.nBytes += content.length;
		if (this.keepsBodies)
			stream.keep(content);
		if (frame.has(FLAG.END_STREAM))
			this.#ended(stream, must);
	}

	#gotHeaders(frame, must) {
		this.#usable(frame, must);
		let fragment = this.#content(frame, must);
		if (frame.has(FLAG.PRIORITY)) {
			must(fragment.length >= 5, 'room for the priority (6.2)');
			fragment = fragment.subarray(5);
		}
		this.#openBlock = {
			stream: frame.stream,
			endStream: frame.has(FLAG.END_STREAM),
			fragments: [fragment],
		};
		if (frame.has(FLAG.END_HEADERS))
			this.#closeBlock(must);
	}

	#gotContinuation(frame, must) {
		must(this.#openBlock !== undefined, 'CONTINUATION within a field block (6.10)');
		this.#openBlock.fragments.push(frame.payload);
		if (frame.has(FLAG.END_HEADERS))
			this.#closeBlock(must);
	}

	#closeBlock(must) {
		const { stream: id, endStream, fragments } = this.#openBlock;
		const stream = this.stream(id);
		const fields = this.#reader.read(Buffer.concat(fragments));

		this.#openBlock = undefined;
		if (stream.response !== undefined) {
			must(endStream, 'trailers end the stream (8.1)');
			must(stream.trailers === undefined, 'trailers once (8.1)');
			checkFields(fields, must);
			stream.trailers = fields;
		} else {
			const [[name, status] = [], ...rest] = fields;
			must(name === ':status' && /^[1-5]\d\d$/.test(status), ':status comes first (8.3.2)');
			must(status !== '101', 'no 101 in HTTP/2 (8.6)');
			checkFields(rest, must);
			const head = { status: Number(status), ...withGetters(rest) };
			if (head.status < 200) {
				must(!endStream, 'interim responses do not end the stream (8.1)');
				stream.interim.push(head);
			} else {
				stream.response = head;
			}
		}
		if (endStream)
			this.#ended(stream, must);
	}

	#ended(stream, must) {
		const { response } = stream;
		stream.hasEnded = true;
		must(response !== undefined, 'a final response before the end (8.1)');
		const lengths = response.getAll('content-length');
		must(lengths.length <= 1, 'one content-length');
		const hasNone = stream.isHead || response.status === 204 || response.status === 304;
		if (hasNone)
			must(stream.nBytes === 0, 'no content (8.1.1)');
		else if (lengths.length > 0)
			must(lengths[0] === String(stream.nBytes), `content-length ${lengths[0]} and ${stream.nBytes} bytes (8.1.1)`);
	}

	#gotReset(frame, must) {
		const { stream: id, payload } = frame;
		must(payload.length === 4, '4 bytes (6.4)');
		must(id % 2 === 1 && this.streams.has(id), 'no RST_STREAM for an idle stream (6.4)');
		this.stream(id).code ??= payload.readUInt32BE(0);
	}

	#gotSettings(frame, must) {
		const { payload } = frame;
		must(frame.stream === 0, 'SETTINGS on the connection (6.5)');
		if (frame.has(FLAG.ACK)) {
			must(payload.length === 0, 'an acknowledgement is empty (6.5)');
			must(this.#sentSettings.length > 0, 'an acknowledgement of SETTINGS that were sent (6.5.3)');
			this.nAcknowledged++;
			for (const [id, value] of this.#sentSettings.shift()) {
				this.#limit(id)?.acknowledge(value);
				if (id === SETTING.HEADER_TABLE_SIZE)
					this.#reader.allow(value);
			}
			return;
		}
		must(payload.length % 6 === 0, 'a multiple of 6 bytes (6.5)');
		for (const [id, value] of settingsOf(payload)) {
			this.#checkSetting(id, value, must);
			this.settings.set(id, value);
		}
		this.nSettings++;
	}

	#checkSetting(id, value, must) {
		const before = this.settings.get(id);
		if (id === SETTING.ENABLE_PUSH)
			must(value === 0, 'a server sends no ENABLE_PUSH but 0 (6.5.2)');
		else if (id === SETTING.INITIAL_WINDOW_SIZE)
			must(value <= MOST_WINDOW, 'an initial window below 2^31 (6.5.2)');
		else if (id === SETTING.MAX_FRAME_SIZE)
			must(value >= LEAST_FRAME_SIZE && value < 2 ** 24, 'a frame size in range (6.5.2)');
		else if (id === SETTING.ENABLE_CONNECT_PROTOCOL)
			must(value === 1 || (value === 0 && before !== 1), 'ENABLE_CONNECT_PROTOCOL stays (RFC 8441, 3)');
		else if (id === SETTING.NO_RFC7540_PRIORITIES)
			must(value <= 1 && (this.nSettings === 0 || before === value),
				'NO_RFC7540_PRIORITIES only in the first SETTINGS (RFC 9218, 2.1)');
	}

	#gotPing(frame, must) {
		must(frame.stream === 0 && frame.payload.length === 8, 'PING (6.7)');
		if (!frame.has(FLAG.ACK))
			return;
		const index = this.#pings.indexOf(frame.payload.toString('latin1'));
		must(index >= 0, 'an answer to a PING of ours, with its bytes (6.7)');
		this.#pings.splice(index, 1);
	}

	#gotGoaway(frame, must) {
		const { payload } = frame;
		must(frame.stream === 0 && payload.length >= 8, 'GOAWAY (6.8)');
		const last = payload.readUInt32BE(0) & MOST_STREAM;
		const before = this.goaways.at(-1)?.last ?? MOST_STREAM;
		must(last <= before, 'the last stream does not grow (6.8)');
		for (const [id, stream] of this.streams)
			must(id <= last || stream.response === undefined, `stream ${id} had a response (8.7)`);
		this.goaways.push({ last, code: payload.readUInt32BE(4), debug: payload.toString('latin1', 8) });
	}

	#gotWindowUpdate(frame, must) {
		must(frame.payload.length === 4, '4 bytes (6.9)');
		const increment = frame.payload.readUInt32BE(0);
		must(increment > 0 && increment <= MOST_WINDOW, 'an increment above 0 (6.9)');
		if (frame.stream === 0) {
			this.#credit += increment;
			must(this.connectionRoom <= MOST_WINDOW, 'a window below 2^31 (6.9.1)');
			return;
		}
		must(this.streams.has(frame.stream), 'no WINDOW_UPDATE for an idle stream (5.1)');
		const stream = this.stream(frame.stream);
		must(!stream.isReset, 'nothing after RST_STREAM (5.4.2)');
		stream.credit += increment;
		const initial = this.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? WINDOW;
		must(initial + stream.credit - stream.nSent <= MOST_WINDOW, 'a window below 2^31 (6.9.1)');
	}
}

// Fields of a head behind its pseudo-header fields, or of trailers (8.2, 8.3).
function checkFields(fields, must) {
	for (const [name, value] of fields) {
		const shown = JSON.stringify(`${name}: ${value}`);
		must(!name.startsWith(':'), `no other pseudo-header field (8.3): ${shown}`);
		must(/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name), `a name in lower case (8.2.1): ${shown}`);
		must(!/[\0\r\n]|^[ \t]|[ \t]$/.test(value), `a valid value (8.2.1): ${shown}`);
		must(!OF_CONNECTIONS.has(name), `no field of a connection (8.2.2): ${shown}`);
	}
}
