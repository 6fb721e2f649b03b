// One client for each transport, all after the same thing: the events of the bench origin's ticker, from the
// first to the last. Each counts its requests and the bytes at its socket; `onEvent(event)` is called for
// every event as it arrives.

import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { connect } from "node:net";

// A keep-alive connection whose requests and bytes are counted.
class Connection {
	constructor(port) {
		this.port = port;
		this.agent = new Agent({ keepAlive: true, maxSockets: 1 });
		this.sockets = new Set();
		this.requests = 0;
	}

	send(method, path, headers = {}) {
		this.requests++;
		return new Promise((resolve, reject) => {
			const options = { host: "127.0.0.1", port: this.port, agent: this.agent, method, path, headers };
			const sent = request(options, resolve);
			sent.on("socket", (socket) => this.sockets.add(socket));
			sent.on("error", reject);
			sent.end();
		});
	}

	async sendAndRead(method, path, headers) {
		const response = await this.send(method, path, headers);
		response.setEncoding("utf8");
		let body = "";
		for await (const text of response)
			body += text;
		if (response.statusCode >= 300)
			throw new Error(`${method} ${path}: ${response.statusCode} ${body.slice(0, 200)}`);
		return { body: body ? JSON.parse(body) : null, headers: response.headers };
	}

	end() {
		this.agent.destroy();
		const counted = { requests: this.requests, up: 0, down: 0 };
		for (const socket of this.sockets) {
			counted.up += socket.bytesWritten;
			counted.down += socket.bytesRead;
		}
		return counted;
	}
}

const tickerQuery = ({ interval, size, count }) => `interval=${interval}&size=${size}&count=${count}`;

export function shortPolling(every) {
	return async ({ port, ticker }, onEvent) => {
		const connection = new Connection(port);
		const stream = randomBytes(12).toString("hex");
		for (let last = 0, done = false; !done; ) {
			const asked = performance.now();
			const path = `/ticker/poll?stream=${stream}&${tickerQuery(ticker)}&after=${last}`;
			const { body } = await connection.sendAndRead("GET", path);
			body.events.forEach(onEvent);
			({ last, done } = body);
			if (!done)
				await new Promise((resolve) => setTimeout(resolve, asked + every - performance.now()));
		}
		return connection.end();
	};
}

export async function longPolling({ port, ticker }, onEvent) {
	const connection = new Connection(port);
	const opened = await connection.sendAndRead("POST", `/ws/ticker?${tickerQuery(ticker)}`);
	const session = opened.headers.location;
	for (let cursor = 0, closed = null; !closed; ) {
		const { body } = await connection.sendAndRead("GET", `${session}?after=${cursor}&wait=25`);
		for (const message of body.messages)
			onEvent(JSON.parse(message.text));
		({ cursor, closed = null } = body);
	}
	return connection.end();
}

export async function eventStream({ port, ticker }, onEvent) {
	const connection = new Connection(port);
	const headers = { accept: "text/event-stream" };
	const response = await connection.send("GET", `/ws/ticker?${tickerQuery(ticker)}`, headers);
	if (response.statusCode !== 200)
		throw new Error(`event stream: ${response.statusCode}`);
	response.setEncoding("utf8");
	let rest = "";
	for await (const text of response) {
		const blocks = (rest + text).split("\n\n");
		rest = blocks.pop();
		for (const block of blocks) {
			const lines = block.split("\n");
			const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
			if (data.length && !lines.some((line) => line.startsWith("event:")))
				onEvent(JSON.parse(data.join("\n")));
		}
	}
	return connection.end();
}

// The frames that are whole at the front of the bytes, and what is left. Servers send unmasked, and the ticker whole
// messages of less than 64 KiB.
function takeFrames(bytes) {
	const frames = [];
	for (;;) {
		if (bytes.length < 2)
			return { frames, rest: bytes };
		const short = bytes[1] & 127;
		const header = short === 126 ? 4 : 2;
		if (bytes.length < header)
			return { frames, rest: bytes };
		const length = short === 126 ? bytes.readUInt16BE(2) : short;
		if (bytes.length < header + length)
			return { frames, rest: bytes };
		frames.push({ opcode: bytes[0] & 15, payload: bytes.subarray(header, header + length) });
		bytes = bytes.subarray(header + length);
	}
}

function maskedFrame(opcode, payload) {
	const mask = randomBytes(4);
	const masked = payload.map((byte, i) => byte ^ mask[i & 3]);
	return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked]);
}

export async function webSocket({ port, ticker }, onEvent) {
	const socket = connect(port, "127.0.0.1");
	const key = randomBytes(16).toString("base64");
	socket.write(
		`GET /ws/ticker?${tickerQuery(ticker)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\n` +
			`Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
	);
	let bytes = Buffer.alloc(0);
	let isOpen = false;
	for await (const chunk of socket) {
		bytes = Buffer.concat([bytes, chunk]);
		const end = isOpen ? 0 : bytes.indexOf("\r\n\r\n");
		if (end < 0)
			continue;
		if (!isOpen) {
			const status = bytes.toString("latin1", 0, bytes.indexOf("\r\n"));
			if (!status.startsWith("HTTP/1.1 101 "))
				throw new Error(`WebSocket: ${status}`);
			bytes = bytes.subarray(end + 4);
			isOpen = true;
		}
		const { frames, rest } = takeFrames(bytes);
		bytes = rest;
		for (const { opcode, payload } of frames) {
			if (opcode === 1)
				onEvent(JSON.parse(payload));
			else if (opcode === 9)
				socket.write(maskedFrame(10, payload));
			else if (opcode === 8)
				socket.end(maskedFrame(8, payload.subarray(0, 2)));
		}
	}
	return { requests: 1, up: socket.bytesWritten, down: socket.bytesRead };
}
