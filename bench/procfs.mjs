// What /proc tells of a process and its children: CPU time, memory, descriptors. Linux only.

import { readdirSync, readFileSync } from "node:fs";

function read(path) {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return ""; // the process or thread has ended meanwhile
	}
}

function children(pid) {
	const found = [];
	for (const task of tasks(pid))
		found.push(...read(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean).map(Number));
	return found;
}

function tasks(pid) {
	try {
		return readdirSync(`/proc/${pid}/task`);
	} catch {
		return [];
	}
}

// The process and everything below it.
export function processTree(pid) {
	return [pid, ...children(pid).flatMap(processTree)];
}

let hasSchedstat;

// Microseconds of CPU that a process has used, all threads. schedstat counts nanoseconds; where the kernel
// lacks it, stat's ticks of 10 ms have to do.
function processCpu(pid) {
	if (hasSchedstat === undefined)
		hasSchedstat = Number(read("/proc/self/schedstat").split(" ")[0]) > 0;
	if (hasSchedstat) {
		let ns = 0;
		for (const task of tasks(pid))
			ns += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0]);
		return ns / 1000;
	}
	const stat = read(`/proc/${pid}/stat`);
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10000;
}

export function cpuMicroseconds(pid) {
	return processTree(pid).reduce((sum, each) => sum + processCpu(each), 0);
}

// Kilobytes of memory of the tree: pages shared between its processes count once (PSS).
export function memoryKilobytes(pid) {
	let sum = 0;
	for (const each of processTree(pid)) {
		const pss = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${each}/smaps_rollup`));
		const rss = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${each}/status`));
		sum += Number((pss ?? rss ?? [0, 0])[1]);
	}
	return sum;
}

// Open descriptors of the tree.
export function descriptors(pid) {
	let sum = 0;
	for (const each of processTree(pid)) {
		try {
			sum += readdirSync(`/proc/${each}/fd`).length;
		} catch {
			// it has ended meanwhile
		}
	}
	return sum;
}
