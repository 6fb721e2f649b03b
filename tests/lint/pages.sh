#!/bin/sh
# The architecture page names every module of the program, and only modules that exist.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

page=proxy/README.md
bad=0
for file in $(find proxy conf bridge -name '*.[ch]' | sort); do
	dir=$(dirname "$file")
	module=$(basename "$file" | sed 's/\.[ch]$//')
	# The table of a folder stands under its name.
	if ! awk -v dir="\`$dir\`" -v row="| \`$module\` |" '
		/^`/ { here = $0 == dir }
		here && index($0, row) == 1 { found = 1 }
		END { exit !found }' "$page"; then
		echo "$page: $dir/$module is missing"
		bad=1
	fi
done
awk '/^`/ { gsub("`", ""); dir = $0 } /^\| `/ && dir != "" { gsub("`", "", $2); print dir "/" $2 }' "$page" |
	while read -r module; do
		[ -e "$module.c" ] || [ -e "$module.h" ] || echo "$page: $module does not exist"
	done | grep . && bad=1
exit $bad
