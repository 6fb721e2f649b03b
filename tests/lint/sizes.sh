#!/bin/sh
# Files under 800 lines, functions under 70, lines of C at most 100 columns (a tab is 8).
# A function's braces stand in the first column; a struct's opening brace does not.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

find proxy conf bridge bench tests -name node_modules -prune -o -type f \
	\( -name '*.[ch]' -o -name '*.mjs' -o -name '*.js' -o -name '*.sh' -o -name '*.py' \) -print \
	2>/dev/null | sort | xargs -r awk '
function complain(line, what)
{
	printf "%s:%d: %s\n", FILENAME, line, what
	bad = 1
}

function columns(text,    parts, n, i, width)
{
	n = split(text, parts, "\t")
	width = 0
	for (i = 1; i < n; i++)
		width += length(parts[i]) + 8 - (width + length(parts[i])) % 8
	return width + length(parts[n])
}

FNR == 1 { start = 0 }
FNR == 800 { complain(FNR, "800 lines or more: split the file") }

FILENAME ~ /\.[ch]$/ {
	if (columns($0) > 100)
		complain(FNR, "longer than 100 columns")
	if ($0 ~ /[ \t]$/)
		complain(FNR, "blank at the end of the line")
	if ($0 ~ /^typedef (struct|union|enum)/)
		complain(FNR, "no typedef of structs, unions and enums")
	if ($0 == "{")
		start = FNR
	if ($0 == "}" && start) {
		if (FNR - start >= 70)
			complain(start, "function of " (FNR - start) " lines: 70 or more")
		start = 0
	}
}

END { exit bad }'
