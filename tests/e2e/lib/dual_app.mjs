// An app for DualBackend: what HTTP has to offer, by path, the same in both versions.
import { hashOf, patterned } from './app.mjs';

const MIB = 1024 * 1024;

export const N_EVENTS = 6;

function drain(request) {
	return new Promise((done) => request.on('end', done).resume());
}

const ANSWERS = {
	'/hello': (request, response) => response.end('hello\n'),
	async '/trailers'(request, response) {
		await drain(request);
		response.setHeader('trailer', 'x-sum');
		response.write('with ');
		response.write(`trailers ${JSON.stringify(request.trailers)}`);
		response.addTrailers({ 'x-sum': 'abc', 'x-more': '1' });
		response.end();
	},
	'/hints'(request, response) {
		response.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-n': '1' });
		response.writeEarlyHints({ link: '</b.css>; rel=preload' });
		response.end('after the hints');
	},
	'/fields'(request, response) {
		response.setHeader('date', 'Mon, 01 Jan 2024 00:00:00 GMT');
		response.setHeader('alt-svc', 'h3=":443"; ma=60');
		response.setHeader('set-cookie', ['a=1; Path=/', 'b=2']);
		response.setHeader('x-odd', '"~\\,;=');
		response.setHeader('content-length', '2');
		response.end('ok');
	},
	'/empty'(request, response) {
		response.setHeader('content-length', '0');
		response.end();
	},
	'/sized'(request, response) {
		response.setHeader('content-length', '5');
		response.end(request.method === 'HEAD' ? undefined : 'sized');
	},
	'/204'(request, response) {
		response.statusCode = 204;
		response.end();
	},
	'/304'(request, response) {
		response.writeHead(304, { etag: '"x"', date: 'Mon, 01 Jan 2024 00:00:00 GMT' });
		response.end();
	},
	async '/hash'(request, response) {
		response.end(await hashOf(request));
	},
	async '/bytes'(request, response) {
		for (const part of patterned(20 * MIB)) {
			if (!response.write(part))
				await new Promise((done) => response.once('drain', done));
		}
		response.end();
	},
	'/converse'(request, response) {
		response.writeHead(200);
		response.flushHeaders?.();
		request.on('data', (chunk) => response.write(chunk.toString().toUpperCase()));
		request.on('end', () => response.end('.'));
	},
	'/too-much'(request, response) {
		response.statusCode = 413;
		response.end('too much');
	},
	'/expects'(request, response) {
		if (request.expectsContinue)
			response.writeContinue();
		request.pipe(response);
	},
	'/expects-not'(request, response) {
		response.statusCode = 403;
		response.end('not you');
	},
	async '/moved'(request, response) {
		await drain(request); // curl 7.88 drops an answer that comes before it has sent all
		response.writeHead(307, { location: '/hash' });
		response.end();
	},
	'/facts'(request, response) {
		response.setHeader('content-type', 'application/json');
		request.resume().on('end', () => response.end(JSON.stringify({
			method: request.method,
			version: request.httpVersion,
			headers: request.headers,
		})));
	},
	'/page'(request, response) {
		response.setHeader('content-type', 'text/html');
		response.end('<!doctype html><link rel="icon" href="data:,"><title>a page</title>');
	},
	// Half of the events, then an end: an EventSource comes back for the rest.
	'/events'(request, response) {
		response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
		response.write('retry: 1\n\n');
		const last = Number(request.headers['last-event-id'] ?? 0);
		for (let id = last + 1; id <= Math.min(last + N_EVENTS / 2, N_EVENTS); id++)
			response.write(`id: ${id}\ndata: event ${id}\n\n`);
		if (last === 0)
			response.end();
	},
	'/never'() {},
};

export function answer(request, response) {
	const own = ANSWERS[request.url.replace(/\?.*/, '')];
	if (own !== undefined) {
		own(request, response);
	} else {
		response.statusCode = 404;
		response.end('no such thing');
	}
}
