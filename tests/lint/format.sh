#!/bin/sh
# The C files are as .clang-format says. Releases of clang-format differ in details, so the check is
# made with release 14 only and is left out (77) elsewhere.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

FORMAT=
for name in clang-format-14 clang-format; do
	if command -v "$name" >/dev/null 2>&1 && "$name" --version | grep -q 'version 14\.'; then
		FORMAT=$name
		break
	fi
done
[ -n "$FORMAT" ] || { echo 'clang-format 14 is not installed'; exit 77; }

find proxy conf bridge bench tests -name node_modules -prune -o -name '*.[ch]' -print 2>/dev/null |
	sort | xargs -r "$FORMAT" --dry-run --Werror
