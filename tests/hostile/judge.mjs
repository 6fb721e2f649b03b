// Compares what clients sent, what backends got, and what clients got back.
import { readEcho, readRequests, readResponses, values } from './reference.mjs';

const keyOf = (request) => `${request.method} ${request.origin ?? request.target}`;

function startsWith(whole, part) {
	return part.length <= whole.length && whole.subarray(0, part.length).equals(part);
}

// A Pollux that leaves puts its own close behind a frame.
const GOING_AWAY = Buffer.from('\x03\xe9going away', 'latin1');
const CLOSES = [[0x88, 0x0c], [0x88, 0x8c, 0, 0, 0, 0]].map((head) =>
	Buffer.concat([Buffer.from(head), GOING_AWAY]));

function withoutClose(bytes) {
	const close = CLOSES.find((one) => bytes.length >= one.length
		&& bytes.subarray(bytes.length - one.length).equals(one));
	return close === undefined ? bytes : bytes.subarray(0, bytes.length - close.length);
}

export class Judge {
	// `mayClose`: Pollux was told to leave meanwhile.
	constructor(report, { mayClose }) {
		this.report = report;
		this.tunnelled = mayClose ? withoutClose : (bytes) => bytes;
	}

	// `visits`: { sent, got } of the clients' connections; `records`: the backend's. What the bridge
	// has asked for itself stands under /hb.
	judge(visits, all) {
		const tunnels = new Map();
		const byKey = new Map();
		const records = all.filter(({ target }) => !target.startsWith('/hb'));
		for (const record of records) {
			this.#judgeRecord(record);
			if (record.isTunnel)
				tunnels.set(keyOf(record), record);
		}
		for (const visit of visits) {
			visit.read = readRequests(visit.sent, (request) => tunnels.has(keyOf(request)));
			for (const request of visit.read.requests) {
				const list = byKey.get(keyOf(request)) ?? [];
				list.push(request);
				byKey.set(keyOf(request), list);
			}
		}
		this.#judgeForwarded(records, byKey);
		for (const visit of visits) {
			this.#judgeTunnel(visit, tunnels);
			this.#judgeAnswers(visit, all);
		}
	}

	// What Pollux writes is strict HTTP already, or the backend has said so.
	#judgeRecord(record) {
		const complain = (what) => this.report(`${what} in ${keyOf(record)}`, Buffer.from(
			JSON.stringify(record.fields)));
		const connection = values(record, 'connection').join().toLowerCase();
		if (!['', 'upgrade', 'close'].includes(connection))
			complain(`Connection: ${connection}`);
		for (const name of ['keep-alive', 'proxy-connection', 'te', 'http2-settings', 'proxy'])
			if (values(record, name).length > 0)
				complain(name);
		if (values(record, 'upgrade').length > 0 && connection !== 'upgrade')
			complain('Upgrade without Connection');
		if (!values(record, 'via').at(-1)?.endsWith('1.1 pollux')
			&& !values(record, 'via').at(-1)?.endsWith('1.0 pollux'))
			complain('no Via');
	}

	// Each request at the backend is one that a client has sent, and each was sent as often.
	#judgeForwarded(records, byKey) {
		const used = new Map();
		for (const record of records) {
			const key = keyOf(record);
			const sent = byKey.get(key) ?? [];
			const n = (used.get(key) ?? 0) + 1;
			used.set(key, n);
			if (n > sent.length)
				this.report(`the backend got ${n} times what was sent ${sent.length} times: ${key}`,
					Buffer.from(JSON.stringify(record.fields)));
			else if (!sent.some((request) => startsWith(request.body, record.body)
				&& (!record.isComplete || (request.isComplete
					&& request.body.length === record.body.length))))
				this.report(`the backend got another body: ${key}`, record.body);
		}
	}

	#judgeTunnel(visit, tunnels) {
		const last = visit.read.requests.at(-1);
		if (visit.read.rest === undefined)
			return;
		const got = this.tunnelled(Buffer.concat(tunnels.get(keyOf(last)).tunnel.got));
		if (!startsWith(visit.read.rest, got))
			this.report(`the tunnel changed what the client said: ${keyOf(last)}`, got);
		const back = readResponses(visit.got, visit.read.requests.map(({ method }) => method)).rest;
		const said = Buffer.concat(tunnels.get(keyOf(last)).tunnel.sent);
		if (back !== undefined && !startsWith(said, this.tunnelled(back)))
			this.report(`the tunnel changed what the backend said: ${keyOf(last)}`, back);
	}

	// One answer for each request, in order, and none of what stood in a body.
	#judgeAnswers(visit, records) {
		const { requests } = visit.read;
		const methods = requests.map(({ method }) => method);
		const { responses, error, isBroken } = readResponses(visit.got, methods);
		if (isBroken)
			this.report(`a client got what is no HTTP: ${error}`, visit.got);
		if (responses.length > requests.length + 1)
			this.report(`${responses.length} answers to ${requests.length} requests`, visit.got);
		responses.forEach((response, i) => {
			const echo = readEcho(values(response, 'x-echo')[0]);
			const record = echo === undefined ? undefined : records[echo.id];
			if (record === undefined || record.mayDecoy)
				return;
			if (echo.isDecoy)
				this.report(`a client got a decoy of ${record.way}`, visit.got);
			else if (requests[i] === undefined || keyOf(requests[i]) !== keyOf(record))
				this.report(`the answer to ${keyOf(record)} went to ${requests[i] === undefined
					? 'nobody' : keyOf(requests[i])}`, visit.got);
		});
	}
}
