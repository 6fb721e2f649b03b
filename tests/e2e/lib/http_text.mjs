// Heads of HTTP/1.1 messages as text. Strict enough to notice what Pollux may not write.
import assert from 'node:assert/strict';

export function parseHead(text) {
	const lines = text.slice(0, -4).split('\r\n');
	const fields = lines.slice(1).map((line) => {
		const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\r\n\0]*)$/.exec(line)
			?? assert.fail(`not a field line: ${JSON.stringify(line)}`);
		return [name, value];
	});
	return {
		text,
		line: lines[0],
		fields,
		getAll(name) {
			return fields
				.filter(([given]) => given.toLowerCase() === name.toLowerCase())
				.map(([, value]) => value);
		},
		get(name) {
			const all = this.getAll(name);
			return all.length === 0 ? undefined : all.join(', ');
		},
	};
}

// How the body of a message ends: { length }, { isChunked }, { isUntilClose }, or {} for none.
export function bodyKind(head, { method = 'GET', isRequest = false } = {}) {
	const lengths = head.getAll('content-length');
	const codings = head.getAll('transfer-encoding');
	assert.ok(lengths.length + codings.length <= 1, `one framing only:\n${head.text}`);
	if (!isRequest && (method === 'HEAD' || head.status === 101 || head.status === 204
		|| head.status === 304))
		return {};
	if (codings.length > 0) {
		assert.equal(codings[0], 'chunked');
		return { isChunked: true };
	}
	if (lengths.length > 0) {
		assert.match(lengths[0], /^\d+$/);
		return { length: Number(lengths[0]) };
	}
	return isRequest ? {} : { isUntilClose: true };
}

// A body in the chunked coding, one chunk per part.
export function chunked(...parts) {
	const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
	return `${chunks.join('')}0\r\n\r\n`;
}
