#!/bin/sh
# Every C file of the tree is named in Makefile.am, so that none is forgotten by the build, the tests
# or the tarball; every fuzz target has seeds.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

bad=0
for file in $(find proxy conf bridge bench tests -name node_modules -prune -o -name '*.[ch]' -print 2>/dev/null | sort)
do
	# A test or fuzz program is named without its suffix.
	if ! grep -qE "(^|[[:space:]])(${file}|${file%.c})([[:space:]]|\$)" Makefile.am; then
		echo "Makefile.am: $file is missing"
		bad=1
	fi
	case $file in
	tests/fuzz/fuzz_*.c)
		seeds=tests/fuzz/seeds/$(basename "$file" .c | sed 's/^fuzz_//')
		if [ -z "$(ls -A "$seeds" 2>/dev/null)" ]; then
			echo "$file: no seeds in $seeds"
			bad=1
		fi ;;
	esac
done
exit $bad
