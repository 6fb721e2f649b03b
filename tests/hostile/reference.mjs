// HTTP/1.1 read a second time, by other code than Pollux's: as strict as RFC 9112 allows, over whole
// recordings. What Pollux forwards has to be among what this reads.

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([!-~]+) HTTP/1\\.([0-9])$`);
const STATUS_LINE = /^HTTP\/1\.([0-9]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?$/;
const FIELD_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([\\t -~\\x80-\\xff]*?)[ \\t]*$`);
const CHUNK_LINE = /^([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?[ \t]*$/;

class Broken extends Error {}
class Short extends Error {}

class Reader {
	constructor(bytes, at = 0) {
		this.bytes = bytes;
		this.at = at;
	}

	get left() {
		return this.bytes.length - this.at;
	}

	// Up to CRLF, without it.
	line() {
		const end = this.bytes.indexOf('\n', this.at, 'latin1');
		if (end < 0)
			throw new Short('in a line');
		const text = this.bytes.latin1Slice(this.at, end);
		if (!text.endsWith('\r'))
			throw new Broken(`a bare LF after ${JSON.stringify(text)}`);
		this.at = end + 1;
		return text.slice(0, -1);
	}

	fields() {
		const fields = [];
		for (;;) {
			const line = this.line();
			if (line === '')
				return fields;
			const match = FIELD_LINE.exec(line);
			if (match === null)
				throw new Broken(`field line ${JSON.stringify(line)}`);
			fields.push([match[1].toLowerCase(), match[2]]);
		}
	}

	// At most n bytes.
	take(n) {
		const part = this.bytes.subarray(this.at, Math.min(this.at + n, this.bytes.length));
		this.at += part.length;
		return part;
	}
}

// A number with a check, so that one that was changed on its way is not taken for another.
export function echoOf(id) {
	return `${id}.${(id * 7919 + 13) % 99_991}`;
}

// { id, isDecoy } or undefined.
export function readEcho(text = '') {
	const match = /^(decoy-)?(\d+)\.\d+$/.exec(text);
	if (match === null || !text.endsWith(`${echoOf(Number(match[2]))}`))
		return undefined;
	return { id: Number(match[2]), isDecoy: match[1] !== undefined };
}

export function values(message, name) {
	return message.fields.filter(([key]) => key === name).map(([, value]) => value);
}

function hasToken(message, name, token) {
	return values(message, name).some((value) =>
		value.split(',').some((part) => part.trim().toLowerCase() === token));
}

// 'none', 'chunked', or a number of bytes.
function framingOf(message) {
	const codings = values(message, 'transfer-encoding');
	const lengths = values(message, 'content-length');
	if (codings.length + lengths.length > 1)
		throw new Broken('framing said twice');
	if (codings.length === 1) {
		if (codings[0].toLowerCase() !== 'chunked' || message.minor === 0)
			throw new Broken('transfer coding');
		return 'chunked';
	}
	if (lengths.length === 0)
		return 'none';
	if (!/^[0-9]{1,18}$/.test(lengths[0]))
		throw new Broken('content length');
	return Number(lengths[0]);
}

function readChunks(reader, message, parts) {
	for (;;) {
		const match = CHUNK_LINE.exec(reader.line());
		if (match === null)
			throw new Broken('chunk size');
		const size = parseInt(match[1], 16);
		if (size === 0)
			break;
		const part = reader.take(size);
		parts.push(part);
		if (part.length < size)
			throw new Short('in a chunk');
		if (reader.left < 2)
			throw new Short('behind a chunk');
		if (reader.line() !== '')
			throw new Broken('no line end behind a chunk');
	}
	message.trailers = reader.fields();
}

function readBody(reader, message, framing) {
	const parts = [];
	try {
		if (framing === 'chunked') {
			readChunks(reader, message, parts);
		} else if (framing === 'close') {
			parts.push(reader.take(reader.left));
		} else if (framing !== 'none') {
			parts.push(reader.take(framing));
			if (parts[0].length < framing)
				throw new Short('in a body');
		}
		message.isComplete = true;
	} finally {
		message.body = Buffer.concat(parts);
	}
}

// Absolute form becomes origin form; its authority is the host's.
function originForm(message) {
	const match = /^https?:\/\/([^/?]*)(.*)$/i.exec(message.target);
	if (match === null)
		return message.target;
	if (match[2] === '')
		return message.method === 'OPTIONS' ? '*' : '/';
	return match[2].startsWith('?') ? `/${match[2]}` : match[2];
}

function readRequest(reader) {
	const match = REQUEST_LINE.exec(reader.line());
	if (match === null)
		throw new Broken('request line');
	const message = {
		method: match[1],
		target: match[2],
		minor: Number(match[3]),
		fields: reader.fields(),
		body: Buffer.alloc(0),
		isComplete: false,
	};
	const hosts = values(message, 'host');
	if (hosts.length > 1 || (hosts.length === 0 && message.minor > 0))
		throw new Broken('host');
	message.framing = framingOf(message);
	message.origin = originForm(message);
	message.wantsWebSocket = message.minor > 0 && hasToken(message, 'connection', 'upgrade')
		&& hasToken(message, 'upgrade', 'websocket');
	return message;
}

/*
 * What a client's bytes say: { requests, error, rest }. The last request may be incomplete. The
 * reading ends at what is malformed, and behind a request for which `isTunnel(request)` holds: then
 * `rest` is what goes through the tunnel.
 */
export function readRequests(bytes, isTunnel = () => false) {
	const reader = new Reader(bytes);
	const requests = [];
	let current;
	try {
		for (;;) {
			while (reader.left >= 2 && reader.bytes.latin1Slice(reader.at, reader.at + 2) === '\r\n')
				reader.at += 2;
			if (reader.left === 0)
				return { requests };
			current = readRequest(reader);
			requests.push(current);
			readBody(reader, current, current.framing);
			if (isTunnel(current))
				return { requests, rest: reader.take(reader.left) };
		}
	} catch (error) {
		if (!(error instanceof Broken || error instanceof Short))
			throw error;
		return { requests, error: error.message, isBroken: error instanceof Broken };
	}
}

function readResponse(reader, method) {
	const match = STATUS_LINE.exec(reader.line());
	if (match === null)
		throw new Broken('status line');
	const message = {
		minor: Number(match[1]),
		status: Number(match[2]),
		fields: reader.fields(),
		body: Buffer.alloc(0),
		isComplete: false,
	};
	let framing = framingOf(message);
	// A proxy may answer before it has read what is asked.
	const isUnread = (message.status === 503 || message.status === 408)
		&& hasToken(message, 'connection', 'close') && values(message, 'via').length === 0;
	if ((method === 'HEAD' && !isUnread) || message.status < 200 || message.status === 204
		|| message.status === 304)
		framing = 'none';
	else if (framing === 'none')
		framing = 'close';
	readBody(reader, message, framing);
	return message;
}

/*
 * What a client has got for requests with these methods: { responses, nInterim, error, rest }. Ends
 * at a 101.
 */
export function readResponses(bytes, methods) {
	const reader = new Reader(bytes);
	const responses = [];
	let nInterim = 0;
	try {
		while (reader.left > 0) {
			const response = readResponse(reader, methods[responses.length]);
			if (response.status < 200 && response.status !== 101) {
				nInterim++;
				continue;
			}
			responses.push(response);
			if (response.status === 101)
				return { responses, nInterim, rest: reader.take(reader.left) };
		}
		return { responses, nInterim };
	} catch (error) {
		if (!(error instanceof Broken || error instanceof Short))
			throw error;
		return { responses, nInterim, error: error.message, isBroken: error instanceof Broken };
	}
}

// For a recording that grows: the next whole request from `at`, or undefined. Throws when it is
// malformed.
export function nextRequest(bytes, at) {
	const reader = new Reader(bytes, at);
	try {
		const request = readRequest(reader);
		request.headEnd = reader.at;
		try {
			readBody(reader, request, request.framing);
		} catch (error) {
			if (!(error instanceof Short))
				throw error;
		}
		request.end = reader.at;
		return request;
	} catch (error) {
		if (error instanceof Short)
			return undefined;
		throw error;
	}
}
