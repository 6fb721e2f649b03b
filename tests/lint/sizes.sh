#!/bin/sh
# Files under 800 lines, functions under 70. (How wide a line may be is clang-format's business.)
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

FNR == 1 { start = 0 }
FNR == 800 { complain(FNR, "800 lines or more: split the file") }

FILENAME ~ /\.[ch]$/ {
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
