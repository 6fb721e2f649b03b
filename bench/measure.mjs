// One measurement: a load generator that warms up, the server's figures before and after, the figures' text.

import { cpuMicroseconds, descriptors, memoryKilobytes } from "./procfs.mjs";
import { median } from "./statistics.mjs";

export function chosen(list, names) {
	if (!names)
		return list;
	const wanted = names.toLowerCase().split(",");
	return list.filter((each) => wanted.includes(each.name.toLowerCase()));
}

export function check(result, units) {
	if (result.errors || result.units !== units)
		throw new Error(`${result.errors} errors in ${result.units} of ${units} units: ${result.error}`);
	return result;
}

// CPU microseconds for each unit; what the warm-up opens is open before the clock starts.
export async function cpuPerUnit(load, pid, warmUp, units) {
	check(await load.run(warmUp), warmUp);
	const before = cpuMicroseconds(pid);
	const result = await load.run(units);
	const used = cpuMicroseconds(pid) - before;
	check(result, units);
	return { value: used / units, perSecond: units / (result.elapsed_us / 1e6), reconnects: result.reconnects };
}

// Kilobytes and descriptors for each unit after those of the warm-up, which have made the allocator take what it
// takes anyway.
export async function memoryPerUnit(load, pid, warmUp, units) {
	check(await load.run(warmUp), warmUp);
	const [kilobytes, open] = [memoryKilobytes(pid), descriptors(pid)];
	check(await load.run(units), units);
	const figures = {
		value: (memoryKilobytes(pid) - kilobytes) / units,
		descriptors: (descriptors(pid) - open) / units,
	};
	check(await load.run(0), 0); // nobody was lost meanwhile
	return figures;
}

// The median of a server's figures; null unless every round has one.
export function medianOf(figures, field = "value") {
	return figures?.length && figures.every(Boolean) ? median(figures.map((each) => each[field])) : null;
}

export function showNumber(value) {
	if (value === undefined)
		return "–";
	if (value === null)
		return "errors";
	return value < 1000 ? value.toPrecision(value < 1 ? 2 : value < 100 ? 3 : 4) : String(Math.round(value));
}
