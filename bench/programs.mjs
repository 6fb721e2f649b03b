// Starting and ending the programs of a measurement, and driving the load generator.

import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { connect, createServer } from "node:net";
import { cpus } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

const running = new Set();

export function findProgram(name) {
	const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
	for (const folder of folders) {
		try {
			accessSync(join(folder, name), constants.X_OK);
			return join(folder, name);
		} catch {
			// not here
		}
	}
	return null;
}

// Load, server and origin share one CPU, as batch jobs that do not cut each other short. So each of them
// finds as much work as there are connections when its turn comes, whichever server is measured. On CPUs of
// their own the quicker server waits more and is woken for single requests, which costs more than they do.
let prefix = [];

export function shareOneCpu() {
	const cpu = String(cpus().length - 1);
	const [taskset, chrt] = ["taskset", "chrt"].map(findProgram);
	if (taskset && chrt)
		prefix = [chrt, "--batch", "0", taskset, "--cpu-list", cpu];
	else
		console.error("taskset or chrt is missing (Debian: util-linux): the kernel chooses the CPUs");
}

// What is started from here on runs where the kernel likes, for latencies.
export function shareAllCpus() {
	prefix = [];
}

function start(file, args, options) {
	const [command, ...rest] = [...prefix, file, ...args];
	const child = spawn(command, rest, options);
	child.name = file;
	child.log = "";
	child.stderr?.setEncoding("utf8").on("data", (text) => {
		child.log = (child.log + text).slice(-2000);
	});
	running.add(child);
	child.ended = new Promise((resolve) => {
		child.on("error", (error) => {
			child.log += error.message;
			running.delete(child);
			resolve("error");
		});
		child.on("exit", (code, signal) => {
			running.delete(child);
			resolve(signal ?? code);
		});
	});
	return child;
}

export async function stop(child) {
	if (!running.has(child))
		return;
	child.kill("SIGTERM");
	const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
	await child.ended;
	clearTimeout(timer);
}

export async function stopAll() {
	await Promise.all([...running].map(stop));
}

// SIGTERM, because a master that is killed leaves its workers behind.
process.on("exit", () => {
	for (const child of running)
		child.kill("SIGTERM");
});

export function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.on("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

function connects(port) {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		socket.on("connect", () => resolve(true) || socket.destroy());
		socket.on("error", () => resolve(false));
	});
}

// Resolves once every port is listened on; throws with the program's own words when it ends before.
async function ready(child, ports) {
	const deadline = Date.now() + 10000;
	for (const port of ports) {
		while (!(await connects(port))) {
			if (!running.has(child) || Date.now() > deadline)
				throw new Error(`${child.name} does not listen on port ${port}: ${child.log.trim()}`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}
	return child;
}

export function startServer(file, args, ports) {
	return ready(start(file, args, { stdio: ["ignore", "ignore", "pipe"] }), ports);
}

export function startOrigin(file, port) {
	const args = ["--listen", `127.0.0.1:${port}`, "--demo", new URL("demo", import.meta.url).pathname];
	return startServer(file, args, [port]);
}

// One load generator with its connections. A run's result is what load.c prints.
export class Load {
	constructor(file, args) {
		this.child = start(file, args, { stdio: ["pipe", "pipe", "pipe"] });
		this.child.stdin.on("error", () => {}); // its end is noticed by reading
		this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
	}

	async run(units) {
		this.child.stdin.write(`run ${units}\n`);
		const { value, done } = await this.lines.next();
		if (done)
			throw new Error(`the load generator ended: ${this.child.log.trim()}`);
		return JSON.parse(value);
	}

	async end() {
		this.child.stdin.end();
		await this.child.ended;
	}
}
