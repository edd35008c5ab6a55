#!/bin/sh
# What examples/django runs on.
exec sh "$(dirname "$0")/need.sh" package:python3-django package:gunicorn
