// make bench: what Pollux, nginx, HAProxy and nghttpx, and a relay that does nothing, spend on the same work.
//
// CPU time of the server's processes for each unit of work, and their memory for each idle connection. Every
// round starts all servers anew and measures them one after another on each workload, in an order that turns
// from round to round; a ratio is made of two figures of the same round. A run with an error has no figure.

import { execFileSync } from "node:child_process";
import { accessSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";

import { chosen, cpuPerUnit, medianOf, memoryPerUnit, showNumber } from "./measure.mjs";
import { readOptions } from "./options.mjs";
import { Load, freePort, shareOneCpu, startOrigin, stop, stopAll } from "./programs.mjs";
import { abilities, servers, startH2Origin } from "./servers.mjs";
import { median, medianInterval } from "./statistics.mjs";
import { printTable } from "./table.mjs";

const small = ["--connections", 64, "--length", 2];

// The connections of a workload over HTTP/2, and the streams that each has at a time.
function h2(connections, streams, ...more) {
	return ["--connections", connections, "--streams", streams, ...more];
}

const workloads = [
	{ name: "get", title: "GET, 2 bytes", mode: "get", path: "/small", load: small, units: 40000 },
	{
		name: "get-100k", title: "GET, 100 KB", mode: "get", path: "/bytes/100000",
		load: ["--connections", 64, "--length", 100000], units: 6000,
	},
	{ name: "echo", title: "WebSocket echo, 64 B", mode: "echo", path: "/ws/echo", units: 40000 },
	{ name: "echo-watched", title: "the same, watched (Pollux)", mode: "echo", path: "/ws/watched", units: 40000 },
	{ name: "echo-tls", title: "WebSocket echo over TLS", mode: "echo", path: "/ws/echo", units: 30000, secure: true },
	{
		name: "handshake", title: "TLS handshake and GET", mode: "handshake", path: "/small",
		load: ["--connections", 8, "--length", 2], units: 1000, secure: true,
	},
	{ name: "idle", title: "idle WebSocket", mode: "idle", path: "/ws/echo", units: 4000, memory: true },
	{
		name: "idle-tls", title: "idle WebSocket over TLS", mode: "idle", path: "/ws/echo",
		units: 4000, memory: true, secure: true,
	},
	{
		name: "h2-get", title: "h2 GET, 2 bytes, 16 × 1", mode: "h2-get", path: "/small",
		load: h2(16, 1, "--length", 2), units: 30000, secure: true, needs: ["h2"],
	},
	{
		name: "h2-get-many", title: "h2 GET, 2 bytes, 16 × 100", mode: "h2-get", path: "/small",
		load: h2(16, 100, "--length", 2), units: 40000, secure: true, needs: ["h2"],
	},
	{
		name: "h2-get-100k", title: "h2 GET, 100 KB, 16 × 4", mode: "h2-get", path: "/bytes/100000",
		load: h2(16, 4, "--length", 100000), units: 4000, secure: true, needs: ["h2"],
	},
	{
		name: "h2-upload", title: "h2 POST of 100 KB, 16 × 4", mode: "h2-upload", path: "/sink",
		load: h2(16, 4, "--size", 100000), units: 4000, secure: true, needs: ["h2"],
	},
	{
		name: "h2-echo", title: "h2 WebSocket echo, 64 B, 16 × 4", mode: "h2-echo", path: "/ws/echo",
		load: h2(16, 4), units: 30000, secure: true, needs: ["h2", "h2-websocket"],
	},
	{
		name: "h2-origin", title: "h2 GET, 2 bytes, 16 × 1, h2 origin", mode: "h2-get", path: "/small",
		load: h2(16, 1, "--length", 2), units: 30000, secure: true, needs: ["h2", "h2-origin"],
	},
	{
		name: "h2-idle", title: "idle h2 connection", mode: "h2-idle", path: "/small",
		load: h2(64, 1, "--length", 2), units: 4000, memory: true, secure: true, needs: ["h2"],
	},
	{
		name: "h2-idle-stream", title: "idle h2 stream, 100 each", mode: "h2-idle-stream", path: "/open",
		load: h2(64, 100), units: 4000, memory: true, secure: true, needs: ["h2"],
	},
	{
		name: "h2-idle-ws", title: "idle h2 WebSocket, 100 each", mode: "h2-idle-websocket",
		path: "/ws/echo", load: h2(64, 100), units: 4000, memory: true, secure: true,
		needs: ["h2", "h2-websocket"],
	},
];
const idleWarmUp = 2000;

const usage = `usage: bench.mjs [--build DIR] [--pollux FILE] [--rounds N] [--only WORKLOAD,…] [--servers NAME,…]
                 [--scale X] [--no-pin] [--json FILE]

  --build    where the programs were built (.)
  --pollux   the binary to measure (pollux in the build)
  --rounds   interleaved rounds (10)
  --only     ${workloads.map((each) => each.name).join(", ")}
  --servers  ${servers.map((each) => each.name).join(", ")}
  --scale    that many times the units of a run (1)
  --no-pin   let the kernel choose the CPUs, instead of one for load, server and origin
  --json     every figure of every round, into FILE`;

// Those of the servers that are there, with their files.
function installed(options) {
	const found = [];
	for (const server of chosen(servers, options.servers)) {
		const file = server.find(options);
		try {
			accessSync(file ?? "");
			found.push({ ...server, file });
		} catch {
			console.error(`${server.name} is not installed${file ? ` (${file})` : ""}: left out`);
		}
	}
	return found;
}

function makeCertificate(folder) {
	const pem = join(folder, "site.pem");
	const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
	const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-subj", "/CN=localhost", "-keyout", key, "-out", certificate];
	execFileSync("openssl", args, { stdio: "ignore" });
	writeFileSync(pem, readFileSync(certificate) + readFileSync(key), { mode: 0o600 });
	return pem;
}

async function newSetting(context, workload, server) {
	const folder = mkdtempSync(join(context.folder, `${server.name}-`));
	return {
		folder, pem: context.pem, plain: await freePort(), tls: await freePort(), origin: context.originPort,
		h2Origin: workload.needs?.includes("h2-origin") ? context.h2OriginPort : undefined,
	};
}

function loadArguments(workload, setting) {
	const url = workload.secure ? `https://127.0.0.1:${setting.tls}` : `http://127.0.0.1:${setting.plain}`;
	return [workload.mode, url + workload.path, ...(workload.load ?? []).map(String)];
}

async function measure(context, workload, server) {
	const setting = await newSetting(context, workload, server);
	const child = await server.start(server.file, setting, workload);
	const load = new Load(context.load, loadArguments(workload, setting));
	const units = Math.round(workload.units * context.scale);
	try {
		if (workload.memory)
			return await memoryPerUnit(load, child.pid, idleWarmUp, units);
		return await cpuPerUnit(load, child.pid, Math.max(200, Math.round(units / 10)), units);
	} finally {
		await load.end();
		await stop(child);
		rmSync(setting.folder, { recursive: true, force: true });
	}
}

function able(tested, workload) {
	return tested.filter(({ lacks = [] }) => !lacks.some((ability) => workload.needs?.includes(ability)));
}

// results[workload][server] = one entry a round; null for a run with errors. A server that cannot do the
// workload has none.
async function runRounds(context, rounds, work, tested) {
	const results = {};
	for (const workload of work)
		results[workload.name] = Object.fromEntries(able(tested, workload).map((server) => [server.name, []]));
	for (let round = 0; round < rounds; round++) {
		for (const [index, workload] of work.entries()) {
			const those = able(tested, workload);
			for (let i = 0; i < those.length; i++) {
				const server = those[(i + round + index) % those.length];
				let figure = null;
				try {
					figure = await measure(context, workload, server);
				} catch (error) {
					console.error(`${workload.name}, ${server.name}, round ${round + 1}: ${error.message}`);
				}
				results[workload.name][server.name].push(figure);
			}
		}
		console.error(`round ${round + 1} of ${rounds} done`);
	}
	return results;
}

function ratio(ours, theirs) {
	if (medianOf(ours) === null || medianOf(theirs) === null)
		return null;
	const ratios = ours.map((each, round) => each.value / theirs[round].value);
	const [low, high] = medianInterval(ratios);
	return { median: median(ratios), low, high };
}

function summarise(work, results, tested) {
	const peers = tested.filter((each) => each.name !== "Pollux" && !each.floor).map((each) => each.name);
	return work.map((workload) => {
		const figures = results[workload.name];
		const medians = Object.fromEntries(Object.entries(figures).map(([name, each]) => [name, medianOf(each)]));
		const measured = peers.filter((name) => typeof medians[name] === "number");
		const best = measured.sort((a, b) => medians[a] - medians[b])[0] ?? null;
		return {
			workload: workload.name,
			title: workload.title,
			unit: workload.memory ? "KB" : "µs",
			medians,
			best,
			toBest: best ? ratio(figures.Pollux, figures[best]) : null,
			toFloor: ratio(figures.Pollux, figures.floor),
		};
	});
}

function showRatio(value) {
	return value ? `${value.median.toFixed(2)} (${value.low.toFixed(2)}–${value.high.toFixed(2)})` : "–";
}

function printSummary(summary, tested, rounds) {
	const names = tested.map((each) => each.name);
	const head = ["per unit", "", ...names, "Pollux to the best peer", "Pollux to the floor"];
	const rows = summary.map((row) => [
		row.title, row.unit, ...names.map((name) => showNumber(row.medians[name])),
		row.toBest ? `${row.best} ${showRatio(row.toBest)}` : "–", showRatio(row.toFloor),
	]);
	printTable(head, rows, 2);
	console.log(`
Medians of ${rounds} rounds; ratios: median of the rounds' ratios and its 95 % interval.
µs: CPU time of all processes of the server. KB: its memory (PSS) for one more connection.
A × B: connections, and streams at a time on each.
The floor copies bytes and opens a connection to the origin for each of the client's.`);
	for (const { name, lacks = [] } of tested) {
		if (lacks.length > 0)
			console.log(`– in the column of ${name}: it has no ${lacks.map((each) => abilities[each]).join(", no ")}.`);
	}
}

// The work that can be done here. An origin that speaks HTTP/2 is started where some of it wants one.
async function startOrigins(context, options, work) {
	await startOrigin(join(options.build, "bench/origin"), context.originPort);
	if (!work.some(({ needs }) => needs?.includes("h2-origin")))
		return work;
	try {
		await startH2Origin(context.h2OriginPort, context.folder);
		return work;
	} catch (error) {
		const rest = work.filter(({ needs }) => !needs?.includes("h2-origin"));
		console.error(`${error.message}: ${work.filter((each) => !rest.includes(each)).map((each) => each.name)} left out`);
		return rest;
	}
}

async function main() {
	const options = readOptions(usage, "10", { servers: { type: "string" } });
	const rounds = Number(options.rounds);
	const work = chosen(workloads, options.only);
	const tested = installed(options);
	if (!(rounds >= 1) || work.length === 0 || tested.length === 0) {
		console.error(usage);
		return 2;
	}
	if (!options["no-pin"])
		shareOneCpu();
	const folder = mkdtempSync(join(tmpdir(), "pollux-bench-"));
	process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
	try {
		const context = {
			folder,
			pem: makeCertificate(folder),
			load: join(options.build, "bench/load"),
			originPort: await freePort(),
			h2OriginPort: await freePort(),
			scale: Number(options.scale),
		};
		const possible = await startOrigins(context, options, work);
		const results = await runRounds(context, rounds, possible, tested);
		const summary = summarise(possible, results, tested);
		printSummary(summary, tested, rounds);
		const all = { rounds, pinned: !options["no-pin"], cpu: cpus()[0]?.model, summary, results };
		if (options.json)
			writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
		return summary.some((row) => Object.values(row.medians).includes(null)) ? 1 : 0;
	} finally {
		await stopAll();
	}
}

for (const signal of ["SIGINT", "SIGTERM"])
	process.on(signal, () => process.exit(130));

process.exitCode = await main();
