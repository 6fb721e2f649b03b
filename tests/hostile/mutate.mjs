// Bytes made wrong: anywhere, and where HTTP is sensitive.

const INTERESTING = ['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ',', ';', '/', '\x0b', '\x7f', '\xff',
	'\r\n\r\n', '0\r\n\r\n', 'HTTP/1.1', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n',
	'Host: a\r\n', 'Connection: close\r\n', '=', '?', '#', '%', '"', '~', '9', 'ffffffffffffffff'];

function changeOnce(random, bytes) {
	const at = random.below(bytes.length + 1);
	const head = bytes.subarray(0, at);
	const tail = bytes.subarray(at);
	const n = 1 + random.size(8);
	switch (random.below(6)) {
	case 0:
		return Buffer.concat([head, Buffer.from(random.pick(INTERESTING), 'latin1'), tail]);
	case 1:
		return Buffer.concat([head, Buffer.from(random.pick(INTERESTING), 'latin1'),
			tail.subarray(n)]);
	case 2:
		return Buffer.concat([head, tail.subarray(n)]);
	case 3:
		return Buffer.concat([head, random.bytes(n), tail]);
	case 4:
		return Buffer.concat([head, tail.subarray(0, n), tail]);
	default: {
		const copy = Buffer.from(bytes);
		if (at < copy.length)
			copy[at] ^= 1 << random.below(8);
		return copy;
	}
	}
}

// Some changes anywhere; mostly in the first bytes, where heads are.
export function mutate(random, bytes, most = 3) {
	const limit = random.chance(70) ? Math.min(bytes.length, 400) : bytes.length;
	let head = Buffer.from(bytes.subarray(0, limit));
	for (let n = 1 + random.below(most); n > 0; n--)
		head = changeOnce(random, head);
	return Buffer.concat([head, bytes.subarray(limit)]);
}

// The bytes in pieces.
export function pieces(random, bytes, most = 8) {
	const n = Math.min(bytes.length, 1 + random.size(most));
	const cuts = Array.from({ length: n - 1 }, () => 1 + random.below(bytes.length))
		.sort((a, b) => a - b);
	let start = 0;
	return [...cuts, bytes.length].map((end) => {
		const piece = bytes.subarray(start, end);
		start = end;
		return piece;
	}).filter((piece) => piece.length > 0);
}
