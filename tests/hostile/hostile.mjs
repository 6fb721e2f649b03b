#!/usr/bin/env node
/*
 * Pollux between hostile clients and hostile backends. Requests, responses, WebSocket frames and
 * requests of the bridge are made from a grammar and made wrong; connections are cut, reset and
 * stalled on both sides. Meanwhile and afterwards:
 *
 *	- the process lives, without a complaint of a sanitizer, and leaves with nothing behind;
 *	- a client in good order gets right answers in time (but in rounds where there are too few
 *	  connections or descriptors for all);
 *	- each request that a backend gets is strict HTTP, and is one that a client sent, body and all,
 *	  by a second reader of HTTP (reference.mjs); it comes no more often than it was sent;
 *	- each answer reaches the request it answers; a connection is not used again after a doubt;
 *	- each line of the access log is JSON, and no control byte gets into a log;
 *	- what passes a tunnel is not changed; the numbers of a session say the same at all times;
 *	- when all have gone, no processor time is used and no descriptor is kept. In some rounds it
 *	  has to leave in the middle of everything instead.
 *
 *	POLLUX_BUILD=../build node hostile/hostile.mjs [--seed N] [--seconds N] [--at-once N]
 *
 * The seed gives what is sent, but not when it arrives. Rounds of some ten seconds; each has a
 * Pollux of its own and the next seed.
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { pathToFileURL } from 'node:url';

import { Authority } from '../e2e/lib/certificates.mjs';
import { Pollux } from '../e2e/lib/pollux.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { BridgeClient, FaithfulBackend } from './bridge_client.mjs';
import { Canary, CanaryBackend } from './canary.mjs';
import { ClientScript } from './client_script.mjs';
import { HostileBackend } from './hostile_backend.mjs';
import { Judge } from './judge.mjs';
import { Random } from './random.mjs';

const ROUND_MS = 10_000;
const VISIT_MS = 4000;
const MAX_SHOWN = 3000;

// What a round starts is stopped at its end, the last first.
class Owner {
	#closers = [];

	after(close) {
		this.#closers.push(close);
	}

	async close() {
		while (this.#closers.length > 0)
			await this.#closers.pop()();
	}
}

// Processor time that a process has used, in ticks of 10 ms.
function cpuTicks(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
	return Number(fields[11]) + Number(fields[12]);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// One client's connection: { sent, got }. Ends by itself, by the script, or after VISIT_MS.
function visit(where, isTls, steps) {
	return new Promise((done) => {
		const sent = [];
		const got = [];
		const socket = isTls
			? tls.connect({ ...where, rejectUnauthorized: false })
			: net.connect(where);
		let isOver = false;
		const finish = () => {
			isOver = true;
			clearTimeout(timer);
			socket.destroy();
			done({ sent: Buffer.concat(sent), got: Buffer.concat(got), steps });
		};
		const timer = setTimeout(finish, VISIT_MS);
		socket.on('data', (chunk) => got.push(chunk));
		socket.on('error', () => {});
		socket.on('close', finish);
		(async () => {
			for (const step of steps) {
				if (isOver)
					return;
				if (step.send !== undefined) {
					sent.push(step.send);
					socket.write(step.send);
				} else if (step.wait !== undefined) {
					await pause(step.wait);
				} else if (step.mute !== undefined) {
					socket.pause();
					await pause(step.mute);
					socket.resume();
				} else if (step.end) {
					socket.end();
				} else if (step.reset) {
					(isTls ? socket.destroy() : socket.resetAndDestroy());
				} else if (step.leave) {
					finish();
				}
			}
			await pause(250);
			socket.end();
		})();
	});
}

class Round {
	#faults = [];
	#visits = [];
	#nBridgeClients = 0;

	constructor(seed, { atOnce, ms, environment }) {
		this.random = new Random(seed);
		this.owner = new Owner();
		this.seed = seed;
		this.atOnce = atOnce;
		this.ms = ms;
		this.environment = environment;
		this.isStoppedEarly = this.random.chance(40);
		this.isTight = this.random.chance(20); // too few connections or descriptors for all
		this.report = this.report.bind(this);
	}

	report(what, bytes) {
		const shown = bytes === undefined ? ''
			: `\n    ${JSON.stringify(bytes.toString('latin1', 0, MAX_SHOWN))}`;
		this.#faults.push(`seed ${this.seed}: ${what}${shown}`);
	}

	// The faults found, and some figures.
	async run() {
		try {
			await this.#start();
			if (!this.isTight)
				this.canary.start();
			const attack = this.#attack();
			await pause(this.ms - 1000);
			await this.canary.stop();
			if (this.isStoppedEarly)
				this.pollux.signal('SIGTERM');
			await attack;
			new Judge(this.report, { mayClose: this.isStoppedEarly }).judge(this.#visits, this.backend.records);
			if (!this.isTight && this.canary.nAnswers === 0)
				this.report('the canary got no answer at all');
			if (!this.isStoppedEarly)
				await this.#expectRest();
		} catch (error) {
			this.report(error.stack);
		}
		try {
			await this.owner.close();
		} catch (error) {
			this.report(error.stack);
		}
		this.#judgeLogs();
		return {
			faults: this.#faults,
			figures: `${this.#visits.length} connections, ${this.backend?.records.length} requests at the `
				+ `backend, ${this.#nBridgeClients} bridge clients, ${this.canary?.nAnswers} canary answers`
				+ (this.isTight ? ', tight' : '') + (this.isStoppedEarly ? ', stopped early' : ''),
		};
	}

	async #start() {
		const { random, owner } = this;
		const certificate = new Authority(owner).issue(['localhost', '127.0.0.1']);
		const isTlsBackend = random.chance(30);
		this.backend = await HostileBackend.start(owner, random.fork(), this.report, isTlsBackend
			? { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) } : undefined);
		this.faithful = await FaithfulBackend.start(owner, random.fork());
		this.good = await CanaryBackend.start(owner);
		this.pollux = await Pollux.start(owner, this.#options(certificate, isTlsBackend));
		this.canary = new Canary(random.fork(), {
			plain: this.pollux.url('', { index: 0 }),
			tls: this.pollux.url('', { index: 1, scheme: 'https' }),
		}, this.report);
		this.nDescriptors = this.pollux.descriptors();
	}

	#options(certificate, isTlsBackend) {
		const { random } = this;
		const times = { header_timeout: '1s', idle_timeout: '2s', body_timeout: '1s', write_timeout: '2s' };
		const listen = { ...times, handshake_timeout: '2s' };
		const backend = { connect_timeout: '2s', response_timeout: '2s', read_timeout: '2s',
			write_timeout: '2s', retries: 0, keepalive: random.chance(90) };
		const bridge = { bridge: ['plain'], linger: '2s', send_timeout: '1s', poll_wait: '2s',
			heartbeat: '1s', ...random.pick([{}, { max_message_size: 2000, queue: 3000, replay: 2000 }]) };
		const goodBackend = { servers: [this.good], retries: 1, max_fails: 0 };
		return {
			program: {
				access_log: random.chance(50) ? 'off' : 'stdout',
				log_level: 'info',
				drain: '3s',
				...(this.isTight && random.chance(50) ? { max_connections: random.between(4, 40) } : {}),
			},
			files: this.isTight ? random.pick([130, 160, 1024]) : undefined,
			listen: [listen, { ...listen, certificates: [certificate.pem] }],
			backends: {
				hostile: { servers: [this.backend], ...backend, tls: isTlsBackend,
					...(isTlsBackend ? { tls_verify: false } : {}) },
				faithful: { servers: [this.faithful], ...backend },
				good: goodBackend,
			},
			route: [
				{ path: '/', backend: 'hostile', max_body_size: 200_000, tunnel_timeout: '2s' },
				{ path: '/fb', backend: 'faithful', ...bridge },
				{ path: '/hb', backend: 'hostile', ...bridge },
				{ path: '/good', backend: 'good' },
				{ path: '/good-bridge', backend: 'good', bridge: ['plain'] },
			],
			environment: this.environment,
		};
	}

	async #attack() {
		const end = Date.now() + this.ms;
		const lines = Array.from({ length: this.atOnce }, async () => {
			while (Date.now() < end)
				await this.#attackOnce();
		});
		await Promise.all(lines);
	}

	async #attackOnce() {
		const random = this.random.fork();
		if (random.chance(25)) {
			const isFaithful = random.chance(60);
			this.#nBridgeClients++;
			await new BridgeClient(random, this.pollux.where(0), {
				path: `${isFaithful ? '/fb' : '/hb'}/${random.pick(['a', 'b', 'c/d'])}`,
				isFaithful,
				report: this.report,
				keep: (visit) => this.#visits.push(visit),
			}).run();
			return;
		}
		const isTls = random.chance(25);
		const steps = new ClientScript(random).make();
		const result = await visit(this.pollux.where(isTls ? 1 : 0), isTls, steps);
		this.#visits.push(result);
		if (result.got.length === 0)
			await pause(10);
	}

	#judgeLogs() {
		for (const line of this.pollux?.accessLog.lines ?? []) {
			try {
				JSON.parse(line);
			} catch (error) {
				this.report(`access log: ${error.message}`, Buffer.from(line));
			}
		}
		for (const line of this.pollux?.log.lines ?? [])
			if (/[\0-\x08\x0b-\x1f\x7f]/.test(line))
				this.report('control bytes in the log', Buffer.from(line));
	}

	// All have gone: Pollux has to come to rest.
	async #expectRest() {
		await eventually(() => this.pollux.descriptors() <= this.nDescriptors + 8,
			`descriptors back from ${this.pollux.descriptors()} to ${this.nDescriptors}`, 15_000);
		const before = cpuTicks(this.pollux.pid);
		await pause(1000);
		const used = cpuTicks(this.pollux.pid) - before;
		if (used > 10)
			this.report(`${used} ticks of processor time in a second of rest`);
	}
}

export async function attack({ seed = Date.now() % 1_000_000_000, seconds = 60, atOnce = 40,
	environment, show = console.log } = {}) {
	const end = Date.now() + seconds * 1000;
	const faults = [];
	while (Date.now() < end && faults.length < 100) {
		const ms = Math.min(ROUND_MS, Math.max(2000, end - Date.now()));
		show(`seed ${seed}`);
		const result = await new Round(seed, { atOnce, ms, environment }).run();
		show(`  ${result.figures}, ${result.faults.length} faults`);
		result.faults.slice(0, 20).forEach((fault) => show(fault));
		faults.push(...result.faults);
		seed++;
	}
	return faults;
}

function options(args) {
	const names = { '--seed': 'seed', '--seconds': 'seconds', '--at-once': 'atOnce' };
	const given = {};
	for (let i = 0; i < args.length; i += 2) {
		if (names[args[i]] === undefined || !/^\d+$/.test(args[i + 1]))
			throw new Error(`usage: hostile.mjs [--seed N] [--seconds N] [--at-once N]`);
		given[names[args[i]]] = Number(args[i + 1]);
	}
	return given;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
	process.exitCode = (await attack(options(process.argv.slice(2)))).length > 0 ? 1 : 0;
