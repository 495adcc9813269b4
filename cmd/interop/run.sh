#!/bin/sh
# Builds the broker, starts it on a free loopback port and runs every third-party
# client of this folder against it. On Debian it installs the clients that are missing,
# for which it has to be root. The exit status is 0 only if every client was content.
#
#	run.sh          the clients against one broker that stays up, then secure/: TLS,
#	                certificates, passwords, proxies, WebSocket, beside Debian's mosquitto
#	run.sh loader   the table of loader/: gannet bench run beside an independent loader
#	run.sh crash    the clients against a broker that is killed and started again (crash/)
set -eu

suite=${1:-interop}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
log=$work/broker.log
broker=

finish() {
	status=$?
	trap - EXIT
	if [ -n "$broker" ] && kill -TERM "$broker" 2>/dev/null; then
		if ! wait "$broker"; then
			echo "interop: the broker did not end in an orderly way" >&2
			status=1
		fi
	fi
	if [ "$status" -ne 0 ] && [ -s "$log" ]; then
		echo "interop: last words of the broker:" >&2
		tail -n 20 "$log" >&2
	fi
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Packages are asked for by the command that they bring, so that a node or a mosquitto
# from elsewhere is left alone.
install_missing() {
	PATH=$PATH:/usr/sbin
	missing=
	command -v mosquitto >/dev/null || missing="$missing mosquitto"
	command -v mosquitto_pub >/dev/null || missing="$missing mosquitto-clients"
	if [ "$suite" = crash ]; then
		command -v strace >/dev/null || missing="$missing strace"
	elif [ "$suite" = interop ]; then
		command -v node >/dev/null || missing="$missing nodejs"
		command -v npm >/dev/null || missing="$missing npm"
		command -v openssl >/dev/null || missing="$missing openssl"
		command -v haproxy >/dev/null || missing="$missing haproxy"
		command -v chromium >/dev/null || missing="$missing chromium"
	fi
	[ -n "$missing" ] || return 0
	echo "interop: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # the list is meant to be split
	apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && return 0
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

install_modules() {
	cd "$here"
	# npm writes this file last, so it is older than a lock file that has changed since.
	if [ node_modules/.package-lock.json -nt package-lock.json ]; then
		return
	fi
	npm ci --no-audit --no-fund --loglevel=error
}

# The broker chooses its port and names it in its log.
start_broker() {
	"$INTEROP_BIN" serve --in-memory --listen mqtt://127.0.0.1:0 2>"$log" &
	broker=$!
	tries=200
	until INTEROP_ADDR=$(sed -n 's/.* address=\([^ ]*\).*/\1/p' "$log") && [ -n "$INTEROP_ADDR" ]; do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ] || ! kill -0 "$broker" 2>/dev/null; then
			echo "interop: the broker did not start" >&2
			exit 1
		fi
		sleep 0.05
	done
	export INTEROP_ADDR
}

install_missing

INTEROP_BIN=$root/bin/gannet
export INTEROP_BIN
cd "$root"
go build -o "$INTEROP_BIN" ./cmd/gannet
cd "$here"
if [ "$suite" = crash ]; then
	go test -count=1 -timeout 60m -v ./crash
	exit
elif [ "$suite" = loader ]; then
	go test -count=1 -timeout 10m -v ./loader -rounds 3 -place apart
	exit
fi
install_modules
start_broker
echo "interop: broker on $INTEROP_ADDR, $(mosquitto_pub --help | sed -n 's/.*\(mosquitto_pub version [0-9.]*\).*/\1/p'), node $(node --version)"

failed=0
go test -count=1 -timeout 5m . || failed=1
node --test --test-reporter=spec test.mjs || failed=1
INTEROP_CHROMIUM=$(command -v chromium) node --test --test-reporter=spec report.mjs || failed=1
# Brokers of its own, on configurations of its own. Its table of attacks needs -v.
go test -count=1 -timeout 10m -v ./secure || failed=1
# Brokers of its own, too.
go test -count=1 -timeout 5m ./loader || failed=1
exit "$failed"
