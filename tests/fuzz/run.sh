#!/bin/sh
# run.sh SRCDIR TARGET...: runs each fuzz target for FUZZ_SECONDS (default 60), starting from its seeds.
# What libFuzzer finds of new inputs is kept in the build tree, in tests/fuzz/corpus/NAME, and used
# again by the next run; an input that crashes is written to tests/fuzz/crashes.
set -u

srcdir=$1
shift
bad=0
mkdir -p tests/fuzz/crashes
for target in "$@"; do
	name=${target##*/fuzz_}
	mkdir -p "tests/fuzz/corpus/$name"
	echo "  FUZZ    $name, ${FUZZ_SECONDS:-60} s"
	if ! "./$target" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="tests/fuzz/crashes/$name-" \
		"tests/fuzz/corpus/$name" "$srcdir/tests/fuzz/seeds/$name" \
		>"tests/fuzz/$name.log" 2>&1; then
		bad=1
		tail -n 40 "tests/fuzz/$name.log"
		echo "  FAILED  $name: tests/fuzz/$name.log"
	else
		grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "tests/fuzz/$name.log"
	fi
done
exit $bad
