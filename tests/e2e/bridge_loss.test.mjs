// Nothing is lost, repeated or reordered, in either direction, when connections are cut at random
// bytes, clients vanish and return, polls overlap and posts are repeated. What cannot be kept is
// announced.
//
//	SEED=n		repeats the choices of a run (its timing is its own)
//	RUNS=n		more runs; 3 without it
//	SESSIONS=n	sessions at once
import test from 'node:test';

import { lossRun } from './lib/loss_run.mjs';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const RUNS = Number(process.env.RUNS ?? 3);
const SESSIONS = Number(process.env.SESSIONS ?? 12);

for (let run = 0; run < RUNS; run++) {
	const seed = (SEED + run) >>> 0;

	test(`random run, SEED=${seed}`, (t) => lossRun(t, seed, { nSessions: SESSIONS }));
}
