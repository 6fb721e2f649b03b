// Requests over HTTP/2 in the shape of Node's http, as far as LossClient uses it. A connection is kept
// and used again until it breaks, or there is one for each request.
import { EventEmitter } from 'node:events';
import http2 from 'node:http2';

import { PATIENCE_MS } from './wait.mjs';

class Agent {
	sessions = new Set();
	kept = undefined;

	constructor({ keepAlive }) {
		this.keepAlive = keepAlive;
	}

	destroy() {
		for (const session of this.sessions)
			session.destroy();
	}
}

export class H2Requests {
	Agent = Agent;

	constructor({ isTls }) {
		this.scheme = isTls ? 'https' : 'http';
	}

	#connect(agent, { host, port, rejectUnauthorized }) {
		const session = http2.connect(`${this.scheme}://${host}:${port}`, { rejectUnauthorized });
		const forget = () => {
			if (agent.kept === session)
				agent.kept = undefined;
		};
		agent.sessions.add(session);
		session.on('error', forget);
		session.on('goaway', forget);
		session.on('close', () => {
			agent.sessions.delete(session);
			forget();
		});
		if (agent.keepAlive)
			agent.kept = session;
		return session;
	}

	request({ agent, method, path, headers, ...where }, onResponse) {
		const session = agent.kept ?? this.#connect(agent, where);
		const request = new EventEmitter();
		const lower = Object.fromEntries(Object.entries(headers)
			.map(([name, value]) => [name.toLowerCase(), value]));
		request.end = (body) => {
			let stream;
			try {
				stream = session.request({ ':method': method, ':path': path, ...lower }, { endStream: false });
			} catch (error) {
				process.nextTick(() => request.emit('error', error));
				return;
			}
			follow(stream, request, onResponse);
			stream.setTimeout(PATIENCE_MS / 3, () => ask(session));
			stream.on('close', () => !agent.keepAlive && setImmediate(() => session.destroy()));
			stream.end(body);
		};
		return request;
	}
}

// Node does not always see that a connection over TLS has been reset: who does not answer a ping has gone. A silence
// of one that does is the server's, and fails the test.
function ask(session) {
	const patience = setTimeout(() => session.destroy(), PATIENCE_MS / 3);
	if (!session.destroyed && !session.closed)
		session.ping((error) => !error && clearTimeout(patience));
}

// A stream is a response once its head has come; one that is over before has failed.
function follow(stream, request, onResponse) {
	stream.complete = false;
	stream.on('response', (headers) => {
		stream.statusCode = headers[':status'];
		stream.headers = headers;
		onResponse(stream);
	});
	stream.on('end', () => (stream.complete = !stream.rstCode));
	stream.on('error', () => {});
	stream.on('close', () => {
		if (stream.statusCode === undefined)
			request.emit('error', Object.assign(new Error('no response'), { code: `RST ${stream.rstCode}` }));
	});
}
