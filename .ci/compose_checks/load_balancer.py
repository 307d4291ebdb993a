"""Checks when the load balancer sends a request to a second gateway, with two servers that answer as they are asked."""

import http.client
import subprocess
import uuid

from .clients import until
from .images import ROOT, Failure

# A gateway that answers /N with the status N.
GATEWAY = """
pid /tmp/pid; error_log /dev/stderr; events {}
http {
  access_log off; client_max_body_size 0;
  server { listen 8080; location = /200 { return 200; } location = /502 { return 502; } location = /503 { return 503; } }
}
"""
BODY_BYTES_MAX = 4096
# The method, the path, whether there is an Idempotency-Key, the expected status, and the expected number of gateways.
CASES = (
    ("POST", "/200", False, 200, 1),
    ("POST", "/502", False, 502, 1),
    ("POST", "/502", True, 502, 2),
    ("GET", "/502", False, 502, 2),
    ("GET", "/503", False, 503, 1),
    ("POST", "/503", True, 503, 1),
)


def docker(*arguments):
    """The standard output of a command of Docker."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f"docker {' '.join(arguments[:2])}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def check():
    """Starts two servers and the load balancer in a network of their own, and runs all cases."""
    name = f"forebay-check-{uuid.uuid4().hex[:8]}"
    containers = []
    docker("network", "create", name)
    try:
        for _ in range(2):
            script = f"printf '%s' '{GATEWAY}' > /tmp/conf && exec nginx -c /tmp/conf -g 'daemon off;'"
            containers.append(
                docker("run", "-d", "--network", name, "--network-alias", "gateway", "--entrypoint", "/bin/sh",
                       "nginx:1", "-c", script)
            )
        balancer = docker(
            "run", "-d", "--network", name, "-p", "127.0.0.1::8080", "--read-only", "--user", "101:101",
            "--tmpfs", "/tmp:mode=1777", "-e", f"FOREBAY_BODY_BYTES_MAX={BODY_BYTES_MAX}",
            "-v", f"{ROOT}/deploy/nginx:/etc/forebay:ro", "--entrypoint", "/bin/sh", "nginx:1", "/etc/forebay/start.sh",
        )
        containers.append(balancer)
        run_cases(balancer, int(docker("port", balancer, "8080").rsplit(":", 1)[1]))
    finally:
        for container in containers:
            subprocess.run(["docker", "rm", "-f", container], capture_output=True, timeout=60)
        subprocess.run(["docker", "network", "rm", name], capture_output=True, timeout=60)


def run_cases(balancer, port):
    """Runs all cases, and a request whose body is too large."""

    def request(method, path, key, length=0):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Idempotency-Key": "key"} if key else {}
        try:
            connection.request(method, path, b"x" * length, headers)
            response = connection.getresponse()
            return response.status, response.getheader("Content-Type"), response.read()
        except (OSError, http.client.HTTPException):
            # It has not started yet.
            return None, None, b""
        finally:
            connection.close()

    until("the load balancer answers", 20, lambda: request("GET", "/200", False)[0] == 200)
    for number, (method, path, key, status, gateways) in enumerate(CASES):

        def outcome():
            # The query finds the request in the log.
            query = f"{path}?case={number}-{uuid.uuid4().hex}"
            found = request(method, query, key)[0]
            lines = subprocess.run(["docker", "logs", balancer], capture_output=True, text=True, timeout=60).stdout
            line = next((line for line in lines.splitlines() if f"{query} HTTP" in line and "gateway=" in line), None)
            if line is None or "gateway=gateways" in line:
                # After the failures of the earlier case, nginx uses no gateway for some seconds.
                return None
            return found, line.split("gateway=")[1].split(" gateway_status=")[0].count(":8080")

        found = until(f"a gateway is used for case {number}", 20, outcome)
        if found != (status, gateways):
            raise Failure(
                f"{method} {path}, Idempotency-Key: {key}: status {found[0]} from {found[1]} gateway(s), "
                f"not {status} from {gateways}"
            )
    status, content_type, body = request("POST", "/200", False, BODY_BYTES_MAX + 1)
    if (status, content_type) != (413, "application/problem+json") or b'"code":"body_too_large"' not in body:
        raise Failure(f"a body that is too large got {status} {content_type} {body}")
    print(f"  {len(CASES)} cases: a second gateway is used after 502 only, and for a POST only with an Idempotency-Key")
