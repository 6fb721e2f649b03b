#!/bin/sh
# run-bench.sh SOURCE BUILD [OPTION...]: what `make bench` runs. BENCH_FLAGS has options as well, for example
# BENCH_FLAGS='--rounds 3 --only get,echo'. For the options: bench.mjs --help.
set -u
source=$1 build=$2
shift 2
command -v node >/dev/null || { echo "make bench needs Node 18 or later" >&2; exit 1; }
# shellcheck disable=SC2086 # the flags are words
exec node "$source/bench/bench.mjs" --build "$build" ${BENCH_FLAGS:-} "$@"
