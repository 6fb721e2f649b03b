// The demo app of bench/, as users start it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';

import { LineLog } from './line_log.mjs';
import { PROGRAM } from './pollux.mjs';
import { atEnd } from './scope.mjs';
import { within } from './wait.mjs';

const ORIGIN = join(dirname(PROGRAM), 'bench/origin');

export class Origin {
	#child;
	#left;

	static async start(owner) {
		assert.ok(existsSync(ORIGIN), `${ORIGIN} is not there: build it, or set POLLUX_BUILD`);
		const origin = new Origin();
		const said = new LineLog();
		origin.complaints = new LineLog();
		origin.#child = spawn(ORIGIN, ['--listen', '127.0.0.1:0'], {
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		said.read(origin.#child.stdout);
		origin.complaints.read(origin.#child.stderr);
		origin.#left = new Promise((done) => origin.#child.once('close', (code, signal) => {
			said.abandon(new Error(`origin left with ${signal ?? code}`));
			done(signal ?? code);
		}));
		atEnd(owner, () => origin.stop());
		const line = await said.find((text) => text.startsWith('listening on '), 'origin listening');
		origin.address = line.replace('listening on ', '');
		return origin;
	}

	async stop() {
		this.#child.kill('SIGTERM');
		try {
			assert.equal(await within(this.#left, 'origin leaving'), 0);
		} finally {
			this.#child.kill('SIGKILL');
		}
		assert.equal(this.complaints.text(), '');
	}
}
