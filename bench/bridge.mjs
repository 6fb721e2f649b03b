// make bench-bridge: what the bridge of Pollux spends on the sessions of each transport, on sessions whose requests
// come to another worker, and on messages for all beside servers that do the same.
//
// CPU time of all processes of the server for each unit of work, and their memory and descriptors for each idle
// session; every measurement has an origin, a server and a load generator of its own. README.md says what a unit is.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { peerRows } from "./bridge_peers.mjs";
import { bridgeServer, transports, workerSettings } from "./bridge_servers.mjs";
import { chosen, cpuPerUnit, check, medianOf, memoryPerUnit, showNumber } from "./measure.mjs";
import { readOptions } from "./options.mjs";
import { Load, freePort, shareAllCpus, shareOneCpu, startOrigin, stop, stopAll } from "./programs.mjs";
import { printTable } from "./table.mjs";

const connections = 64;
const rate = 200; // messages a second, for latencies
const idleWarmUp = 2000;

// A mode of the load generator each; `fields` are what it gives, for the columns of the table.
const measures = [
	{ name: "session", mode: "session", units: 2048, columns: [["session", "µs", "value"]] },
	{ name: "deliver", mode: "deliver", units: 12800, columns: [["to client", "µs", "value"]] },
	{ name: "send", mode: "send", units: 12800, columns: [["from client", "µs", "value"]] },
	{
		name: "idle", mode: "hold", units: 4000,
		columns: [["idle", "KB", "value"], ["descriptors", "", "descriptors"]],
	},
	{ name: "latency", mode: "latency", units: 1000, columns: [["p50", "µs", "p50"], ["p99", "µs", "p99"]] },
];

const usage = `usage: bridge.mjs [--build DIR] [--pollux FILE] [--rounds N] [--tables NAME,…] [--only ROW,…]
                  [--measures NAME,…] [--scale X] [--packages DIR] [--nchan FILE] [--no-pin] [--json FILE]

  --build     where the programs were built (.)
  --pollux    the binary to measure (pollux in the build)
  --rounds    interleaved rounds (5)
  --tables    transports, workers (both), peers
  --only      of transports: ${transports.map((each) => each.name).join(", ")}
              of workers: ${workerSettings.map((each) => each.name).join(", ")}
              of peers: ${[...new Set(peerRows.map((each) => each.name))].join(", ")}
  --measures  ${measures.map((each) => each.name).join(", ")}
  --scale     that many times the units of a run (1)
  --packages  the folder in whose node_modules ws, sockjs and engine.io are, for peers (tests)
  --nchan     nchan's module for nginx, for peers (where Debian has it)
  --no-pin    let the kernel choose the CPUs for all, instead of one for all but latencies
  --json      every figure of every round, into FILE`;

function wholeRounds(units) {
	return Math.max(1, Math.round(units / connections)) * connections;
}

async function run(context, measure, load, pid) {
	const units = wholeRounds(measure.units * context.scale);
	switch (measure.name) {
	case "idle":
		return memoryPerUnit(load, pid, wholeRounds(idleWarmUp * Math.min(1, context.scale)), units);
	case "latency": {
		check(await load.run(connections), connections);
		const result = check(await load.run(units), units);
		return { p50: result.p50_us, p99: result.p99_us };
	}
	default:
		return cpuPerUnit(load, pid, wholeRounds(units / 8), units);
	}
}

// Who tells the application what to send, or takes what is to be published.
function controlPort(row, setting) {
	if (!row.peer)
		return setting.origin;
	return row.postBody ? setting.control : setting.port;
}

async function measureOne(context, measure, row) {
	const folder = mkdtempSync(join(context.folder, "run-"));
	const [port, origin, control] = [await freePort(), await freePort(), await freePort()];
	const setting = { folder, port, origin, control, ...row.setting };
	if (!context.pins || measure.name === "latency")
		shareAllCpus();
	else
		shareOneCpu();
	const application = await startOrigin(join(context.build, "bench/origin"), origin);
	const server = row.peer ? await row.peer.start(row.file, setting, context)
		: await bridgeServer.start(context.pollux, setting);
	const load = new Load(join(context.build, "bench/load"), [
		measure.mode, `http://127.0.0.1:${setting.port}${row.transport.path}`, "--transport", row.transport.name,
		"--control", `127.0.0.1:${controlPort(row, setting)}`, "--connections", String(connections), "--rate", String(rate),
		...(row.landing ? ["--landing", row.landing] : []), ...(row.post ? ["--post", row.post] : []),
		...(row.postBody ? ["--post-body", row.postBody] : []),
	]);
	try {
		return await run(context, measure, load, server.pid);
	} finally {
		await load.end();
		await stop(server);
		await stop(application);
		rmSync(folder, { recursive: true, force: true });
	}
}

function able(row, measure) {
	return !row.measures || row.measures.includes(measure.name);
}

// results[row][measure]: one entry a round, null for a run with errors, none at all where the server cannot do it.
// The order turns from round to round.
async function measureTable(context, table) {
	const results = Object.fromEntries(table.rows.map((row) =>
		[row.name, Object.fromEntries(table.measures.filter((each) => able(row, each)).map(({ name }) => [name, []]))]));
	for (let round = 0; round < context.rounds; round++) {
		for (const measure of table.measures) {
			const rows = table.rows.filter((row) => able(row, measure));
			for (let i = 0; i < rows.length; i++) {
				const row = rows[(i + round) % rows.length];
				let figure = null;
				try {
					figure = await measureOne(context, measure, row);
				} catch (error) {
					console.error(`${row.name}, ${measure.name}, round ${round + 1}: ${error.message}`);
				}
				results[row.name][measure.name].push(figure);
			}
		}
		console.error(`${table.name}: round ${round + 1} of ${context.rounds} done`);
	}
	return results;
}

function summarise(table, results) {
	return table.rows.map((row) => ({
		name: row.name,
		title: row.title,
		medians: Object.fromEntries(table.measures.flatMap((measure) => measure.columns.map(([title, , field]) =>
			[title, able(row, measure) ? medianOf(results[row.name][measure.name], field) : undefined]))),
	}));
}

function printSummary(table, summary) {
	const columns = table.measures.flatMap((measure) => measure.columns);
	const head = [table.title, ...columns.map(([title, unit]) => unit ? `${title} ${unit}` : title)];
	printTable(head, summary.map((row) => [row.title, ...columns.map(([title]) => showNumber(row.medians[title]))]));
	console.log("");
}

// Those of the peers that are installed, with their files.
function installedPeers(context, names) {
	return chosen(peerRows, names).map((row) => ({ ...row, file: row.peer?.find(context) })).filter((row) => {
		if (row.peer && !row.file)
			console.error(`${row.title} is not installed: left out`);
		return !row.peer || row.file;
	});
}

function tablesOf(options, context) {
	const wanted = chosen(measures, options.measures);
	const tables = [
		{ name: "transports", title: "one worker", rows: chosen(transports, options.only), measures: wanted },
		{
			name: "workers", title: "several workers", rows: chosen(workerSettings, options.only),
			measures: wanted.filter(({ name }) => name !== "session"),
		},
	];
	if (options.tables?.split(",").includes("peers"))
		tables.push({
			name: "peers", title: "", rows: installedPeers(context, options.only),
			measures: wanted.filter(({ name }) => name !== "latency"),
		});
	return chosen(tables, options.tables).filter((table) => table.rows.length > 0 && table.measures.length > 0);
}

async function main() {
	const options = readOptions(usage, "5", {
	tables: { type: "string" },
	measures: { type: "string" },
	packages: { type: "string", default: new URL("../tests", import.meta.url).pathname },
	nchan: { type: "string" },
});
	const folder = mkdtempSync(join(tmpdir(), "pollux-bench-"));
	process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
	const context = {
		folder, build: options.build, pollux: resolve(options.pollux ?? join(options.build, "pollux")),
		packages: options["packages"], nchanModule: options.nchan,
		rounds: Number(options.rounds), scale: Number(options.scale), pins: !options["no-pin"],
	};
	const tables = tablesOf(options, context);
	if (tables.length === 0) {
		console.error(usage);
		return 2;
	}
	const all = { rounds: context.rounds, pinned: context.pins, cpu: cpus()[0]?.model, tables: {} };
	try {
		for (const table of tables) {
			const results = await measureTable(context, table);
			const summary = summarise(table, results);
			printSummary(table, summary);
			all.tables[table.name] = { summary, results };
		}
	} finally {
		await stopAll();
	}
	console.log(`Medians of ${context.rounds} rounds. µs of session, to client, from client: CPU time of all processes of the
server, for a session (opened, one message each way, closed) and for one message of 64 bytes. KB: its memory (PSS) for
one more idle session. p50, p99: wall clock from the origin to the client at ${rate} messages a second over ${connections} sessions.`);
	if (options.json)
		writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
	const medians = Object.values(all.tables).flatMap(({ summary }) => summary.flatMap((row) => Object.values(row.medians)));
	return medians.includes(null) ? 1 : 0;
}

for (const signal of ["SIGINT", "SIGTERM"])
	process.on(signal, () => process.exit(130));

process.exitCode = await main();
