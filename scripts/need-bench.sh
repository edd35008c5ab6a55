#!/bin/sh
# What bench/peers runs beside weir.
exec sh "$(dirname "$0")/need.sh" nginx haproxy wrk
