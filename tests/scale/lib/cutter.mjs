// A relay that cuts each of its connections every two seconds, from a random moment on, each time in
// another way.
import { Tap } from '../../e2e/lib/tap.mjs';
import { atEnd } from '../../e2e/lib/scope.mjs';

const EVERY_MS = 2000;

// In what comes next, after so many bytes: in the head of a response, in its body, in a frame. A
// connection on which nothing comes is cut by the next turn.
function armed(direction) {
	return (conn, random) => {
		if (random.chance(0.5))
			conn.cut = conn.reset;
		conn[direction].cutAt = conn[direction].n + random.size(1, 2000);
	};
}

// What comes next is acknowledged and goes nowhere, for a moment before the cut.
function swallowed(end) {
	return (conn, random) => {
		conn[end].write = () => true;
		conn.timer = setTimeout(() => conn.reset(), random.integer(50, 1000));
	};
}

const WAYS = {
	reset: (conn) => conn.reset(),
	end: (conn) => conn.cut(),
	'end to Pollux': (conn) => conn.server.end(),
	'end to the client': (conn) => conn.client.end(),
	'in what goes to the client': armed('toClient'),
	'in what goes to Pollux': armed('toServer'),
	'what goes to the client is swallowed': swallowed('client'),
	'what goes to Pollux is swallowed': swallowed('server'),
};

export class Cutter {
	counts = Object.fromEntries(Object.keys(WAYS).map((name) => [name, 0]));

	static async start(owner, target, random) {
		const cutter = new Cutter();
		cutter.random = random;
		cutter.tap = await Tap.start(owner, target);
		atEnd(owner, () => cutter.stop());
		return cutter;
	}

	get address() {
		return this.tap.address;
	}

	get live() {
		return this.tap.conns.filter(({ isOver }) => !isOver);
	}

	begin() {
		this.timer = setTimeout(() => {
			this.#turn();
			this.timer = setInterval(() => this.#turn(), EVERY_MS);
		}, this.random.integer(0, EVERY_MS));
	}

	// What is about to be cut is so at once.
	stop() {
		clearInterval(this.timer);
		clearTimeout(this.timer);
		for (const conn of this.live.filter(({ timer }) => timer !== undefined))
			conn.reset();
	}

	#turn() {
		for (const conn of this.live) {
			const way = conn.wasCut ? 'reset' : this.random.pick(Object.keys(WAYS));
			conn.wasCut = true;
			this.counts[way]++;
			WAYS[way](conn, this.random);
		}
	}
}
