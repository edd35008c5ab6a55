#!/bin/sh
# Prepares the data folder and becomes PHP-FPM.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin
for name in ${PHP_FPM:-} php-fpm php-fpm8.4 php-fpm8.3 php-fpm8.2 php-fpm8.1; do
	if command -v "$name" >/dev/null; then
		fpm=$name
		break
	fi
done
if [ -z "${fpm:-}" ]; then
	echo "start.sh: PHP-FPM is not installed: run scripts/need php-fpm" >&2
	exit 1
fi
mkdir -p "$SITE_DATA/sessions"
SITE_DATA=$(cd "$SITE_DATA" && pwd)
export SITE_DATA
# As root PHP-FPM wants to be told that it is meant. In production, write user: in weir.yaml instead.
root=
[ "$(id -u)" != 0 ] || root=-R
exec "$fpm" $root -F -y fpm.conf
