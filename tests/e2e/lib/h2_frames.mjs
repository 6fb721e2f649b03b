// Frames of HTTP/2 (RFC 9113, section 6) as bytes, right and wrong ones, and read again.
import { block } from './h2_hpack.mjs';

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export const TYPE = {
	DATA: 0,
	HEADERS: 1,
	PRIORITY: 2,
	RST_STREAM: 3,
	SETTINGS: 4,
	PUSH_PROMISE: 5,
	PING: 6,
	GOAWAY: 7,
	WINDOW_UPDATE: 8,
	CONTINUATION: 9,
	PRIORITY_UPDATE: 0x10, // RFC 9218
};

export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 0x20 };

export const CODE = {
	NO_ERROR: 0,
	PROTOCOL_ERROR: 1,
	INTERNAL_ERROR: 2,
	FLOW_CONTROL_ERROR: 3,
	SETTINGS_TIMEOUT: 4,
	STREAM_CLOSED: 5,
	FRAME_SIZE_ERROR: 6,
	REFUSED_STREAM: 7,
	CANCEL: 8,
	COMPRESSION_ERROR: 9,
	CONNECT_ERROR: 10,
	ENHANCE_YOUR_CALM: 11,
	INADEQUATE_SECURITY: 12,
	HTTP_1_1_REQUIRED: 13,
};

export const SETTING = {
	HEADER_TABLE_SIZE: 1,
	ENABLE_PUSH: 2,
	MAX_CONCURRENT_STREAMS: 3,
	INITIAL_WINDOW_SIZE: 4,
	MAX_FRAME_SIZE: 5,
	MAX_HEADER_LIST_SIZE: 6,
	ENABLE_CONNECT_PROTOCOL: 8, // RFC 8441
	NO_RFC7540_PRIORITIES: 9, // RFC 9218
};

export const WINDOW = 65535; // of each stream and of the connection, to begin with
export const MOST_WINDOW = 2 ** 31 - 1;
export const MOST_STREAM = 2 ** 31 - 1;
export const LEAST_FRAME_SIZE = 16384; // what every endpoint takes

function nameIn(table, number) {
	const found = Object.entries(table).find(([, value]) => value === number);
	return found === undefined ? `0x${number.toString(16)}` : found[0];
}

export function typeName(type) {
	return nameIn(TYPE, type);
}

export function codeName(code) {
	return nameIn(CODE, code);
}

function number(value, size) {
	const out = Buffer.alloc(size);
	out.writeUIntBE(value, 0, size);
	return out;
}

// Any frame: `length` says another length than the payload's, `reserved` sets the reserved bit.
export function frame(type, flags, stream, payload = '', { length, reserved = false } = {}) {
	const data = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
	return Buffer.concat([
		number(length ?? data.length, 3),
		Buffer.from([type, flags]),
		number(stream + (reserved ? 2 ** 31 : 0), 4),
		data,
	]);
}

// `padding` bytes behind the content; `padLength` says another number of them.
function padded(content, padding, padLength = padding) {
	if (padding === undefined && padLength === undefined)
		return content;
	return Buffer.concat([Buffer.from([padLength]), content, Buffer.alloc(padding ?? 0)]);
}

function flagsOf({ flags = 0, endStream, endHeaders, padding, padLength, priority }) {
	return flags | (endStream ? FLAG.END_STREAM : 0) | (endHeaders ? FLAG.END_HEADERS : 0)
		| (padding !== undefined || padLength !== undefined ? FLAG.PADDED : 0)
		| (priority !== undefined ? FLAG.PRIORITY : 0);
}

export function data(stream, content = '', options = {}) {
	const payload = padded(Buffer.from(content, 'latin1'), options.padding, options.padLength);
	return frame(TYPE.DATA, flagsOf(options), stream, payload);
}

// { dependsOn, weight, exclusive } as RFC 7540 had it; weight is the byte on the wire.
function priorityBytes({ dependsOn = 0, weight = 15, exclusive = false } = {}) {
	return Buffer.concat([number(dependsOn + (exclusive ? 2 ** 31 : 0), 4), Buffer.from([weight])]);
}

// `fields` are pairs, or a buffer that is the block or a part of it.
export function headers(stream, fields, options = {}) {
	const given = { endHeaders: true, ...options };
	const content = Buffer.isBuffer(fields) ? fields : block(fields);
	const parts = given.priority === undefined ? [content] : [priorityBytes(given.priority), content];
	return frame(TYPE.HEADERS, flagsOf(given), stream,
		padded(Buffer.concat(parts), given.padding, given.padLength));
}

export function continuation(stream, fields, { endHeaders = true, flags = 0 } = {}) {
	const content = Buffer.isBuffer(fields) ? fields : block(fields);
	return frame(TYPE.CONTINUATION, flagsOf({ endHeaders, flags }), stream, content);
}

// One block over HEADERS and CONTINUATION frames with fragments of at most `size` bytes.
export function headersInPieces(stream, fields, { size = LEAST_FRAME_SIZE, ...options } = {}) {
	const content = Buffer.isBuffer(fields) ? fields : block(fields);
	const frames = [];
	for (let at = 0; at === 0 || at < content.length; at += size) {
		const piece = content.subarray(at, at + size);
		const endHeaders = at + size >= content.length;
		frames.push(at === 0
			? headers(stream, piece, { ...options, endHeaders })
			: continuation(stream, piece, { endHeaders }));
	}
	return frames;
}

export function priority(stream, given, flags = 0) {
	return frame(TYPE.PRIORITY, flags, stream, priorityBytes(given));
}

export function rstStream(stream, code = CODE.CANCEL) {
	return frame(TYPE.RST_STREAM, 0, stream, number(code, 4));
}

// [[identifier, value], ...], in this order.
export function settings(pairs = [], flags = 0) {
	const entries = pairs.map(([id, value]) => Buffer.concat([number(id, 2), number(value, 4)]));
	return frame(TYPE.SETTINGS, flags, 0, Buffer.concat(entries));
}

export function settingsAck() {
	return settings([], FLAG.ACK);
}

export function pushPromise(stream, promised, fields) {
	return frame(TYPE.PUSH_PROMISE, FLAG.END_HEADERS, stream,
		Buffer.concat([number(promised, 4), block(fields)]));
}

export function ping(opaque = '12345678', flags = 0) {
	return frame(TYPE.PING, flags, 0, opaque);
}

export function goaway(last = 0, code = CODE.NO_ERROR, debug = '') {
	return frame(TYPE.GOAWAY, 0, 0,
		Buffer.concat([number(last, 4), number(code, 4), Buffer.from(debug, 'latin1')]));
}

export function windowUpdate(stream, increment) {
	return frame(TYPE.WINDOW_UPDATE, 0, stream, number(increment, 4));
}

export function priorityUpdate(prioritized, value = 'u=3') {
	return frame(TYPE.PRIORITY_UPDATE, 0, 0,
		Buffer.concat([number(prioritized, 4), Buffer.from(value, 'latin1')]));
}

// Reading. { type, flags, stream, isReserved, payload, size } of the first frame, or undefined
// while it is not whole; `size` is that of all its bytes.
export function parseFrame(buffer) {
	if (buffer.length < 9)
		return undefined;
	const size = 9 + buffer.readUIntBE(0, 3);
	if (buffer.length < size)
		return undefined;
	return {
		type: buffer[3],
		flags: buffer[4],
		stream: buffer.readUInt32BE(5) & MOST_STREAM,
		isReserved: (buffer[5] & 0x80) !== 0,
		payload: buffer.subarray(9, size),
		size,
		has(flag) {
			return (this.flags & flag) !== 0;
		},
	};
}

// Pairs of a SETTINGS payload.
export function settingsOf(payload) {
	const pairs = [];
	for (let at = 0; at + 6 <= payload.length; at += 6)
		pairs.push([payload.readUInt16BE(at), payload.readUInt32BE(at + 2)]);
	return pairs;
}

export function showFrame({ type, flags, stream, payload }) {
	const code = type === TYPE.RST_STREAM && payload.length === 4 ? payload.readUInt32BE(0)
		: type === TYPE.GOAWAY && payload.length >= 8 ? payload.readUInt32BE(4) : undefined;
	return `${typeName(type)}(stream ${stream}, flags 0x${flags.toString(16)}, ${payload.length} bytes`
		+ `${code === undefined ? '' : `, ${codeName(code)}`})`;
}
