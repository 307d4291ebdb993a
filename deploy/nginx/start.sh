#!/bin/sh
# Starts nginx as the load balancer of docker-compose.yml, for all gateways that DNS lists under the name `gateway`.
#
# This script looks the name up every second. If a gateway has got an address that nginx does not know, nginx reads its
# configuration again. This closes idle connections of clients, so nginx does not do it for a gateway that is gone: after
# failed connections, it sends no requests there.
#
# nginx itself can look the name up again (`server ... resolve`, since 1.27.3), but it answers 502 instead of a retry if the
# list of gateways changes during a request. That happens whenever a gateway goes away.
set -eu

case "${API_ADDRESS:-127.0.0.1}" in
  127.* | ::1 | '[::1]' | localhost) ;;
  *)
    if [ "${HAS_API_KEYS:-}" != true ]; then
      echo "API_ADDRESS=$API_ADDRESS opens the API to other machines, and there are no API keys: run deploy/init-env" >&2
      exit 1
    fi
    ;;
esac

folder=/tmp/nginx
mkdir -p "$folder"

# The addresses of all running gateways, one per line.
gateways() { getent ahostsv4 gateway | awk '{ print $1 }' | sort -u; }

# Whether all lines of the first argument are lines of the second.
are_in() { ! echo "$1" | grep -vxFq "$2"; }

# Prints the servers of the load balancer, from the lines of the argument. After two failed connections within 3 s, a gateway
# gets no requests for 3 s.
servers() { for server in $1; do echo "  server $server:8080 max_fails=2 fail_timeout=3s;"; done; }

# Writes the file that nginx.conf includes. The argument is the addresses of the gateways.
write() {
  {
    echo "client_max_body_size ${FOREBAY_BODY_BYTES_MAX:-10485760};"
    echo 'upstream gateways {'
    echo '  zone gateways 256k;'
    servers "$1"
    # A gateway closes a connection that is idle for 75 s. nginx closes it first, so no request is lost.
    echo '  keepalive 256;'
    echo '  keepalive_timeout 60s;'
    echo '}'
  } > "$folder/new"
  mv "$folder/new" "$folder/gateways.conf"
}

known=$(gateways)
until [ -n "$known" ]; do
  echo 'no gateway runs yet' >&2
  sleep 1
  known=$(gateways)
done
write "$known"
(
  while sleep 1; do
    found=$(gateways) || continue
    if [ -n "$found" ] && ! are_in "$found" "$known"; then
      known=$found
      write "$known"
      echo 'a gateway has a new address: nginx reads its configuration again' >&2
      kill -HUP 1
    fi
  done
) &

exec nginx -c /etc/forebay/nginx.conf -g 'daemon off;'
