// `openssl s_client`, for what Node's own TLS cannot be made to do; and handshakes byte by byte.
import { spawn } from 'node:child_process';

import { atEnd } from './scope.mjs';
import { Changing } from './wait.mjs';

export class OpensslClient extends Changing {
	output = '';
	exit = undefined;

	// `args`: further arguments of s_client.
	static start(owner, { host, port }, ...args) {
		const client = new OpensslClient();
		const child = spawn('openssl', ['s_client', '-connect', `${host}:${port}`, ...args], {
			stdio: ['pipe', 'pipe', 'pipe'],
		});
		client.child = child;
		child.stdin.on('error', () => {}); // it has left
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding('latin1').on('data', (text) => {
				client.output += text;
				client.changed();
			});
		}
		child.on('close', (code) => {
			client.exit = code;
			client.changed();
		});
		atEnd(owner, () => child.kill('SIGKILL'));
		return client;
	}

	send(text) {
		this.child.stdin.write(text, 'latin1');
	}

	count(text) {
		return this.output.split(text).length - 1;
	}

	// Waits until the text has come so many times.
	shows(text, times = 1) {
		return this.until(() => {
			if (this.count(text) >= times)
				return true;
			if (this.exit !== undefined)
				throw new Error(`no "${text}" before the end of:\n${this.output}`);
			return undefined;
		}, `"${text}" from openssl`);
	}

	// A command of s_client: one letter, in a write of its own.
	async command(letter, echo, times) {
		this.send(`${letter}\n`);
		await this.shows(echo, times);
	}

	left() {
		return this.until(() => this.exit !== undefined, 'the end of openssl');
	}
}

const ALERTS = { 0: 'close_notify', 10: 'unexpected_message', 40: 'handshake_failure', 47: 'illegal_parameter',
	50: 'decode_error', 70: 'protocol_version', 100: 'no_renegotiation', 120: 'no_application_protocol' };

function vector(bits, ...parts) {
	const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
	const length = Buffer.alloc(4);
	length.writeUInt32BE(body.length);
	return Buffer.concat([length.subarray(4 - bits / 8), body]);
}

function uint16s(...numbers) {
	return Buffer.from(numbers.flatMap((number) => [number >> 8, number & 255]));
}

function extension(type, ...parts) {
	return Buffer.concat([uint16s(type), vector(16, ...parts)]);
}

/*
 * A ClientHello of TLS 1.2 or before, as one record. `version` in both places, `ciphers` by number
 * (ECDHE-ECDSA-AES128-GCM-SHA256), `compression` methods, `alpn` names.
 */
export function clientHello({ version = 0x0303, ciphers = [0xc02b], compression = [0], alpn } = {}) {
	const extensions = [
		extension(10, vector(16, uint16s(0x0017))), // supported_groups: P-256
		extension(11, vector(8, [0])), // ec_point_formats
		extension(13, vector(16, uint16s(0x0403, 0x0804))), // signature_algorithms
	];
	if (alpn !== undefined)
		extensions.push(extension(16, vector(16, ...alpn.map((name) => vector(8, name)))));
	const body = Buffer.concat([
		uint16s(version),
		Buffer.alloc(32, 7), // random
		vector(8), // session id
		vector(16, uint16s(...ciphers)),
		vector(8, compression),
		vector(16, ...extensions),
	]);
	const message = Buffer.concat([[1], vector(24, body)].map((part) => Buffer.from(part)));
	return Buffer.concat([Buffer.from([22]), uint16s(0x0301), vector(16, message)]);
}

// The first record of an answer: { alert } by name, or { version, cipher, compression }.
export async function readServerHello(wire) {
	const head = await wire.read(5);
	const body = await wire.read(head.readUInt16BE(3));
	if (head[0] === 21)
		return { alert: ALERTS[body[1]] ?? body[1], isFatal: body[0] === 2 };
	const at = 4 + 2 + 32;
	const afterId = at + 1 + body[at];
	return {
		version: body.readUInt16BE(4),
		cipher: body.readUInt16BE(afterId),
		compression: body[afterId + 2],
	};
}
