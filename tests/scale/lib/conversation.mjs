// Sessions as both ends see them: each numbers what it says, and knows at once when what it hears is not
// the next. What has been heard is so always the beginning of what was said, without a hole.
import { pass } from '../../e2e/lib/wait.mjs';
import { connectionOf } from './process_sockets.mjs';

const PERIOD_MS = 100; // from one message of an end to its next

function message(random, name, n) {
	const size = random.size(1, 3000);
	return `${name} ${n} ${size} ${'x'.repeat(size)}`;
}

// One end of a session.
class End {
	said = 0;
	heard = 0;
	peer; // the name of the other end, known by what it says
	isOver = false;

	// `room` has what the ends share: { random, faults, isQuiet }.
	constructor(room, name, send) {
		this.room = room;
		this.name = name;
		this.send = send;
	}

	hear(given) {
		const [, peer, n, size, padding] = /^(\S+) (\d+) (\d+) (x*)$/.exec(String(given)) ?? [];
		this.peer ??= peer;
		if (peer !== this.peer || Number(n) !== this.heard || padding.length !== Number(size))
			this.room.fault(`${this.name}: ${String(given).slice(0, 60)} instead of ${this.peer} ${this.heard}`);
		this.heard = Number(n) + 1;
	}

	#say() {
		this.send(message(this.room.random, this.name, this.said++));
	}

	// At a steady rate, until the room is quiet or the session over; once in any case, so that each end
	// knows who the other is.
	async talk() {
		await pass(this.room.random.integer(0, PERIOD_MS));
		for (const start = Date.now(); !this.isOver;) {
			const due = Math.floor((Date.now() - start) / PERIOD_MS);
			while (this.said <= due)
				this.#say();
			if (this.room.isQuiet)
				break;
			await pass(PERIOD_MS - (Date.now() - start) % PERIOD_MS);
		}
	}
}

// At the backend, on this socket.
export class Line extends End {
	constructor(room, socket, send) {
		super(room, `line${room.lines.length}`, send);
		this.connection = connectionOf(socket);
		room.lines.push(this);
		this.talk();
	}
}

// At the client.
export class Conversation extends End {
	how; // what the client was told at its end

	constructor(client, send) {
		super(client.room, `${client.name}.${client.conversations.length}`, send);
		this.client = client;
		client.conversations.push(this);
		this.talk();
	}

	get line() {
		return this.room.lines.find(({ name, peer }) => name === this.peer || peer === this.name);
	}

	end(how) {
		if (this.isOver)
			return;
		this.isOver = true;
		this.how = how;
	}

	// All that was said has arrived, both ways.
	get isWhole() {
		const { line } = this;
		return line !== undefined && this.heard === line.said && line.heard === this.said;
	}

	toString() {
		const { line } = this;
		return `${this.name}: down ${this.heard} of ${line?.said}, up ${line?.heard} of ${this.said}, `
			+ `${this.isOver ? this.how : 'open'}`;
	}
}

// All sessions of one Pollux.
export class Room {
	lines = [];
	faults = [];
	clients = [];
	isQuiet = false;

	constructor(random) {
		this.random = random;
	}

	get conversations() {
		return this.clients.flatMap(({ conversations }) => conversations);
	}

	fault(what) {
		this.faults.push(what);
	}
}
