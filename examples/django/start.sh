#!/bin/sh
# Prepares the data folder and becomes gunicorn: start.sh GUNICORN-OPTION …
# Several workers may start at once: the first prepares, the others wait for it.
set -eu
cd "$(dirname "$0")"

# Debian's Django is for Debian's Python, whatever other python3 is first in PATH.
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import django, gunicorn' 2>/dev/null; then
	echo "start.sh: Django or gunicorn is not installed for $python: run scripts/need python3-django gunicorn" >&2
	exit 1
fi

data=${GUESTBOOK_DATA:-data}
mkdir -p "$data/uploads"
(
	flock 9
	if [ ! -s "$data/secret_key" ]; then
		umask 077
		"$python" -c 'import secrets; print(secrets.token_urlsafe(48))' >"$data/secret_key"
	fi
	"$python" manage.py migrate --verbosity 0
) 9>"$data/lock"

exec "$python" -m gunicorn --log-level warning "$@" guestbook.wsgi
