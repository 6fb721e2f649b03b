#!/bin/sh
# Words with two meanings, unfinished work, and paths of somebody's machine stay out of the tree.
# "upstream" is allowed where it is nginx's own directive and where the rule itself is explained.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

find . \( -name .git -o -name node_modules -o -path './build*' -o -name autom4te.cache \
	-o -path ./tests/lint -o -path ./tests/fuzz/seeds -o -path './pollux-[0-9]*' \) -prune \
	-o -type f \( -name '*.[ch15]' -o -name '*.md' -o -name '*.sh' -o -name '*.js' -o -name '*.mjs' \
	-o -name '*.html' -o -name '*.css' -o -name '*.conf' -o -name '*.py' -o -name '*.am' \
	-o -name 'configure.ac' -o -name 'package.json' -o -path './.ci/*' \) -print |
	sort | xargs -r awk '
function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
	bad = 1
}

{
	line = tolower($0)
	gsub(/\*(up|down)stream\*/, "", line)
	sub(/upstream [a-z_0-9]+ [{]/, "", line)
	if (line ~ /(^|[^a-z])(up|down)streams?([^a-z]|$)/)
		complain("say client or backend")
}
/(^|[^A-Za-z])(TODO|FIXME)([^A-Za-z]|$)/ { complain("finish it or leave it out") }
/(^|[^A-Za-z0-9_.$}*-])\/(work|root)\// { complain("a path of one machine") }
/^(<<<<<<<|>>>>>>>) / { complain("a merge marker") }

END { exit bad }'
