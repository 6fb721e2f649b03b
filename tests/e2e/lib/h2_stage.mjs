// Pollux between clients and a backend, each of which speaks the version that a test says.
import http from 'node:http';
import https from 'node:https';
import { after } from 'node:test';

import { Authority } from './certificates.mjs';
import { DualBackend } from './dual_backend.mjs';
import { H2Client } from './h2_client.mjs';
import { Pollux } from './pollux.mjs';
import { atEnd } from './scope.mjs';
import { within } from './wait.mjs';
import { KEY, acceptOf } from './websocket_bytes.mjs';
import { WebSocketEnd } from './websocket_end.mjs';

// What lies on both sides of Pollux: a client of HTTP/2 and a backend of each kind.
export const LINKS = [
	{ name: 'h2c to h1', isTls: false, protocol: 'http/1.1' },
	{ name: 'h2c to h2c', isTls: false, protocol: 'h2' },
	{ name: 'h2 over TLS to h1 over TLS', isTls: true, protocol: 'http/1.1' },
	{ name: 'h2 over TLS to h2 over TLS', isTls: true, protocol: 'h2' },
];

// One authority and its certificates for all tests of a file, gone when the file is done.
const closers = [];
let shared;

after(async () => {
	for (const close of closers)
		await close();
});

export function certificates() {
	if (shared === undefined) {
		const authority = new Authority({ after: (close) => closers.push(close) });
		shared = {
			ca: authority.certificate,
			caFile: authority.file,
			outer: authority.issue(['localhost', '127.0.0.1']),
			inner: authority.issue(['localhost', '127.0.0.1']),
		};
	}
	return shared;
}

// { cert, key } for a server of Node's.
export function serverTls() {
	const { certText, keyText } = certificates().inner;
	return { cert: certText, key: keyText };
}

// Options of the backend section for a server with this protocol.
export function backendOptions({ isTls, protocol }) {
	if (isTls)
		return { tls: true, tls_ca: certificates().caFile };
	return protocol === 'h2' ? { protocol: 'h2' } : {};
}

export function listenOptions({ isTls }) {
	return isTls ? { certificates: [certificates().outer.pem] } : { h2c: true };
}

/*
 * A link of LINKS set up: { backend, pollux, ca, where, connect(options) }. `server` are options of
 * DualBackend; `backend`, `listen`, `route` and `program` go into the configuration.
 */
export async function linked(t, link, { server = {}, backend: backendMore = {}, listen = {}, route = {},
	...options } = {}) {
	const backend = await DualBackend.start(t, {
		protocol: link.protocol,
		tls: link.isTls ? serverTls() : undefined,
		...server,
	});
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...backendOptions(link), ...backendMore },
		listen: { ...listenOptions(link), ...listen },
		route: [route].flat().map((one) => ({ forwarded: 'off', ...one })),
		...options,
	});
	atEnd(t, () => backend.endLeft());
	const ca = link.isTls ? certificates().ca : undefined;
	return {
		backend,
		pollux,
		ca,
		where: pollux.where(),
		connect: (more = {}) => H2Client.connect(t, pollux.where(), { ca, ...more }),
	};
}

// The same with a client that is connected.
export async function joined(t, link, options) {
	const stage = await linked(t, link, options);
	return { ...stage, client: await stage.connect() };
}

// A WebSocket over a connection of its own by Node's client of HTTP/1.1: an end, or an error with
// the `response` that refused it. A field that is undefined is left out.
export async function openOverH1(t, { host, port }, path = '/', { ca, headers = {}, protocols = [],
	isManual, extensions } = {}) {
	const all = {
		Connection: 'Upgrade',
		Upgrade: 'websocket',
		'Sec-WebSocket-Key': KEY,
		'Sec-WebSocket-Version': '13',
		...(protocols.length > 0 ? { 'Sec-WebSocket-Protocol': protocols.join(', ') } : {}),
		...headers,
	};
	const request = (ca === undefined ? http : https).request({
		host, port, path, ca, headers: all, agent: false, allowHalfOpen: true,
	});
	request.end();
	const [response, socket, head] = await within(new Promise((done, fail) => {
		request.on('upgrade', (...given) => done(given));
		request.on('response', async (refusal) => {
			let text = '';
			for await (const chunk of refusal)
				text += chunk;
			fail(Object.assign(new Error(`refused with ${refusal.statusCode}`), {
				response: { status: refusal.statusCode, headers: refusal.headers, text },
			}));
		});
		request.on('error', fail);
	}), 'a WebSocket over HTTP/1.1');
	atEnd(t, () => socket.destroy());
	if (response.headers['sec-websocket-accept'] !== acceptOf(KEY))
		throw new Error(`Sec-WebSocket-Accept: ${response.headers['sec-websocket-accept']}`);
	if (head.length > 0)
		socket.unshift(head);
	const end = new WebSocketEnd(socket, { isClient: true, isManual, extensions });
	end.response = { status: response.statusCode, headers: response.headers };
	end.subprotocol = response.headers['sec-websocket-protocol'];
	return end;
}
