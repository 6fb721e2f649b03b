#!/bin/sh
# run-bridge.sh SOURCE BUILD [OPTION...]: what `make bench-bridge` runs. BENCH_FLAGS has options as well, for example
# BENCH_FLAGS='--rounds 1 --only longpoll,sse'. For the options: bridge.mjs --help.
set -u
source=$1 build=$2
shift 2
command -v node >/dev/null || { echo "make bench-bridge needs Node 18 or later" >&2; exit 1; }
# shellcheck disable=SC2086 # the flags are words
exec node "$source/bench/bridge.mjs" --build "$build" ${BENCH_FLAGS:-} "$@"
