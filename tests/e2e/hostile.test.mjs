// A short run of the hostile clients and backends of tests/hostile. Another seed in each run; a
// failure names it.
import assert from 'node:assert/strict';
import test from 'node:test';

import { attack } from '../hostile/hostile.mjs';

test('hostile clients and backends for some seconds', async (t) => {
	const seconds = 8;
	const faults = await attack({ seconds, show: (line) => t.diagnostic(line.slice(0, 2000)) });
	assert.deepEqual(faults, []);
});
