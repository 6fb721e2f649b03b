// The three that most tests need: a raw backend, Pollux in front of it, and a raw client.
import { Pollux } from './pollux.mjs';
import { RawBackend } from './raw_backend.mjs';
import { Wire } from './wire.mjs';

// As Pollux.start, but `backend` holds the options of the one backend besides its servers. The
// route tells the backend nothing about the client unless told to, so that requests are the same in
// each run. The client is plain; `connectTo` says to which listener it connects.
export async function stage(t, { backend: backendOptions = {}, route = {}, connectTo = 0, ...options } = {}) {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...backendOptions },
		route: Array.isArray(route) ? route : { forwarded: 'off', ...route },
		...options,
	});
	const client = await connect(t, pollux, { index: connectTo });
	return { backend, pollux, client };
}

export function connect(t, pollux, { index = 0, ...options } = {}) {
	return Wire.connect(t, pollux.where(index), options);
}

// A GET as tests send it and as it is forwarded.
export function get(target = '/', fields = '') {
	return `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
}

export function forwardedGet(target = '/', fields = '') {
	return `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}Via: 1.1 pollux\r\n\r\n`;
}

// A response as a backend gives it, and as it reaches the client.
export function ok(body = 'ok', fields = '') {
	return `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
}

export function passedOk(body = 'ok', fields = '') {
	return `HTTP/1.1 200 OK\r\n${fields}Via: 1.1 pollux\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
