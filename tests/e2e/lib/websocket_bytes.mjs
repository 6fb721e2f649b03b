// WebSocket handshakes and frames as bytes (RFC 6455), right and wrong ones.
import { createHash, randomBytes } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = acceptOf(KEY);

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

export function acceptOf(key) {
	return createHash('sha1').update(key + GUID).digest('base64');
}

// A client's handshake. `fields` replaces fields by name; undefined leaves one out.
export function handshake({ target = '/', host = 'a', method = 'GET', version = 'HTTP/1.1',
	fields = {} } = {}) {
	const all = {
		Host: host,
		Upgrade: 'websocket',
		Connection: 'Upgrade',
		'Sec-WebSocket-Key': KEY,
		'Sec-WebSocket-Version': '13',
		...fields,
	};
	const lines = Object.entries(all)
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}: ${value}\r\n`);
	return `${method} ${target} ${version}\r\n${lines.join('')}\r\n`;
}

// A backend's 101.
export function switching({ accept = ACCEPT, fields = {} } = {}) {
	const all = {
		Upgrade: 'websocket',
		Connection: 'Upgrade',
		'Sec-WebSocket-Accept': accept,
		...fields,
	};
	const lines = Object.entries(all)
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}: ${value}\r\n`);
	return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`;
}

/*
 * One frame. `mask`: true for a random key, or a Buffer of four bytes. `length` and `lengthBits` (7,
 * 16, 64) say another length, or the same in another form, than the payload's.
 */
export function frame({ opcode = OPCODE.text, payload = '', fin = true, rsv = 0, mask = false,
	length, lengthBits } = {}) {
	const data = Buffer.from(payload);
	const size = length ?? data.length;
	const bits = lengthBits ?? (size < 126 ? 7 : size < 65536 ? 16 : 64);
	const key = mask === true ? randomBytes(4) : mask;
	const head = [Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode])];
	const maskBit = mask ? 0x80 : 0;

	if (bits === 7) {
		head.push(Buffer.from([maskBit | Number(size)]));
	} else if (bits === 16) {
		head.push(Buffer.from([maskBit | 126, Number(size) >> 8, Number(size) & 255]));
	} else {
		const extended = Buffer.alloc(9);
		extended[0] = maskBit | 127;
		extended.writeBigUInt64BE(BigInt(size), 1);
		head.push(extended);
	}
	if (!mask)
		return Buffer.concat([...head, data]);
	return Buffer.concat([...head, key, data.map((byte, i) => byte ^ key[i % 4])]);
}

export function closeFrame(code, reason = '', options = {}) {
	const payload = Buffer.alloc(2);
	payload.writeUInt16BE(code);
	return frame({
		opcode: OPCODE.close,
		payload: Buffer.concat([payload, Buffer.from(reason)]),
		...options,
	});
}

// The next frame on a wire, unmasked: { opcode, fin, rsv, masked, payload, code, reason }.
export async function readFrame(wire) {
	const [first, second] = await wire.read(2);
	let size = second & 127;
	if (size === 126)
		size = (await wire.read(2)).readUInt16BE(0);
	else if (size === 127)
		size = Number((await wire.read(8)).readBigUInt64BE(0));
	const masked = (second & 128) !== 0;
	const key = masked ? Buffer.from(await wire.read(4)) : Buffer.alloc(4);
	const payload = Buffer.from(await wire.read(size)).map((byte, i) => byte ^ key[i % 4]);
	const got = {
		opcode: first & 15,
		fin: (first & 128) !== 0,
		rsv: (first >> 4) & 7,
		masked,
		payload,
	};
	if (got.opcode === OPCODE.close && size >= 2) {
		got.code = payload.readUInt16BE(0);
		got.reason = payload.subarray(2).toString();
	}
	return got;
}
