#!/bin/sh
# Makes sure that packages of the distribution are there: need.sh COMMAND[=PACKAGE] … [package:PACKAGE …]
# A command that is found needs no package. Root gets what lacks installed (Debian and its kin, by apt-get); anyone else is
# told what to install, and the exit is 1. A service that a package brings is not started.
set -eu

lacking=
for want in "$@"; do
	case $want in
	package:*)
		package=${want#package:}
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' && continue
		;;
	*)
		package=${want#*=}
		PATH=$PATH:/usr/sbin:/sbin command -v "${want%%=*}" >/dev/null 2>&1 && continue
		;;
	esac
	lacking="$lacking $package"
done
[ -n "$lacking" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "Please install, by this system's own means:$lacking" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are lacking:$lacking" >&2
	echo "Install them with: sudo apt-get install$lacking" >&2
	exit 1
fi

# Debian starts what it installs. What is needed here is the program, not a server on port 80.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "Installing:$lacking" >&2
log=$(mktemp)
# The unquoted list is meant to be split.
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $lacking; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "apt-get failed; its whole output is in $log" >&2
	exit 1
fi
rm -f "$log"
