// As bridge_loss.test.mjs, over HTTP/2: to the clients, to the backend, and to both. A connection that
// is cut takes all that it carries along.
//
//	SEED=n		repeats the choices of a run (its timing is its own)
//	RUNS=n		more runs; 1 of each kind without it
//	SESSIONS=n	sessions at once
import test from 'node:test';

import { lossRun } from './lib/loss_run.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const RUNS = Number(process.env.RUNS ?? 1);
const SESSIONS = Number(process.env.SESSIONS ?? 8);

for (let run = 0; run < RUNS; run++) {
	const seed = (SEED + run) >>> 0;

	for (const [client, backend] of [[2, 1], [1, 2], [2, 2]]) {
		test(`random run, h${client} to h${backend}, SEED=${seed}`, (t) =>
			lossRun(t, seed, { nSessions: SESSIONS, client, backend }));
	}
}
