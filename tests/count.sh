#!/bin/sh
# count.sh DIR: prints how many tests of `make check` in the build tree DIR passed, failed and were
# skipped: each case of a cmocka program, each seed of a replay, each other program as one.
set -u

find "$1" -name '*.trs' | sort | while read -r trs; do
	awk '
	FILENAME ~ /\.trs$/ {
		if ($1 == ":test-result:")
			result = $2
		next
	}
	/^\[ +OK +\]/ { n_ok++ }
	/^\[ +PASSED +\] [0-9]+ test/ { is_counted = 1; passed += $4 }
	/^\[ +FAILED +\] [0-9]+ test/ { failed += $4 }
	/^\[ +SKIPPED +\] [0-9]+ test/ { skipped += $4 }
	/^[0-9]+ seeds replayed$/ { is_counted = 1; passed += $1 }
	END {
		if (result == "SKIP")
			skipped++
		else if (result != "PASS" && failed == 0)
			failed = 1 # a crash: what had passed before it still counts
		if (!is_counted)
			passed = result == "PASS" ? 1 : n_ok
		print passed + 0, failed + 0, skipped + 0
	}' "$trs" "${trs%.trs}.log"
done | awk '{ passed += $1; failed += $2; skipped += $3 }
	END { print passed + 0, failed + 0, skipped + 0 }'
