// A backend that says exactly what a test tells it to, and records exactly what it gets.
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';

import { atEnd, temporaryFolder } from './scope.mjs';
import { Changing, event } from './wait.mjs';
import { Wire } from './wire.mjs';

export class RawBackend extends Changing {
	conns = []; // Wires, in the order accepted
	#served = new Set();
	#heard = [];
	errors = []; // of TLS handshakes
	#nAccepted = 0;
	#server;

	// `tls`: options of tls.createServer. `path`: the name of a unix socket in a folder of its own.
	static async start(owner, { host = '127.0.0.1', path, tls: tlsOptions } = {}) {
		const backend = new RawBackend(tlsOptions);
		const where = path === undefined
			? { host, port: 0 }
			: { path: join(temporaryFolder(owner), path) };
		backend.#server.listen(where);
		await event(backend.#server, 'listening');
		atEnd(owner, () => backend.close());
		if (path !== undefined) {
			backend.address = `unix:${where.path}`;
			return backend;
		}
		backend.port = backend.#server.address().port;
		backend.address = host.includes(':') ? `[${host}]:${backend.port}` : `${host}:${backend.port}`;
		return backend;
	}

	constructor(tlsOptions) {
		super();
		const options = { allowHalfOpen: true, ...tlsOptions };
		this.#server = tlsOptions === undefined
			? net.createServer(options)
			: tls.createServer(options);
		this.#server.on(tlsOptions === undefined ? 'connection' : 'secureConnection', (socket) => {
			socket.on('data', (chunk) => {
				this.#heard.push(chunk);
				this.changed();
			});
			this.conns.push(new Wire(socket));
			this.changed();
		});
		this.#server.on('tlsClientError', (error) => {
			this.errors.push(error);
			this.changed();
		});
	}

	// The next connection, waiting for it where there is none yet.
	async accept(ms = undefined) {
		const index = this.#nAccepted;
		const wire = await this.until(() => this.conns[index], 'a connection to the backend', ms);
		this.#nAccepted++;
		return wire;
	}

	// All bytes that have come so far, of all connections, in the order of their coming.
	get heard() {
		return Buffer.concat(this.#heard).toString('latin1');
	}

	// From now on answers each request on each connection, old and new: `answer(request, conn)` gives
	// the bytes.
	serve(answer = () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') {
		const serveConn = async (conn) => {
			try {
				for (;;) {
					const request = await conn.readRequest({ ms: 600_000 });
					const given = await answer(request, conn);
					if (given !== undefined)
						conn.send(given);
				}
			} catch {
				conn.end(); // Pollux has closed it
			}
		};
		const serveNew = () => {
			this.#nAccepted = this.conns.length;
			for (const conn of this.conns) {
				if (this.#served.has(conn))
					continue;
				this.#served.add(conn);
				serveConn(conn);
			}
		};
		serveNew();
		this.changed = () => {
			serveNew();
			super.changed();
		};
		return this;
	}

	// Accepts no more; open connections stay.
	stopListening() {
		this.#server.close();
	}

	close() {
		this.#server.close();
		for (const conn of this.conns)
			conn.close();
	}
}
