// Clients by the thousand, in a process of their own; crowd.c says what they do.
import { startProgram } from './scale.mjs';

// Opening, and what a crowd waits for, takes time.
const PATIENCE_MS = 180_000;

export class Crowd {
	#child;
	#busy = Promise.resolve();

	// kind: 'tunnels' or 'slow'; options as those of the program: { from, addresses, rate, pace, path }
	static start(owner, kind, pollux, options = {}) {
		const crowd = new Crowd();
		const { host, port } = pollux.where();
		const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
		crowd.#child = startProgram(owner, 'tests/scale/crowd', [kind, `${host}:${port}`, ...given]);
		return crowd;
	}

	async #command(line) {
		this.#child.stdin.write(`${line}\n`);
		const answer = await this.#child.lines.take(() => true, `the crowd's answer to "${line}"`,
			PATIENCE_MS);
		return JSON.parse(answer);
	}

	// One command at a time.
	#ask(line) {
		const answer = this.#busy.then(() => this.#command(line));
		this.#busy = answer.catch(() => {});
		return answer;
	}

	open(n) {
		return this.#ask(`open ${n}`);
	}

	echo() {
		return this.#ask('echo');
	}

	settle(n = 0) {
		return this.#ask(`settle ${n}`);
	}

	count() {
		return this.#ask('count');
	}

	close(n) {
		return this.#ask(`close ${n}`);
	}
}
