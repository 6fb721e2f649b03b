// Header compression (RFC 7541). What is sent is written here by hand, representation by
// representation, so that a test says exactly which bytes go out, right or wrong; what comes is
// decoded by hpack.js.
import assert from 'node:assert/strict';
import hpack from 'hpack.js';

function bytes(text) {
	return typeof text === 'string' ? Buffer.from(text, 'latin1') : Buffer.from(text);
}

// An integer behind a prefix of so many bits (section 5.1); `first` holds the bits before the prefix.
export function integer(value, prefix, first = 0) {
	const most = 2 ** prefix - 1;
	if (value < most)
		return Buffer.from([first | value]);
	const out = [first | most];
	let rest = value - most;
	while (rest >= 128) {
		out.push(0x80 | (rest % 128));
		rest = Math.floor(rest / 128);
	}
	out.push(rest);
	return Buffer.from(out);
}

// A string as it is (section 5.2); `length` says another length than its own.
export function string(text, { length } = {}) {
	const data = bytes(text);
	return Buffer.concat([integer(length ?? data.length, 7), data]);
}

// A string that says that these bytes are a Huffman code.
export function huffmanString(code) {
	return Buffer.concat([integer(code.length, 7, 0x80), Buffer.from(code)]);
}

// Section 6.1. The static table has 61 entries; 62 is the newest of the dynamic table.
export function indexed(index) {
	return integer(index, 7, 0x80);
}

// Literals (section 6.2). A name is a string, the index of one, or the bytes of its representation.
function literal(prefix, first, name, value) {
	const start = typeof name === 'number'
		? integer(name, prefix, first)
		: Buffer.concat([Buffer.from([first]), Buffer.isBuffer(name) ? name : string(name)]);
	return Buffer.concat([start, Buffer.isBuffer(value) ? value : string(value)]);
}

export function plain(name, value) {
	return literal(4, 0x00, name, value);
}

export function neverIndexed(name, value) {
	return literal(4, 0x10, name, value);
}

// Enters the dynamic table.
export function added(name, value) {
	return literal(6, 0x40, name, value);
}

// Section 6.3.
export function sizeUpdate(size) {
	return integer(size, 5, 0x20);
}

// A field block: pairs of name and value become literals that leave the table alone, buffers stand
// as they are.
export function block(fields) {
	return Buffer.concat(fields.map((field) => (Buffer.isBuffer(field) ? field : plain(...field))));
}

// What a field section counts for SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113, section 6.5.2).
export function listSize(fields) {
	return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

// Decodes the blocks of one direction of one connection.
export class BlockReader {
	#decoder = hpack.decompressor.create({ table: { maxSize: 4096 } });
	#error;
	#mostSize = 4096;
	#least; // what the table has to shrink to in the next block

	constructor() {
		this.#decoder.on('error', (error) => {
			this.#error = error;
		});
	}

	// The other side has acknowledged another SETTINGS_HEADER_TABLE_SIZE.
	allow(size) {
		if (size < this.#mostSize)
			this.#least = Math.min(size, this.#least ?? size);
		this.#mostSize = size;
	}

	/*
	 * The fields of a block: [[name, value]]. Size updates come first and shrink the table as far as
	 * was asked for (sections 4.2 and 6.3). The decoder is told of them here, for the limit of its
	 * table cannot be changed.
	 */
	read(given) {
		let rest = given;
		let smallest = Infinity;
		while (rest.length > 0 && (rest[0] & 0xe0) === 0x20) {
			const { value, size } = readInteger(rest, 5);
			assert.ok(value <= this.#mostSize, `a table of ${value} bytes, ${this.#mostSize} allowed`);
			smallest = Math.min(smallest, value);
			this.#decoder._table.protocolMaxSize = this.#mostSize;
			this.#decoder.updateTableSize(value);
			rest = rest.subarray(size);
		}
		assert.ok(this.#least === undefined || smallest <= this.#least,
			`a block without the size update to ${this.#least} that has become due`);
		this.#least = undefined;
		this.#decoder.write(rest);
		this.#decoder.execute();
		if (this.#error !== undefined)
			throw this.#error;
		const fields = [];
		for (;;) {
			const field = this.#decoder.read();
			if (field === null)
				return fields;
			fields.push([field.name, field.value]);
		}
	}
}

function readInteger(buffer, prefix) {
	const most = 2 ** prefix - 1;
	let value = buffer[0] & most;
	if (value < most)
		return { value, size: 1 };
	for (let at = 1, factor = 1; ; at++, factor *= 128) {
		assert.ok(at < buffer.length, 'an integer without its end');
		value += (buffer[at] & 0x7f) * factor;
		if ((buffer[at] & 0x80) === 0)
			return { value, size: at + 1 };
	}
}
