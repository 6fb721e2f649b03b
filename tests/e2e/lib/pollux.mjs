// The program under test. Each test that starts one is a leak test, too: at its end Pollux gets
// SIGTERM, and has to leave with status 0, without a complaint of a sanitizer, and without an
// object left behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { configText } from './config.mjs';
import { LineLog, matches } from './line_log.mjs';
import { atEnd, temporaryFolder } from './scope.mjs';
import { eventually, within } from './wait.mjs';

const TESTS = fileURLToPath(new URL('../..', import.meta.url));
const BUILD = resolve(process.cwd(), process.env.POLLUX_BUILD ?? join(TESTS, '../build'));

export const PROGRAM = join(BUILD, 'pollux');

const COMPLAINT = /AddressSanitizer|LeakSanitizer|runtime error:|left behind|assertion failed/i;
const TRIES = 5;

export async function freePort(host = '127.0.0.1') {
	const server = net.createServer();
	await new Promise((done, fail) => server.once('error', fail).listen(0, host, done));
	const { port } = server.address();
	await new Promise((done) => server.close(done));
	return port;
}

// One or many of what may be given as one, many, or by name.
function listOf(given, fallback) {
	if (given === undefined)
		return fallback;
	return Array.isArray(given) ? given : [given];
}

function serverText(server) {
	return typeof server === 'string' ? server : server.address;
}

export class Pollux {
	log = new LineLog(process.env.POLLUX_TRACE && 'pollux: ');
	accessLog = new LineLog(process.env.POLLUX_TRACE && 'access: ');
	#child;
	#exit;
	#isStopped = false;
	#isKilled = false;

	/*
	 * Starts it and waits until it listens. Shapes of the options (each may be left out but
	 * backend or backends):
	 *
	 *	program  options outside of the sections
	 *	listen   one or an array: options of listeners. `host` (127.0.0.1), `path` of a unix
	 *	         socket; the port is chosen here
	 *	backend  one: { servers: [RawBackend or 'host:port'], ...options }, or a RawBackend
	 *	backends the same by name
	 *	route    one or an array: { path: '/', backend: name, ...options }
	 *	files    the limit of open files
	 *	wrapper  words of a command that runs it: ['valgrind', ...]
	 */
	static async start(owner, options) {
		for (let n = 1; ; n++) {
			const pollux = new Pollux(owner, options);
			try {
				await pollux.#start(options);
				atEnd(owner, () => pollux.stop());
				return pollux;
			} catch (error) {
				pollux.#child?.kill('SIGKILL');
				if (n === TRIES || !pollux.log.has(/another process listens on it/))
					throw error;
			}
		}
	}

	constructor(owner) {
		this.folder = temporaryFolder(owner);
	}

	async #start(options) {
		const listens = [];
		for (const listen of listOf(options.listen, [{}]))
			listens.push(await this.#place(listen));
		this.listens = listens;
		this.config = join(this.folder, 'pollux.conf');
		writeFileSync(this.config, configText({
			program: {
				access_log: 'stdout',
				access_log_format: 'json',
				drain: '1s',
				workers: process.env.POLLUX_WORKERS ?? 1,
				...options.program,
			},
			listens: listens.map(({ address, options }) => ({ address, ...options })),
			backends: this.#backends(options),
			routes: listOf(options.route, [{}]).map((route) => ({
				path: '/',
				backend: 'app',
				...route,
			})),
		}));
		this.#spawn(options);
		for (const { address } of listens)
			await this.log.find((line) => line.includes(`listening on ${address}`), 'listening');
	}

	async #place({ host = '127.0.0.1', path, ...options }) {
		if (path !== undefined) {
			const file = resolve(this.folder, path);
			return { address: `unix:${file}`, options, where: { path: file } };
		}
		const port = await freePort(host);
		const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
		return { address, options, where: { host, port } };
	}

	#backends({ backend, backends = { app: backend } }) {
		return Object.entries(backends).map(([name, given]) => {
			const { servers, ...rest } = given.servers !== undefined ? given : { servers: [given] };
			return { name, servers: servers.map(serverText), ...rest };
		});
	}

	#spawn({ files, environment, wrapper = [] }) {
		const command = [...wrapper, PROGRAM, '-c', this.config];
		if (files !== undefined)
			command.unshift('sh', '-c', `ulimit -n ${files} && exec "$@"`, 'sh');
		assert.ok(existsSync(PROGRAM), `${PROGRAM} is not there: build it, or set POLLUX_BUILD`);
		this.#child = spawn(command[0], command.slice(1), {
			stdio: ['ignore', 'pipe', 'pipe'],
			env: { ...process.env, ...environment },
		});
		this.accessLog.read(this.#child.stdout);
		this.log.read(this.#child.stderr);
		this.#exit = new Promise((done) => {
			this.#child.once('close', (code, signal) => {
				const error = new Error(`pollux left with ${signal ?? code}`);
				this.log.abandon(error);
				this.accessLog.abandon(error);
				done({ code, signal });
			});
		});
	}

	get pid() {
		return this.#child.pid;
	}

	// Where to connect to, for Wire.connect and net.connect.
	where(index = 0) {
		return this.listens[index].where;
	}

	get port() {
		return this.listens[0].where.port;
	}

	url(path = '/', { scheme = 'http', index = 0, host } = {}) {
		const where = this.listens[index].where;
		return `${scheme}://${host ?? where.host}:${where.port}${path}`;
	}

	// The next entry of the JSON access log that has these members; each is given once.
	async accessed(members = {}, ms = undefined) {
		const line = await this.accessLog.take(
			(text) => text.startsWith('{') && matches(JSON.parse(text), members),
			`access log entry with ${JSON.stringify(members, (_, v) => v instanceof RegExp ? String(v) : v)}`,
			ms,
		);
		return JSON.parse(line);
	}

	// The error log has, or gets, a line that matches.
	async logged(pattern, ms = undefined) {
		return this.log.find((line) => pattern.test(line), `log line ${pattern}`, ms);
	}

	// Tells it to leave; every worker has begun to.
	async drain(signal = 'SIGTERM') {
		const counts = this.log.lines.map((line) => / (\d+) workers$/.exec(line)?.[1] ?? 1);
		const n = Math.max(...counts, 1);

		this.signal(signal);
		await eventually(
			() => this.log.lines.filter((line) => /draining/.test(line)).length >= n,
			`${n} workers that drain`,
		);
	}

	// Bytes of memory that the process holds.
	memory() {
		const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(this.#proc('status'));
		return Number(kilobytes) * 1024;
	}

	// The processes that serve, where there is a master.
	workerPids() {
		return this.#proc(`task/${this.pid}/children`).trim().split(' ').map(Number);
	}

	descriptors() {
		return readdirSync(`/proc/${this.pid}/fd`).length;
	}

	#proc(name) {
		return readFileSync(`/proc/${this.pid}/${name}`, 'latin1');
	}

	signal(name) {
		this.#child.kill(name);
	}

	// Waits until it has left by itself; { code, signal }.
	async left(ms = undefined) {
		this.#isStopped = true;
		return within(this.#exit, 'pollux leaving', ms);
	}

	// Ends it as a crash would; nothing is checked then.
	async kill() {
		this.#isKilled = true;
		this.signal('SIGKILL');
		await this.left();
	}

	async stop(ms = undefined) {
		if (this.#isKilled)
			return;
		if (!this.#isStopped)
			this.signal('SIGTERM');
		try {
			const { code, signal } = await this.left(ms);
			assert.equal(signal ?? code, 0, `exit of pollux; its log:\n${this.log.text()}`);
		} finally {
			this.#child.kill('SIGKILL');
		}
		const complaints = this.log.lines.filter((line) => COMPLAINT.test(line));
		assert.deepEqual(complaints, [], `log of pollux:\n${this.log.text()}`);
	}
}

// Runs the program to its end: for -t, --dump-config and the like.
export async function runPollux(...args) {
	const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const stdout = new LineLog();
	const stderr = new LineLog();
	stdout.read(child.stdout);
	stderr.read(child.stderr);
	const code = await within(
		new Promise((done) => child.once('close', done)),
		`pollux ${args.join(' ')}`,
	);
	return { code, stdout: stdout.text(), stderr: stderr.text() };
}
