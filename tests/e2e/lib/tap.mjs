// A relay between two TCP ends that can look at the bytes on their way, and cut them.
import net from 'node:net';

import { atEnd } from './scope.mjs';
import { Changing, event } from './wait.mjs';

const RECORDS = { 20: 'change', 21: 'alert', 22: 'handshake', 23: 'data' };

// Finds TLS records in a stream of bytes.
class RecordScan {
	types = [];
	#rest = Buffer.alloc(0);

	take(chunk) {
		this.#rest = Buffer.concat([this.#rest, chunk]);
		while (this.#rest.length >= 5) {
			const size = 5 + this.#rest.readUInt16BE(3);
			if (this.#rest.length < size)
				break;
			this.types.push(RECORDS[this.#rest[0]] ?? `type ${this.#rest[0]}`);
			this.#rest = this.#rest.subarray(size);
		}
	}
}

class Direction {
	n = 0; // bytes passed
	hasEnded = false; // its source has ended (a FIN was seen)
	records = new RecordScan();
	cutAt = Infinity; // after so many bytes both ends are closed
}

export class TapConn extends Changing {
	toServer = new Direction();
	toClient = new Direction();
	isOver = false;

	constructor(client, server) {
		super();
		this.client = client;
		this.server = server;
		this.#relay(client, server, this.toServer);
		this.#relay(server, client, this.toClient);
	}

	#relay(from, to, direction) {
		from.on('data', (chunk) => {
			const part = chunk.subarray(0, Math.max(0, direction.cutAt - direction.n));
			direction.n += part.length;
			direction.records.take(part);
			if (part.length > 0 && !to.write(part)) {
				from.pause();
				to.once('drain', () => from.resume());
			}
			if (direction.n >= direction.cutAt)
				this.cut();
			this.changed();
		});
		from.on('end', () => {
			direction.hasEnded = true;
			to.end();
			this.changed();
		});
		from.on('error', () => to.destroy());
		from.on('close', () => {
			this.isOver = true;
			this.changed();
		});
	}

	// Both sides get a TCP end without any word from the protocol above.
	cut() {
		this.client.end();
		this.server.end();
	}

	reset() {
		// A socket whose end is on its way cannot be reset as well: Node never closes it then.
		for (const socket of [this.client, this.server])
			socket.writableEnded ? socket.destroy() : socket.resetAndDestroy();
	}
}

export class Tap extends Changing {
	conns = [];
	#nTaken = 0;

	// `target`: { host, port }. `onConn(tapConn)` may set where to cut before the first byte.
	static async start(owner, target, onConn = () => {}) {
		const tap = new Tap();
		tap.server = net.createServer({ allowHalfOpen: true }, (client) => {
			const server = net.connect({ ...target, allowHalfOpen: true });
			const conn = new TapConn(client, server);
			onConn(conn);
			tap.conns.push(conn);
			tap.changed();
		});
		tap.server.listen(0, '127.0.0.1');
		await event(tap.server, 'listening');
		tap.port = tap.server.address().port;
		tap.host = '127.0.0.1';
		tap.address = `127.0.0.1:${tap.port}`;
		atEnd(owner, () => {
			tap.server.close();
			for (const { client, server } of tap.conns) {
				client.destroy();
				server.destroy();
			}
		});
		return tap;
	}

	get where() {
		return { host: this.host, port: this.port };
	}

	async accept() {
		const index = this.#nTaken++;
		return this.until(() => this.conns[index], 'a connection through the tap');
	}
}
