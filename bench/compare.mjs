// make compare: what the same stream of events costs over each transport, all through Pollux: how late events
// arrive, how many bytes go up and down at the socket, how many requests it takes. Short-polling is plain
// forwarding of the origin's /ticker/poll; the others are the origin's WebSocket /ws/ticker, as it is and bridged.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { eventStream, longPolling, shortPolling, webSocket } from "./compare_clients.mjs";
import { freePort, startOrigin, startServer, stopAll } from "./programs.mjs";
import { percentile } from "./statistics.mjs";
import { printTable } from "./table.mjs";

const usage = `usage: compare.mjs [--build DIR] [--pollux FILE] [--clients N] [--count N] [--interval MS]
                   [--size BYTES] [--poll MS,MS] [--port PORT] [--json FILE]

  --clients   clients of each transport (20)
  --count     events for each client (60)
  --interval  between two events (500)
  --size      bytes of an event (100)
  --poll      intervals of short-polling (1000,200)
  --port      of a proxy that runs already, in front of a bench origin; else both are started`;

const numbers = { clients: "20", count: "60", interval: "500", size: "100" };

function readOptions() {
	const options = { build: { type: "string", default: "." }, poll: { type: "string", default: "1000,200" } };
	for (const name of ["pollux", "port", "json"])
		options[name] = { type: "string" };
	for (const [name, value] of Object.entries(numbers))
		options[name] = { type: "string", default: value };
	try {
		const { values } = parseArgs({ options });
		for (const name of Object.keys(numbers)) {
			values[name] = Number(values[name]);
			if (!(values[name] > 0))
				throw new Error(`--${name} is a number above 0`);
		}
		return values;
	} catch (error) {
		console.error(`${error.message}\n${usage}`);
		process.exit(2);
	}
}

// Milliseconds since 1970 with fractions. Date.now() cuts them off, so its distance from the steady clock is
// greatest, and right, just as its millisecond turns.
function wallClock() {
	let offset = -Infinity;
	for (const end = performance.now() + 50; performance.now() < end; )
		offset = Math.max(offset, Date.now() - performance.now());
	return () => performance.now() + offset;
}

async function startPollux(file, folder, originPort) {
	const port = await freePort();
	const path = join(folder, "pollux.conf");
	writeFileSync(path, `
access_log = "off"
drain = "0s"
listen "127.0.0.1:${port}" {
}
backend "app" {
	servers = {"127.0.0.1:${originPort}"}
}
route "/" {
	backend = "app"
}
route "/ws/ticker" {
	backend = "app"
	bridge = {"plain"}
}
`);
	await startServer(file, ["-c", path], [port]);
	return port;
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One client from its first event to its last; throws when one is missing, repeated or out of order.
async function runClient(transport, setting, now) {
	const latencies = [];
	await delay(Math.random() * setting.ticker.interval);
	const counted = await transport(setting, (event) => {
		if (event.n !== latencies.length + 1)
			throw new Error(`event ${event.n} came after ${latencies.length}`);
		latencies.push(now() - event.at / 1000);
	});
	if (latencies.length !== setting.ticker.count)
		throw new Error(`${latencies.length} of ${setting.ticker.count} events came`);
	return { ...counted, latencies };
}

async function runTransport({ name, run }, setting, now) {
	const longest = setting.ticker.interval * (setting.ticker.count + 2) + 30000;
	const clients = Array.from({ length: setting.clients }, () => Promise.race([
		runClient(run, setting, now),
		delay(longest).then(() => Promise.reject(new Error(`not done after ${longest} ms`))),
	]));
	const results = await Promise.allSettled(clients);
	const failed = results.find((each) => each.status === "rejected");
	if (failed)
		return { name, error: failed.reason.message };
	const all = results.map((each) => each.value);
	const sum = (field) => all.reduce((total, each) => total + each[field], 0);
	const messages = setting.clients * setting.ticker.count;
	const latencies = all.flatMap((each) => each.latencies);
	return {
		name,
		p50: percentile(latencies, 0.5),
		p99: percentile(latencies, 0.99),
		requests: sum("requests") / messages,
		up: sum("up") / messages,
		down: sum("down") / messages,
	};
}

function showRow(row) {
	if (row.error)
		return [row.name, "errors", "–", "–", "–", "–"];
	const { name, p50, p99, requests, up, down } = row;
	return [name, p50.toFixed(1), p99.toFixed(1), requests.toFixed(2), up.toFixed(0), down.toFixed(0)];
}

function printRows(rows, { clients, ticker: { count, size, interval } }) {
	printTable(["transport", "p50 ms", "p99 ms", "requests", "bytes up", "bytes down"], rows.map(showRow));
	for (const row of rows.filter((each) => each.error))
		console.log(`\n${row.name}: ${row.error.trim()}`);
	console.log(`
${clients} clients each; each gets ${count} events of ${size} bytes, one every ${interval} ms on average.
Latency: from when an event is due at the origin to when the client has it. Requests and bytes:
for each message, opening included, HTTP heads included, TCP's own headers not.`);
}

function shortPollingEvery(ms) {
	return { name: `short-polling, ${ms} ms`, run: shortPolling(Number(ms)) };
}

async function main() {
	const options = readOptions();
	const now = wallClock();
	const folder = mkdtempSync(join(tmpdir(), "pollux-compare-"));
	process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
	let port = Number(options.port);
	try {
		if (!port) {
			const originPort = await freePort();
			await startOrigin(join(options.build, "bench/origin"), originPort);
			port = await startPollux(options.pollux ?? join(options.build, "pollux"), folder, originPort);
		}
		const { clients, interval, size, count } = options;
		const setting = { port, clients, ticker: { interval, size, count } };
		const transports = [
			...options.poll.split(",").map(shortPollingEvery),
			{ name: "long-polling", run: longPolling },
			{ name: "server-sent events", run: eventStream },
			{ name: "WebSocket", run: webSocket },
		];
		const rows = await Promise.all(transports.map((each) => runTransport(each, setting, now)));
		printRows(rows, setting);
		if (options.json)
			writeFileSync(options.json, `${JSON.stringify({ setting, rows }, null, 1)}\n`);
		return rows.some((row) => row.error) ? 1 : 0;
	} finally {
		await stopAll();
	}
}

for (const signal of ["SIGINT", "SIGTERM"])
	process.on(signal, () => process.exit(130));

// Sockets of clients that failed do not keep the program.
process.exit(await main());
