// What a hostile client does on one connection: steps of { send }, { wait }, { mute }, { end },
// { reset }. Every request names a token of its own in its target, and so does every request that is
// hidden in a body.
import { OPCODE, closeFrame, frame, handshake } from '../e2e/lib/websocket_bytes.mjs';
import { mutate, pieces } from './mutate.mjs';

const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH',
	'TRACE', 'CONNECT', 'PRI', 'FOO', 'get', 'M-SEARCH', 'X'.repeat(33)];
const FIELDS = ['Accept: */*', 'Cookie: a=b', 'X-Long: ' + 'y'.repeat(300), 'Expect: 100-continue',
	'Expect: 200-maybe', 'TE: trailers', 'Connection: close', 'Connection: keep-alive',
	'Connection: x-long, host', 'Keep-Alive: timeout=1', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk',
	'Connection: Upgrade, HTTP2-Settings', 'Max-Forwards: 0', 'X-Forwarded-For: 1.2.3.4',
	'X-Forwarded-Host: evil', 'Forwarded: for=1.2.3.4;host=evil', 'Proxy: http://evil',
	'Range: bytes=0-1', 'Origin: http://evil.example', 'Accept: text/event-stream', 'Prefer: wait=1',
	'Content-Type: application/json', 'Trailer: X-Sum', 'Via: 1.1 x', 'Empty:', 'X-Obs: \xe9\xff',
	'Last-Event-ID: x.1', 'Pollux-Seq: 1', 'Content-Encoding: gzip', 'Authorization: Basic YTpi'];
const FRAMINGS = ['Content-Length: 5', 'Content-Length: 0', 'Content-Length: +5',
	'Content-Length: 5, 5', 'Content-Length: 0x5', 'Content-Length: 18446744073709551616',
	'Content-Length: ', 'Content-Length : 5', 'Content-Length:\t7', 'Content_Length: 5',
	'Transfer-Encoding: chunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding:\tchunked',
	'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: identity, chunked',
	'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
	'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding : chunked', 'Transfer-Encoding:\r\n chunked',
	'X: y\nTransfer-Encoding: chunked', 'Transfer-Encoding: CHUNKED', ' Content-Length: 5'];
const CHUNK_LINES = ['0x5', '5 ', '5;a=b', '5;' + 'x'.repeat(200), '-5', '+5', '00000005', '5\n', '5\r',
	'5;\n', 'fffffffffffffffff', '7fffffffffffffff', '', ' 5', '5,', '5_'];

let lastToken = 0;

export function newToken() {
	return `t${String(++lastToken).padStart(7, '0')}z`;
}

export class ClientScript {
	constructor(random, { routes = ['/'], host = 'a' } = {}) {
		this.random = random;
		this.routes = routes;
		this.host = host;
		this.steps = [];
		this.isWebSocket = random.chance(15);
	}

	make() {
		const { random } = this;
		const bytes = this.isWebSocket
			? Buffer.concat([this.#handshake(), this.#frames()])
			: Buffer.concat(Array.from({ length: 1 + random.size(6) }, () => this.#request()));
		this.#send(random.chance(10) ? mutate(random, bytes) : bytes);
		this.#finish();
		return this.steps;
	}

	#send(bytes) {
		const { random } = this;
		const isCut = random.chance(10);
		const sent = isCut ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
		if (random.chance(5))
			this.steps.push({ mute: random.between(1, 400) });
		for (const piece of pieces(random, sent, random.chance(20) ? 60 : 4)) {
			this.steps.push({ send: piece });
			if (random.chance(30))
				this.steps.push({ wait: random.below(20) });
		}
	}

	#finish() {
		const { random } = this;
		const end = random.weighted({ answers: 60, end: 12, reset: 12, leave: 10, mute: 6 });
		if (end === 'end')
			this.steps.push({ end: true });
		else if (end === 'mute')
			this.steps.push({ mute: random.between(100, 1500) });
		else if (end !== 'answers')
			this.steps.push({ wait: random.below(40) }, { [end]: true });
	}

	#target(token) {
		const { random } = this;
		const path = `${random.pick(this.routes)}${token}`;
		switch (random.below(12)) {
		case 0:
			return `http://${this.host}${path}?q`;
		case 1:
			return `${path}?a=%00%0d%0a&b=<>"`;
		case 2:
			return `${path}/../x//y/%2e%2e/`;
		case 3:
			return `${path}?${'q'.repeat(random.pick([10, 3000, 9000]))}`;
		default:
			return path;
		}
	}

	// A request that stands in another one's body.
	#hidden() {
		return `GET ${this.random.pick(this.routes)}hidden-${newToken()} HTTP/1.1\r\nHost: a\r\n\r\n`;
	}

	#request() {
		const { random } = this;
		const method = random.chance(80) ? random.pick(METHODS.slice(0, 10)) : random.pick(METHODS);
		const version = random.chance(93) ? 'HTTP/1.1'
			: random.pick(['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', 'HTTP/1']);
		const fields = [`Host: ${this.host}`];
		for (let n = random.size(5); n > 0; n--)
			fields.push(random.pick(FIELDS));
		const framed = this.#framed(method);
		fields.push(...framed.fields);
		if (random.chance(3))
			fields.push(random.pick(['Host: b', 'host: a', ' folded', 'no colon', 'Bad Name: x',
				'X: a\0b', 'X: a\rb', 'X: a\nY: b', ': x']));
		if (random.chance(2))
			fields.shift();
		if (random.chance(1))
			fields.push(...Array.from({ length: 150 }, (_, i) => `X-${i}: ${i}`));
		if (random.chance(1))
			fields.push(`X-Huge: ${'h'.repeat(40_000)}`);
		const head = `${method} ${this.#target(newToken())} ${version}\r\n${fields.join('\r\n')}\r\n\r\n`;
		const lead = random.chance(3) ? '\r\n' : '';
		return Buffer.concat([Buffer.from(lead + head, 'latin1'), framed.body]);
	}

	#content() {
		const { random } = this;
		if (random.chance(40))
			return Buffer.from(this.#hidden());
		if (random.chance(5))
			return Buffer.alloc(random.below(300_000), 'b');
		return random.bytes(random.size(2000));
	}

	// { fields, body }: mostly right, else one of the classes of smuggling.
	#framed(method) {
		const { random } = this;
		const wants = method === 'POST' || method === 'PUT' || method === 'PATCH' ? 90 : 15;
		if (!random.chance(wants))
			return { fields: [], body: Buffer.alloc(0) };
		const content = this.#content();
		if (random.chance(15))
			return this.#misframed(content);
		if (random.chance(50))
			return { fields: [`Content-Length: ${content.length}`], body: content };
		return { fields: ['Transfer-Encoding: chunked'], body: this.#chunks(content) };
	}

	#misframed(content) {
		const { random } = this;
		const fields = [random.pick(FRAMINGS)];
		if (random.chance(60))
			fields.push(random.pick(FRAMINGS));
		const body = random.chance(50) ? this.#chunks(content)
			: Buffer.concat([Buffer.from('0\r\n\r\n'), content]);
		return { fields, body };
	}

	#chunks(content) {
		const { random } = this;
		const parts = pieces(random, content, 5).flatMap((piece) => {
			const line = random.chance(3) ? random.pick(CHUNK_LINES)
				: piece.length.toString(16) + (random.chance(10) ? ';x="y"' : '');
			return [Buffer.from(`${line}\r\n`, 'latin1'), piece,
				Buffer.from(random.chance(2) ? '\n' : '\r\n')];
		});
		const trailers = random.chance(10)
			? random.pick(['X-Sum: 1\r\n', 'Content-Length: 3\r\nHost: b\r\n', 'bad\r\n', ' x: y\r\n'])
			: '';
		return Buffer.concat([...parts, Buffer.from(`0\r\n${trailers}\r\n`)]);
	}

	#handshake() {
		const { random } = this;
		const fields = {};
		if (random.chance(15)) {
			const [name, value] = random.pick([['Sec-WebSocket-Version', '12'],
				['Sec-WebSocket-Key', 'short'], ['Upgrade', 'h2c, websocket'], ['Connection', 'close'],
				['Content-Length', '5'], ['Transfer-Encoding', 'chunked'], ['Sec-WebSocket-Key', undefined],
				['Sec-WebSocket-Extensions', 'permessage-deflate'], ['Origin', 'http://evil.example']]);
			fields[name] = value;
		}
		return Buffer.from(handshake({ target: this.#target(newToken()), host: this.host, fields }),
			'latin1');
	}

	#frame() {
		const { random } = this;
		const options = {
			opcode: random.chance(90) ? random.pick([1, 1, 2, 0, 8, 9, 10]) : random.below(16),
			fin: random.chance(85),
			rsv: random.chance(95) ? 0 : random.below(8),
			mask: random.chance(95),
			payload: random.chance(20) ? this.#hidden() : random.bytes(random.size(3000)),
		};
		if (random.chance(3))
			options.length = random.below(100);
		return frame(options);
	}

	#frames() {
		const { random } = this;
		const frames = Array.from({ length: random.size(12) }, () => this.#frame());
		if (random.chance(40))
			frames.push(closeFrame(random.pick([1000, 1001, 1005, 3000, 4999, 5000]), 'x',
				{ mask: true, opcode: OPCODE.close }));
		return Buffer.concat(frames);
	}
}
