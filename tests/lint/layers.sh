#!/bin/sh
# A file includes its own layer or a lower one; includes of our own files are rooted; a .c includes
# its own header first; libevent's buffers stay behind proxy/base.
set -u
cd "${TOP_SRCDIR:-$(dirname "$0")/../..}" || exit 1

find proxy conf bridge tests/unit tests/fuzz bench -name '*.[ch]' 2>/dev/null | sort | xargs -r awk '
BEGIN {
	n = split("proxy/base conf proxy/net proxy/http proxy/route bridge proxy/run", names)
	for (i = 1; i <= n; i++)
		rank[names[i]] = i
	for (i = 1; i < ARGC; i++)
		exists[ARGV[i]] = 1
}

# A unit test belongs to the layer that it tests; 0 is no layer.
function layer(path,    name)
{
	sub(/^tests\/unit\//, "", path)
	for (name in rank)
		if (index(path, name "/") == 1)
			return rank[name]
	return 0
}

function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
	bad = 1
}

FNR == 1 {
	mine = layer(FILENAME)
	own = FILENAME
	sub(/\.c$/, ".h", own)
	if (FILENAME !~ /\.c$/ || !(own in exists))
		own = ""
	n_includes = 0
}

/^[ \t]*#[ \t]*include/ {
	n_includes++
	path = ""
	if (match($0, /"[^"]*"/)) {
		path = substr($0, RSTART + 1, RLENGTH - 2)
		theirs = layer(path)
		if (path !~ /\// || path ~ /\.\./)
			complain("include \"" path "\" is not rooted")
		else if (mine && theirs > mine)
			complain("includes the higher layer " names[theirs])
	}
	if (n_includes == 1 && own != "" && path != own)
		complain("its own header comes first")
	if ($0 ~ /event2\/buffer/ && FILENAME !~ /^proxy\/base\//)
		complain("libevent buffers are used in proxy/base only")
}

END { exit bad }'
