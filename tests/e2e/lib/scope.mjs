// What a test has started is stopped when it ends, the last first: clients before Pollux, Pollux
// before its backends. The owner is the context `t` of a test; what tests share belongs to the test
// around them, so that a failure to leave is counted as a failed test.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const scopes = new WeakMap();

class Scope {
	#closers = [];

	atEnd(close) {
		this.#closers.push(close);
	}

	async close() {
		let failure;
		while (this.#closers.length > 0) {
			try {
				await this.#closers.pop()();
			} catch (error) {
				failure ??= error;
			}
		}
		if (failure !== undefined)
			throw failure;
	}
}

export function atEnd(owner, close) {
	let scope = scopes.get(owner);
	if (scope === undefined) {
		scope = new Scope();
		scopes.set(owner, scope);
		owner.after(() => scope.close());
	}
	scope.atEnd(close);
}

export function temporaryFolder(owner) {
	const folder = mkdtempSync(join(tmpdir(), 'pollux-e2e-'));
	atEnd(owner, () => rmSync(folder, { recursive: true, force: true }));
	return folder;
}
