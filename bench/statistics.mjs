// Medians and their intervals. The bootstrap's random numbers come from a fixed seed, so that the same
// measurements always print the same table.

export function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function randomNumbers(seed) {
	let state = seed >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		state >>>= 0;
		return state / 2 ** 32;
	};
}

// The 95 % interval of the median, by the percentile bootstrap: [low, high].
export function medianInterval(values, resamples = 4000) {
	const random = randomNumbers(20240607);
	const medians = [];
	for (let i = 0; i < resamples; i++)
		medians.push(median(values.map(() => values[Math.floor(random() * values.length)])));
	medians.sort((a, b) => a - b);
	return [medians[Math.floor(resamples * 0.025)], medians[Math.ceil(resamples * 0.975) - 1]];
}

// The value below which the share `p` of the values lies.
export function percentile(values, p) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];
}
