#!/bin/bash
# bootstrap.sh run    installs what is missing, builds, and starts Pollux in front of the demo app
# bootstrap.sh test   installs what is missing, builds, and runs every test
#
# For Debian 12 or later, as root or through sudo. Either may be run again at no cost: what is
# installed, configured and built already is left alone.
#
# run takes POLLUX_PORT (8080), POLLUX_TLS_PORT (8443) and DEMO_PORT (3000) from the environment.
# test takes SKIP: words of "asan e2e scale", the parts to leave out.
set -u
cd "$(dirname "$0")" || exit 1

RUN_PACKAGES="
	autoconf automake gcc libc6-dev make pkgconf
	libevent-dev libssl-dev libnghttp2-dev libconfuse-dev libjansson-dev libc-ares-dev uthash-dev
	openssl curl ca-certificates"
TEST_PACKAGES="
	libcmocka-dev chromium valgrind nghttp2-client"
# Only where there is no Node of release 18 or later with npm already.
NODE_PACKAGES="
	nodejs npm"

# What is of sessions runs with several workers too.
BRIDGE_TESTS='/(binding|bridge|drain|engineio|h2_bridge|h2_sockjs|poll_feed|pollux_js|socketio|sockjs)'

JOBS=$(nproc)

say()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf 'bootstrap.sh: %s\n' "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "run this as root or install sudo: $*"
	fi
}

install_missing()
{
	local installed missing=() package

	command -v dpkg-query >/dev/null || die "this script installs Debian packages; elsewhere see README.md"
	installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null)
	for package; do
		grep -qx "$package installed" <<<"$installed" || missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] && return
	say "installing ${missing[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
		die "apt-get update failed"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null || die "apt-get install failed"
}

has_node()
{
	local version

	command -v npm >/dev/null && version=$(node --version 2>/dev/null) || return 1
	version=${version#v}
	[ "${version%%.*}" -ge 18 ]
}

# build DIR FLAG...: configures DIR when it has no makefile or was configured without one of the flags,
# then builds.
build()
{
	local dir=$1 flag is_configured=yes
	shift

	if [ ! -e configure ] || [ configure.ac -nt configure ] || [ ! -e Makefile.in ]; then
		say "autoreconf"
		autoreconf -fi || die "autoreconf failed"
	fi
	[ -e "$dir/Makefile" ] || is_configured=no
	for flag; do
		grep -qs -- "$flag" "$dir/config.status" || is_configured=no
	done
	if [ $is_configured = no ]; then
		say "configure in $dir"
		mkdir -p "$dir"
		(cd "$dir" && ../configure -q "$@") || die "configure failed"
	fi
	say "make in $dir"
	make -s -C "$dir" -j"$JOBS" || die "the build failed"
}

# run

demo_pid=
pollux_pid=

stop()
{
	trap '' INT TERM
	[ -n "$pollux_pid" ] && kill -INT "$pollux_pid" 2>/dev/null && wait "$pollux_pid"
	[ -n "$demo_pid" ] && kill -TERM "$demo_pid" 2>/dev/null && wait "$demo_pid"
	trap - EXIT
	exit "$1"
}

# answers PID URL: asks until there is an answer, for ten seconds at most and while PID lives.
answers()
{
	local try

	for ((try = 0; try < 100; try++)); do
		curl -s -k -o /dev/null --max-time 2 "$2" && return
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	return 1
}

# is_free NAME PORT: dies, naming the variable that chooses another, where somebody listens already.
is_free()
{
	if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
		die "port $2 is in use; choose another: $1=... ./bootstrap.sh run"
	fi
}

run()
{
	local port=${POLLUX_PORT:-8080} tls_port=${POLLUX_TLS_PORT:-8443} demo_port=${DEMO_PORT:-3000}

	is_free POLLUX_PORT "$port"
	is_free POLLUX_TLS_PORT "$tls_port"
	is_free DEMO_PORT "$demo_port"
	install_missing $RUN_PACKAGES
	build build

	if [ ! -e build/demo.pem ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
			-subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
			-keyout build/demo.key -out build/demo.crt 2>build/demo-openssl.log ||
			die "no certificate: see build/demo-openssl.log"
		(umask 077 && cat build/demo.crt build/demo.key >build/demo.pem)
		rm -f build/demo.crt build/demo.key
	fi
	sed -e "s|127.0.0.1:8080|127.0.0.1:$port|; s|127.0.0.1:8443|127.0.0.1:$tls_port|" \
		-e "s|127.0.0.1:3000|127.0.0.1:$demo_port|; s|build/demo.pem|$PWD/build/demo.pem|" \
		conf/demo.conf >build/demo.conf

	# In sessions of their own: Ctrl-C reaches this script alone, which ends both with one signal each.
	trap 'stop 1' EXIT
	trap 'stop 0' INT TERM
	setsid build/bench/origin --listen "127.0.0.1:$demo_port" </dev/null &
	demo_pid=$!
	answers $demo_pid "http://127.0.0.1:$demo_port/" ||
		die "the demo app does not answer on port $demo_port"
	setsid build/pollux -c build/demo.conf </dev/null &
	pollux_pid=$!
	answers $pollux_pid "http://127.0.0.1:$port/" ||
		die "Pollux does not answer on port $port"
	answers $pollux_pid "https://127.0.0.1:$tls_port/" ||
		die "Pollux does not answer on port $tls_port"

	cat <<END

Pollux runs in front of the demo app (127.0.0.1:$demo_port):

    http://127.0.0.1:$port/          the chat page: WebSocket, SSE and long-poll side by side
    https://127.0.0.1:$tls_port/         the same over TLS, with a certificate of its own

Try, in another terminal:

    curl http://127.0.0.1:$port/small
    curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:$port/chat?name=Ann'
    curl -d 'hello from curl' 'http://127.0.0.1:$port/chat?name=Bob'

The second enters the chat room, which is a WebSocket at the demo app; the third, in one more
terminal, enters it as Bob and says a word, which the second prints. Ctrl-C ends both programs.

END
	wait -n $demo_pid $pollux_pid
	die "one of the two has ended by itself"
}

# test

n_passed=0
n_failed=0
n_skipped=0

add()
{
	printf -- '-- %s: %d passed, %d failed, %d skipped\n' "$1" "$2" "$3" "$4"
	n_passed=$((n_passed + $2))
	n_failed=$((n_failed + $3))
	n_skipped=$((n_skipped + $4))
}

# check DIR: make check there, and its tests one by one. Results of tests that are no more are removed.
check()
{
	local is_good=yes counts

	say "make check in $1"
	find "$1" -name '*.trs' -delete
	make -s -C "$1" -j"$JOBS" check VERBOSE=1 </dev/null || is_good=no
	counts=$(sh tests/count.sh "$1")
	read -r passed failed skipped <<<"$counts"
	[ $is_good = no ] && [ "$failed" = 0 ] && failed=1
	add "$1" "$passed" "$failed" "$skipped"
}

# node_tests FOLDER DIR [WORKERS PATTERN]: the tests of tests/FOLDER, with the programs built in DIR; with so many
# workers, those whose names match. They wait more than they work, so that two files for each core run at once,
# where Node can do that; one with sanitizers, which work more.
node_tests()
{
	local workers=${3:-1} n_files=$((2 * JOBS)) at_once
	local log=$2/$1-$workers.tap name="tests/$1 with $2"

	[ "$2" = build-asan ] && n_files=$JOBS
	at_once=--test-concurrency=$n_files
	node "$at_once" -e 0 2>/dev/null || at_once=

	[ "$workers" = 1 ] || name="$name, $workers workers"
	say "$name"
	if [ ! tests/node_modules/.package-lock.json -nt tests/package-lock.json ]; then
		(cd tests && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-progress </dev/null) ||
			die "npm ci failed"
	fi
	rm -f "$log"
	(cd tests && POLLUX_WORKERS=$workers POLLUX_BUILD="../$2" exec timeout -k 30 1800 node --test $at_once \
		--test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=tap --test-reporter-destination="../$log" \
		$(find "$1" -name '*.test.mjs' | grep -E "${4:-.}" | sort) </dev/null)
	add "$name" $(awk '
		/^# (pass|fail|cancelled|skipped|todo) [0-9]+$/ { n[$2] += $3; is_whole = 1 }
		END { print n["pass"] + 0, n["fail"] + n["cancelled"] + !is_whole, n["skipped"] + n["todo"] }' "$log")
}

test_all()
{
	local skip=" ${SKIP:-} "

	has_node && NODE_PACKAGES=
	install_missing $RUN_PACKAGES $TEST_PACKAGES $NODE_PACKAGES

	build build --enable-werror
	check build
	[[ $skip != *" e2e "* ]] && node_tests e2e build
	[[ $skip != *" e2e "* ]] && node_tests e2e build 4 "$BRIDGE_TESTS"
	[[ $skip != *" scale "* ]] && node_tests scale build
	if [[ $skip != *" asan "* ]]; then
		build build-asan --enable-werror --enable-sanitizers
		check build-asan
		[[ $skip != *" e2e "* ]] && node_tests e2e build-asan
	fi

	say "done"
	printf '%d passed, %d failed, %d skipped\n' "$n_passed" "$n_failed" "$n_skipped"
	[ "$n_failed" = 0 ]
}

case ${1:-} in
run) run ;;
test) test_all ;;
*)
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
	exit 2 ;;
esac
