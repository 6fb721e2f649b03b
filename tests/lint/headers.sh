#!/bin/sh
# Each header compiles alone. LINT_CC is the compiler with its flags.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

LINT_CC=${LINT_CC:-"cc -std=c11 -D_GNU_SOURCE -Wall -Wextra"}

bad=0
for file in $(find proxy conf bridge bench tests -name node_modules -prune -o -name '*.h' -print 2>/dev/null | sort)
do
	# Compiled as an included file: a header given directly is warned about ("pragma once in main
	# file") and its unused static functions are not.
	printf '#include "%s"\n' "$file" | $LINT_CC -I. -Werror -fsyntax-only -x c - || {
		echo "$file: does not compile alone"
		bad=1
	}
done
exit $bad
