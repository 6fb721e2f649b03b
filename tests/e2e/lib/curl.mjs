// curl, as the Debian package has it.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseHead } from './http_text.mjs';
import { atEnd, temporaryFolder } from './scope.mjs';
import { event } from './wait.mjs';

// The facts that curl's own -w gives, in the order of the requests.
const FACTS = ['http_code', 'http_version', 'num_connects', 'num_redirects', 'size_upload'];

/*
 * Runs it to its end: { code, body, heads, facts, errors }. `heads` are all that it got, interim
 * ones and redirects included; `facts` has an entry per URL. `input` is its standard input.
 */
export async function curl(owner, args, { input = '' } = {}) {
	const folder = temporaryFolder(owner);
	const headFile = join(folder, 'heads');
	const form = FACTS.map((name) => `%{${name}}`).join(' ');
	const child = spawn('curl', ['-q', '-sS', '--noproxy', '*', '-D', headFile,
		'-w', `%{stderr}facts: ${form}\n`, ...args]);
	const output = [];
	let errors = '';

	atEnd(owner, () => child.kill('SIGKILL'));
	child.stdout.on('data', (chunk) => output.push(chunk));
	child.stderr.on('data', (chunk) => (errors += chunk));
	child.stdin.on('error', () => {}); // it need not read all
	child.stdin.end(input);
	const [code] = await event(child, 'close', `curl ${args.join(' ')}`, 30_000);
	const facts = [...errors.matchAll(/^facts: (.*)\n/gm)].map(([, line]) => {
		const values = line.split(' ');
		return Object.fromEntries(FACTS.map((name, i) => [name, Number(values[i])]));
	});
	const heads = (code === 0 ? readFileSync(headFile, 'latin1') : '')
		.split(/(?<=\r\n\r\n)/)
		.filter((text) => text !== '')
		.map((text) => parseHead(text));
	return {
		code,
		body: Buffer.concat(output),
		heads,
		facts,
		errors: errors.replace(/^facts: .*\n/gm, ''),
	};
}
