// Numbers that look random and come again with the same seed (mulberry32).
export class Random {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	// A generator of its own, so that what one connection draws does not depend on the others.
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

	// 0 to n - 1.
	below(n) {
		return this.#next() % n;
	}

	between(least, most) {
		return least + this.below(most - least + 1);
	}

	// True in `percent` of a hundred cases.
	chance(percent) {
		return this.below(100) < percent;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	// `weights`: { name: weight }.
	weighted(weights) {
		const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
		let at = this.below(total);
		for (const [name, weight] of Object.entries(weights)) {
			if (at < weight)
				return name;
			at -= weight;
		}
		throw new Error('no weights');
	}

	// Small numbers are frequent, great ones rare.
	size(most) {
		return this.below(1 + this.below(1 + this.below(most)));
	}

	bytes(n) {
		return Buffer.from(Array.from({ length: n }, () => this.below(256)));
	}
}
