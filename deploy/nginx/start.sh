#!/bin/sh
# Starts nginx as the load balancer of docker-compose.yml, for all gateways that DNS lists under the name `gateway`.
#
# Since 1.27.3, nginx itself looks a name up again while it runs. For an older nginx, this script does it every second. If a
# gateway has got an address that nginx does not know, nginx reads its configuration again. This closes idle connections of
# clients, so it is not done for a gateway that is gone: nginx notices that on its own.
set -eu

folder=/tmp/nginx
mkdir -p "$folder"

# The addresses of all running gateways, one a line.
gateways() { getent ahostsv4 gateway | awk '{ print $1 }' | sort -u; }

# Whether all lines of the first argument are lines of the second.
are_in() { ! echo "$1" | grep -vxFq "$2"; }

# Prints the servers of the load balancer, from the lines of the argument. After two failed connections within 3 s, a gateway
# gets no requests for 3 s.
servers() { for server in $1; do echo "  server $server:8080 $2 max_fails=2 fail_timeout=3s;"; done; }

# Writes the file that nginx.conf includes. The argument is the list of servers.
write() {
  {
    echo "client_max_body_size ${FOREBAY_BODY_BYTES_MAX:-10485760};"
    # Docker's own DNS server.
    echo 'resolver 127.0.0.11 valid=1s ipv6=off;'
    echo 'upstream gateways {'
    echo '  zone gateways 256k;'
    echo "$1"
    # A gateway closes a connection that is idle for 75 s. nginx closes it first, so no request is lost.
    echo '  keepalive 256;'
    echo '  keepalive_timeout 60s;'
    echo '}'
  } > "$folder/new"
  mv "$folder/new" "$folder/gateways.conf"
}

version=$(nginx -v 2>&1 | grep -oE '[0-9]+\.[0-9]+\.[0-9]+')
oldest=$(printf '%s\n' 1.27.3 "$version" | sort -V | head -n 1)

if [ "$oldest" = 1.27.3 ]; then
  write "$(servers gateway resolve)"
else
  known=$(gateways)
  until [ -n "$known" ]; do
    echo 'no gateway runs yet' >&2
    sleep 1
    known=$(gateways)
  done
  write "$(servers "$known" '')"
  (
    while sleep 1; do
      found=$(gateways) || continue
      if [ -n "$found" ] && ! are_in "$found" "$known"; then
        known=$found
        write "$(servers "$known" '')"
        echo 'a gateway has a new address: nginx reads its configuration again' >&2
        kill -HUP 1
      fi
    done
  ) &
fi

exec nginx -c /etc/forebay/nginx.conf -g 'daemon off;'
