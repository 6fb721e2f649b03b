// Prints a Markdown table whose columns also line up as plain text; all but the first `left` columns are
// set to the right.

export function printTable(head, rows, left = 1) {
	const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => row[i].length)));
	const pad = (text, i) => i < left ? text.padEnd(widths[i]) : text.padStart(widths[i]);
	const line = (cells) => console.log(`| ${cells.join(" | ")} |`);
	line(head.map(pad));
	line(widths.map((width, i) => i < left ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
	for (const row of rows)
		line(row.map(pad));
}
