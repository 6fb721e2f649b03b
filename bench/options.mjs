// The command line of a bench.

import { parseArgs } from "node:util";

const common = {
	build: { type: "string", default: "." },
	pollux: { type: "string" },
	scale: { type: "string", default: "1" },
	only: { type: "string" },
	"no-pin": { type: "boolean", default: false },
	json: { type: "string" },
	help: { type: "boolean", default: false },
};

// The values of the common options and of the bench's own; leaves with the usage if they are not right.
export function readOptions(usage, rounds, own) {
	try {
		const options = { ...common, rounds: { type: "string", default: rounds }, ...own };
		const { values } = parseArgs({ options });
		if (!values.help && Number(values.rounds) >= 1 && Number(values.scale) > 0)
			return values;
	} catch (error) {
		console.error(error.message);
	}
	console.error(usage);
	process.exit(2);
}
