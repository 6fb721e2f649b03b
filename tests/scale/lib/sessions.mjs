// Sessions by the thousand, in a process of their own; sessions.c says what they do.
import { startProgram } from './scale.mjs';

const PATIENCE_MS = 180_000;

export class Sessions {
	#child;

	static start(owner, pollux) {
		const sessions = new Sessions();
		const { host, port } = pollux.where();
		sessions.#child = startProgram(owner, 'tests/scale/sessions', [`${host}:${port}`]);
		return sessions;
	}

	// One command at a time.
	async #ask(line) {
		this.#child.stdin.write(`${line}\n`);
		return JSON.parse(await this.#child.lines.take(() => true, `the answer to "${line}"`, PATIENCE_MS));
	}

	run(n, atOnce, kinds) {
		return this.#ask(`run ${n} ${atOnce} ${kinds.join(' ')}`);
	}

	hold(n, atOnce, kind) {
		return this.#ask(`hold ${n} ${atOnce} ${kind}`);
	}

	close() {
		return this.#ask('close');
	}
}
