// Numbers that look random and come again with the same seed (mulberry32).
export class Random {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	// A generator of its own, so that what one client draws does not depend on the others.
	fork() {
		return new Random(this.#next());
	}

	#next() {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return (t ^ (t >>> 14)) >>> 0;
	}

	// At least 0, below 1.
	#fraction() {
		return this.#next() / 2 ** 32;
	}

	chance(probability) {
		return this.#fraction() < probability;
	}

	// Both ends included.
	integer(least, most) {
		return least + Math.floor(this.#fraction() * (most - least + 1));
	}

	// The same, each power of two as likely as the next, so that small ones are frequent. least > 0.
	size(least, most) {
		const n = least * Math.exp(this.#fraction() * Math.log((most + 1) / least));
		return Math.min(most, Math.floor(n));
	}

	pick(list) {
		return list[this.integer(0, list.length - 1)];
	}
}
