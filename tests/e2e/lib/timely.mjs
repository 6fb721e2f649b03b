// Bounds on times, on a machine that does other things too. A time that was missed says little once: the
// scenario is gone through again. What is late each time is late.

const TRIES = 4;

class Untimely extends Error {}

export function assertTimely(condition, message) {
	if (!condition)
		throw new Untimely(message);
}

// Anything else that fails fails at once.
export async function timely(t, scenario) {
	for (let n = 1; ; n++) {
		try {
			await scenario(t);
			return;
		} catch (error) {
			if (!(error instanceof Untimely) || n === TRIES)
				throw error;
			t.diagnostic(`once more, for a bound of time was missed: ${error.message}`);
		}
	}
}
