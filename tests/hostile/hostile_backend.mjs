// A backend that answers as it should, or in every way that it should not. It keeps what it got, and
// what it did, for the judge.
import net from 'node:net';
import tls from 'node:tls';

import { acceptOf, closeFrame, frame, switching } from '../e2e/lib/websocket_bytes.mjs';
import { event } from '../e2e/lib/wait.mjs';
import { mutate, pieces } from './mutate.mjs';
import { echoOf, nextRequest, values } from './reference.mjs';

const HEADS = ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
	'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
	'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello', 'HTTP/1.1 099 Low\r\n\r\n',
	'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'HTTP/1.1 20 OK\r\n\r\n',
	'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n',
	'HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n', 'SSH-2.0-x\r\n', 'HTTP/3 200\r\n\r\n',
	'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
	'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n',
	'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx',
	'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n',
	'HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\nsomething',
	`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
	`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(300)}\r\n`, '\r\nHTTP/1.1 200 OK\r\n\r\n', '\0\0\0\0'];

const WEIGHTS = { good: 55, large: 4, hints: 5, flood: 1, wrong: 8, mutated: 8, cut: 5, early: 4,
	stall: 2, slow: 4, trailing: 4, unasked: 3, leave: 3, reset: 3 };

const WEBSOCKET_WEIGHTS = { tunnel: 75, good: 10, badAccept: 4, mutated: 4, wrong: 3, stall: 2,
	reset: 2 };

// After these a connection must not carry another request.
const DOUBTFUL = new Set(['flood', 'wrong', 'cut', 'trailing', 'unasked', 'badAccept', 'stall', 'tunnel']);

class Conn {
	#bytes = Buffer.alloc(0);
	#at = 0;
	#current;

	constructor(backend, socket) {
		this.backend = backend;
		this.socket = socket;
		this.random = backend.random.fork();
		this.requests = [];
		this.tunnel = undefined;
		this.isOver = false;
		socket.on('data', (chunk) => this.#onData(chunk));
		socket.on('end', () => this.#onEnd());
		socket.on('error', () => {});
		socket.on('close', () => {
			this.isOver = true;
			this.#finishRequest();
		});
	}

	#onData(chunk) {
		if (this.tunnel !== undefined) {
			this.tunnel.got.push(chunk);
			this.#onTunnelData();
			return;
		}
		this.#bytes = Buffer.concat([this.#bytes, chunk]);
		this.#look();
	}

	#onEnd() {
		if (!this.isOver && this.random.chance(90))
			this.socket.end();
	}

	#look() {
		try {
			while (this.#at < this.#bytes.length && this.tunnel === undefined) {
				const request = nextRequest(this.#bytes, this.#at);
				if (request === undefined)
					return;
				if (this.#current === undefined)
					this.#begin(request);
				Object.assign(this.#current, request);
				if (!request.isComplete)
					return;
				this.#at = request.end;
				this.#current = undefined;
			}
		} catch (error) {
			this.backend.report(`the backend got what is no HTTP: ${error.message}`, this.#bytes);
			this.socket.destroy();
		}
	}

	#finishRequest() {
		this.#bytes = Buffer.alloc(0);
	}

	#begin(request) {
		this.#current = { ...request, id: this.backend.records.length, mayDecoy: false };
		this.backend.records.push(this.#current);
		this.requests.push(this.#current);
		const before = this.requests.at(-2);
		if (before !== undefined && DOUBTFUL.has(before.way))
			this.backend.report(`a connection used again after '${before.way}'`, this.#bytes);
		this.#answer(this.#current).catch(() => this.socket.destroy());
	}

	async #answer(record) {
		const { random } = this;
		const isWebSocket = values(record, 'sec-websocket-key').length > 0 && record.wantsWebSocket;
		const way = random.weighted(isWebSocket ? WEBSOCKET_WEIGHTS : WEIGHTS);
		record.way = way;
		if (way !== 'early' && way !== 'leave' && way !== 'reset')
			await this.#wholeRequest(record);
		await this[`way_${way}`](record);
	}

	async #wholeRequest(record) {
		if (values(record, 'expect').length > 0 && this.random.chance(70))
			this.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
		while (!record.isComplete && !this.isOver)
			await this.#pass(5);
	}

	#pass(ms) {
		return new Promise((done) => setTimeout(done, ms));
	}

	async #write(bytes) {
		if (this.isOver || bytes.length === 0 || this.socket.write(bytes))
			return;
		await new Promise((done) => {
			const go = () => {
				this.socket.off('drain', go);
				this.socket.off('close', go);
				done();
			};
			this.socket.on('drain', go);
			this.socket.on('close', go);
		});
	}

	// A right response that says which request it answers.
	#good(record, content = this.#content(record)) {
		const { random } = this;
		const echo = `HTTP/1.1 200 OK\r\nX-Echo: ${echoOf(record.id)}\r\n`;
		switch (random.below(8)) {
		case 0:
			return Buffer.from(`HTTP/1.1 204 No Content\r\nX-Echo: ${echoOf(record.id)}\r\n\r\n`);
		case 1:
			return Buffer.from(`HTTP/1.1 304 Not Modified\r\nX-Echo: ${echoOf(record.id)}\r\nETag: "x"\r\n\r\n`);
		case 2:
		case 3: {
			const head = `${echo}Transfer-Encoding: chunked\r\n\r\n`;
			const chunks = pieces(random, content).map((piece) =>
				Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]));
			if (record.method === 'HEAD')
				return Buffer.from(head);
			return Buffer.concat([Buffer.from(head), ...chunks, Buffer.from('0\r\n\r\n')]);
		}
		default: {
			const head = `${echo}Content-Length: ${content.length}\r\nLink: </x>\r\n\r\n`;
			return record.method === 'HEAD' ? Buffer.from(head)
				: Buffer.concat([Buffer.from(head), content]);
		}
		}
	}

	#content(record) {
		const { random } = this;
		return random.chance(30) ? Buffer.from(this.#decoy(record)) : random.bytes(random.size(3000));
	}

	// What must never be taken for a response.
	#decoy(record) {
		return `HTTP/1.1 200 OK\r\nX-Echo: decoy-${echoOf(record.id)}\r\nContent-Length: 0\r\n\r\n`;
	}

	async way_good(record) {
		await this.#write(this.#good(record));
	}

	async way_large(record) {
		await this.#write(this.#good(record, Buffer.alloc(this.random.below(1_500_000), 'z')));
	}

	async way_hints(record) {
		for (let n = this.random.between(1, 20); n > 0; n--)
			await this.#write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
		await this.#write(this.#good(record));
	}

	async way_flood() {
		const status = this.random.pick([100, 102, 103, 199]);
		const block = `HTTP/1.1 ${status} Again\r\nX: y\r\n\r\n`.repeat(500);
		for (let n = 0; n < 40 && !this.isOver; n++)
			await this.#write(block);
	}

	async way_wrong() {
		await this.#write(Buffer.from(this.random.pick(HEADS), 'latin1'));
		if (this.random.chance(60))
			this.socket.end();
	}

	async way_mutated(record) {
		record.mayDecoy = true;
		await this.#write(mutate(this.random, this.#good(record)));
		if (this.random.chance(50))
			this.socket.end();
	}

	async way_cut(record) {
		const bytes = this.#good(record);
		await this.#write(bytes.subarray(0, this.random.below(bytes.length)));
		await this.#pass(this.random.below(5));
		if (this.random.chance(50))
			this.socket.end();
		else
			this.socket.resetAndDestroy?.();
	}

	// Before it has the whole request.
	async way_early(record) {
		await this.#write(this.#good(record));
		if (this.random.chance(30))
			this.socket.resetAndDestroy?.();
		else if (this.random.chance(30))
			this.socket.pause();
	}

	async way_stall(record) {
		const bytes = this.#good(record);
		await this.#write(bytes.subarray(0, this.random.below(bytes.length)));
		this.socket.pause();
		await this.#pass(4000);
		this.socket.destroy();
	}

	async way_slow(record) {
		for (const piece of pieces(this.random, this.#good(record), 40)) {
			await this.#write(piece);
			await this.#pass(this.random.below(15));
		}
	}

	async way_trailing(record) {
		await this.#write(Buffer.concat([this.#good(record), Buffer.from(this.#decoy(record))]));
	}

	async way_unasked(record) {
		await this.#write(switching({ fields: { 'X-Echo': echoOf(record.id) } }));
		await this.#write(this.#decoy(record));
	}

	async way_leave() {
		await this.#pass(this.random.below(20));
		this.socket.end();
	}

	async way_reset() {
		await this.#pass(this.random.below(20));
		this.socket.resetAndDestroy?.();
	}

	async way_badAccept(record) {
		await this.#write(switching({ accept: acceptOf('x'), fields: { 'X-Echo': echoOf(record.id) } }));
	}

	async way_tunnel(record) {
		record.isTunnel = true;
		this.tunnel = { got: [this.#bytes.subarray(this.#at)], sent: [] };
		record.tunnel = this.tunnel;
		this.#at = this.#bytes.length;
		await this.#write(switching({
			accept: acceptOf(values(record, 'sec-websocket-key')[0]),
			fields: { 'X-Echo': echoOf(record.id) },
		}));
		for (let n = this.random.size(10); n > 0 && !this.isOver; n--)
			await this.#sendFrame();
		if (this.random.chance(30))
			await this.#sendTunnel(closeFrame(1000));
		if (this.random.chance(40))
			this.socket.end();
		else if (this.random.chance(20))
			this.socket.resetAndDestroy?.();
	}

	async #sendTunnel(bytes) {
		this.tunnel.sent.push(bytes);
		await this.#write(bytes);
	}

	async #sendFrame() {
		const { random } = this;
		const bytes = frame({
			opcode: random.chance(90) ? random.pick([1, 1, 2, 9, 10, 0]) : random.below(16),
			fin: random.chance(90),
			payload: random.chance(3) ? Buffer.alloc(200_000, 'w') : random.bytes(random.size(2000)),
			mask: random.chance(3),
		});
		await this.#sendTunnel(random.chance(5) ? mutate(random, bytes, 2) : bytes);
		await this.#pass(random.below(5));
	}

	#onTunnelData() {
		if (this.random.chance(5) && !this.isOver)
			this.#sendFrame().catch(() => {});
	}
}

export class HostileBackend {
	records = [];
	#conns = new Set();

	static async start(owner, random, report, tlsOptions) {
		const backend = new HostileBackend(random, report, tlsOptions);
		backend.server.listen({ host: '127.0.0.1', port: 0, backlog: 512 });
		await event(backend.server, 'listening');
		backend.address = `127.0.0.1:${backend.server.address().port}`;
		owner.after(() => backend.close());
		return backend;
	}

	constructor(random, report, tlsOptions) {
		this.random = random;
		this.report = report;
		const onConnection = (socket) => {
			const conn = new Conn(this, socket);
			this.#conns.add(conn);
			socket.once('close', () => this.#conns.delete(conn));
		};
		this.server = tlsOptions === undefined
			? net.createServer({ allowHalfOpen: true }, onConnection)
			: tls.createServer({ allowHalfOpen: true, ...tlsOptions }, onConnection);
	}

	get nOpen() {
		return this.#conns.size;
	}

	forget() {
		this.records = [];
	}

	close() {
		this.server.close();
		for (const conn of this.#conns)
			conn.socket.destroy();
	}
}
