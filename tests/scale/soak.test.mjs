// Thousands of tunnels come and go: memory is afterwards what it was after the first of them. That nothing
// lives on is what Pollux looks at when it leaves. Sessions: memory.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pollux } from '../e2e/lib/pollux.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { Crowd } from './lib/crowd.mjs';
import { inMiB, isSanitized, memoryOf, MiB, settledMemoryOf, sized, startOrigin } from './lib/scale.mjs';

const N_AT_ONCE = sized(750, 2000);
const N_ALL = sized(3000, 20_000);
const GROWTH = 1 * MiB;

test(`${N_ALL} tunnels come and go`, async (t) => {
	const pollux = await Pollux.start(t, {
		backend: { servers: [await startOrigin(t)] },
		program: { access_log: 'off' },
	});
	const tunnels = Crowd.start(t, 'tunnels', pollux);
	const few = pollux.descriptors();
	const comeAndGo = async () => {
		assert.equal((await tunnels.open(N_AT_ONCE)).open, N_AT_ONCE);
		assert.equal((await tunnels.echo()).echoed, N_AT_ONCE);
		await tunnels.close(N_AT_ONCE);
		await eventually(() => pollux.descriptors() <= few, 'the end of the tunnels');
	};
	await comeAndGo();
	const first = await settledMemoryOf(pollux.pid);
	for (let n = N_AT_ONCE; n < N_ALL; n += N_AT_ONCE)
		await comeAndGo();
	const last = await settledMemoryOf(pollux.pid);
	t.diagnostic(`${inMiB(first)} of memory after the first, ${inMiB(last)} after all, `
		+ `${inMiB(memoryOf(pollux.pid, 'VmHWM'))} at most`);
	if (!isSanitized)
		assert.ok(last - first <= GROWTH, `grown by ${inMiB(last - first)}`);
});
