#!/bin/sh
# run-compare.sh SOURCE BUILD [OPTION...]: what `make compare` runs. COMPARE_FLAGS has options as well, for example
# COMPARE_FLAGS='--interval 100 --poll 500,100'. For the options: compare.mjs --help.
set -u
source=$1 build=$2
shift 2
command -v node >/dev/null || { echo "make compare needs Node 18 or later" >&2; exit 1; }
# shellcheck disable=SC2086 # the flags are words
exec node "$source/bench/compare.mjs" --build "$build" ${COMPARE_FLAGS:-} "$@"
