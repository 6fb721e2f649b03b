#!/bin/sh
# chroot.sh DIR: proves the two commands of README.md in a fresh Debian. Makes a chroot with nothing
# but Debian's minimal system in DIR (kept for the next run, which starts from a copy of it),
# clones the committed tree into it, and runs `bootstrap.sh test` and `bootstrap.sh run` there.
# Needs root and debootstrap.
#
#   -s SUITE    Debian release (bookworm)
#   -m URL      mirror (that of debootstrap)
#   -a DIR      take sources and settings of apt from DIR (for example /etc/apt), where the network
#               asks for others than debootstrap's
#   -e NAME     pass the environment variable NAME on; may be repeated
#   -n FILE     npm's settings: copied to the chroot's /etc/npmrc
#   -p PORT     first of three ports for run (21080): the chroot shares the network of the host
#   -o COMMAND  only one of the two, test or run
set -eu

suite=bookworm
mirror=
apt=
names=
npmrc=
port=21080
only=
while getopts s:m:a:e:n:p:o: option; do
	case $option in
	s) suite=$OPTARG ;;
	m) mirror=$OPTARG ;;
	a) apt=$OPTARG ;;
	e) names="$names $OPTARG" ;;
	n) npmrc=$OPTARG ;;
	p) port=$OPTARG ;;
	o) only=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
dir=$1
tree=$(cd "$(dirname "$0")/.." && pwd)

# The minimal system is made once; each run gets a fresh copy.
base=$dir/base
root=$dir/root
mkdir -p "$dir"
if [ ! -e "$base/.complete" ]; then
	rm -rf "$base"
	debootstrap --variant=minbase "$suite" "$base" ${mirror:+"$mirror"}
	touch "$base/.complete"
fi

is_mounted=
run_pid=
leave()
{
	status=$?
	trap - EXIT INT TERM
	[ -n "$run_pid" ] && kill -TERM "$run_pid" 2>/dev/null && wait "$run_pid" || true
	if [ -n "$is_mounted" ]; then
		umount "$root/dev/shm" "$root/dev/pts" "$root/dev" "$root/sys" "$root/proc"
	fi
	exit $status
}
trap leave EXIT
trap 'exit 1' INT TERM

if grep -q " $root/" /proc/mounts; then
	echo "chroot.sh: $root has mounts of another run" >&2
	exit 1
fi
rm -rf --one-file-system "$root"
cp -a "$base" "$root"
is_mounted=yes
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
if [ -n "$apt" ]; then
	# The packages' own settings and keys stay: only what says where and how to download is added.
	rm -f "$root/etc/apt/sources.list"
	for file in "$apt"/sources.list "$apt"/sources.list.d/debian*.sources "$apt"/apt.conf.d/99* \
		"$apt"/auth.conf "$apt"/auth.conf.d/*; do
		if [ -f "$file" ]; then
			mkdir -p "$root/etc/apt${file#"$apt"}"
			rmdir "$root/etc/apt${file#"$apt"}"
			cp -L "$file" "$root/etc/apt${file#"$apt"}"
		fi
	done
fi
# Authorities that the host trusts besides Debian's, for a network that inspects TLS. The package
# ca-certificates takes them in when bootstrap.sh installs it.
if [ -n "$(ls -A /usr/local/share/ca-certificates 2>/dev/null)" ]; then
	cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
fi
[ -z "$npmrc" ] || cp -L "$npmrc" "$root/etc/npmrc"

git clone -q "$tree" "$root/srv/pollux"

# inside COMMAND...: in the chroot, with a clean environment and no standard input.
inside()
{
	set -- HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
	[ -z "$npmrc" ] || set -- NPM_CONFIG_GLOBALCONFIG=/etc/npmrc "$@"
	for name in $names; do
		eval "value=\${$name-}"
		set -- "$name=$value" "$@"
	done
	exec chroot "$root" env -i "$@" </dev/null
}

if [ "$only" != run ]; then
	(inside sh -c 'cd /srv/pollux && ./bootstrap.sh test')
	echo "chroot.sh: test is good"
fi
if [ "$only" != test ]; then
	(inside POLLUX_PORT="$port" POLLUX_TLS_PORT=$((port + 1)) DEMO_PORT=$((port + 2)) \
		/srv/pollux/bootstrap.sh run) &
	run_pid=$!
	# Twenty minutes for the packages and the build, where test has not been before.
	tries=0
	until chroot "$root" sh -c "curl -fs http://127.0.0.1:$port/small"; do
		tries=$((tries + 1))
		kill -0 "$run_pid" && [ $tries -lt 1200 ] || exit 1
		sleep 1
	done
	chroot "$root" curl -fsk "https://127.0.0.1:$((port + 1))/small"
	kill -TERM "$run_pid"
	wait "$run_pid" && run_pid= || { echo "chroot.sh: run ended with $?" >&2; exit 1; }
	echo "chroot.sh: run is good"
fi
