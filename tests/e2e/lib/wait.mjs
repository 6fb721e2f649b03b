// Waiting for events. There is no sleeping here: each wait ends with its event, or fails with a
// sentence that says what did not come.

// Long enough for a sanitizer build on a busy machine; a wait that takes as long is a failure.
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 15_000);

export async function within(promise, what, ms = PATIENCE_MS) {
	let timer;
	const late = new Promise((_, reject) => {
		const error = new Error(`${what}: not within ${ms} ms`);
		timer = setTimeout(() => reject(error), ms);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

// The next event of an emitter; an 'error' of it rejects.
export function event(emitter, name, what = `event '${name}'`, ms = PATIENCE_MS) {
	const promise = new Promise((resolve, reject) => {
		const onEvent = (...args) => {
			emitter.off('error', onError);
			resolve(args.length > 1 ? args : args[0]);
		};
		const onError = (error) => {
			emitter.off(name, onEvent);
			reject(error);
		};
		emitter.once(name, onEvent);
		if (name !== 'error')
			emitter.once('error', onError);
	});
	return within(promise, what, ms);
}

// Something that others wait for to change: `until` looks at its condition after each change.
export class Changing {
	#waiting = new Set();
	#abandoned;

	changed() {
		for (const look of [...this.#waiting])
			look();
	}

	// Nothing will change any more: who waits fails now.
	abandon(error) {
		this.#abandoned = error;
		this.changed();
	}

	// `condition` returns undefined or false while there is nothing yet, and may throw.
	until(condition, what, ms = PATIENCE_MS) {
		let stop;
		const promise = new Promise((resolve, reject) => {
			const look = () => {
				let value;
				try {
					value = condition();
				} catch (error) {
					this.#waiting.delete(look);
					reject(error);
					return;
				}
				if (value !== undefined && value !== false) {
					this.#waiting.delete(look);
					resolve(value);
				} else if (this.#abandoned !== undefined) {
					this.#waiting.delete(look);
					reject(this.#abandoned);
				}
			};
			stop = () => this.#waiting.delete(look);
			this.#waiting.add(look);
			look();
		});
		return within(promise, what, ms).finally(stop);
	}
}

// Looks again and again at what tells nobody that it has changed: a file of /proc, a port.
export async function eventually(condition, what, ms = PATIENCE_MS) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await condition();
		if (value !== undefined && value !== false)
			return value;
		if (Date.now() > end)
			throw new Error(`${what}: not within ${ms} ms`);
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
}

// Lets time pass where slowness itself is what a test is about. Never to wait for something.
export function pass(ms) {
	return new Promise((done) => setTimeout(done, ms));
}
