// Lines of a stream, kept, and waited for.
import readline from 'node:readline';

import { Changing } from './wait.mjs';

// Whether an object has members equal to, or matching, the given ones. `undefined` means absent.
export function matches(object, members) {
	return Object.entries(members).every(([name, wanted]) =>
		wanted instanceof RegExp ? wanted.test(object[name]) : object[name] === wanted);
}

export class LineLog extends Changing {
	lines = [];
	#taken = new Set();
	#trace;

	// With a prefix, lines are shown as they come.
	constructor(trace) {
		super();
		this.#trace = trace;
	}

	read(stream) {
		readline.createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
			this.lines.push(line);
			if (this.#trace)
				process.stderr.write(`${this.#trace}${line}\n`);
			this.changed();
		});
	}

	text() {
		return this.lines.join('\n');
	}

	has(pattern) {
		return this.lines.some((line) => pattern.test(line));
	}

	// The first line, past or coming, that fulfils the condition.
	find(condition, what = 'line of a log', ms = undefined) {
		return this.until(() => this.lines.find(condition), what, ms).catch((error) => {
			throw new Error(`${error.message}; lines so far:\n${this.text()}`);
		});
	}

	// The same, but each line is taken once.
	take(condition, what = 'line of a log', ms = undefined) {
		const next = () => {
			const index = this.lines.findIndex((line, i) => !this.#taken.has(i) && condition(line));
			if (index < 0)
				return undefined;
			this.#taken.add(index);
			return this.lines[index];
		};
		return this.until(next, what, ms).catch((error) => {
			throw new Error(`${error.message}; lines so far:\n${this.text()}`);
		});
	}
}
