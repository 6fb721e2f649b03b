// Bytes of which each place knows what it has to hold, without anybody keeping them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

const PERIOD = 1_048_573; // a prime: no buffer's size divides it
const LONGEST = 1024 * 1024; // of a piece

const table = (() => {
	const period = randomBytes(PERIOD);
	return Buffer.concat([period, period, period.subarray(0, 16)]);
})();

// At most LONGEST bytes from this place on.
export function piece(offset, size) {
	const start = offset % PERIOD;
	return table.subarray(start, start + Math.min(size, LONGEST));
}

export function check(offset, chunk) {
	for (let at = 0; at < chunk.length; at += LONGEST) {
		const wanted = piece(offset + at, chunk.length - at);
		if (wanted.compare(chunk, at, at + wanted.length) !== 0)
			assert.fail(`wrong bytes after ${offset + at}`);
	}
}
