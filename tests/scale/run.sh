#!/bin/sh
# run.sh SOURCE BUILD [FILE...]: what `make scale` runs, the tests of tests/scale in full size, one file after
# another. The short form: SCALE=short make scale.
set -u
source=$1 build=$2
shift 2
command -v node >/dev/null || { echo "make scale needs Node 18 or later" >&2; exit 1; }
[ -e "$source/tests/node_modules" ] || (cd "$source/tests" && npm ci --no-progress) || exit 1
SCALE=${SCALE:-full}
if [ $# = 0 ]; then
	set -- "$source"/tests/scale/*.test.mjs
	[ "$SCALE" = full ] && set -- "$@" "$source"/tests/scale/*.full.mjs
fi

status=0
for file; do
	SCALE=$SCALE POLLUX_BUILD=$build node --test --test-reporter=spec "$file" || status=1
done
exit $status
