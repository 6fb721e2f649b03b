// Clients that are programs of their own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { atEnd } from './scope.mjs';
import { event } from './wait.mjs';

// Why a test without this program is skipped, or false.
export function without(program, debianPackage) {
	const isThere = process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)));
	return isThere ? false : `there is no ${program} (package ${debianPackage})`;
}

// Runs it to its end: { code, output, errors }.
export async function run(owner, program, args, { input = '', ms = 60_000 } = {}) {
	const child = spawn(program, args);
	let output = '';
	let errors = '';

	atEnd(owner, () => child.kill('SIGKILL'));
	child.stdout.on('data', (chunk) => (output += chunk));
	child.stderr.on('data', (chunk) => (errors += chunk));
	child.stdin.on('error', () => {}); // it need not read all
	child.stdin.end(input);
	const [code] = await event(child, 'close', `${program} ${args.join(' ')}`, ms);
	return { code, output, errors };
}
