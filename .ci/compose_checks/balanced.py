"""The load balancer in front of two scripted gateways, in a network of their own."""

import http.client
import subprocess
import uuid

from .clients import until
from .images import ROOT, Failure

# The image of docker-compose.yml.
NGINX = "nginx:1"
# The default of FOREBAY_BODY_BYTES_MAX.
BODY_BYTES_MAX = 10_485_760
# A gateway: an nginx that answers /N with the status N. Both /read and /lost read the whole request; /lost then closes the
# connection without an answer. Both /slow and /stream send a body at 1,000 bytes a second. The gateway's log shows its requests.
GATEWAY = """
pid /tmp/pid; error_log /dev/stderr; worker_rlimit_nofile 4096; events {}
http {
  log_format got "got=$request_method $request_uri id=$http_x_request_id host=$http_host";
  access_log /dev/stdout got; client_max_body_size 0; large_client_header_buffers 8 64k;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
  server { listen 127.0.0.1:8081; access_log off; return 200; }
  server {
    listen 8080;
    location / { return 200; }
    location = /500 { return 500; } location = /502 { return 502; } location = /503 { return 503; }
    location = /slow { limit_rate 1000; return 200 "SLOW_BODY"; }
    location = /stream { limit_rate 1000; add_header X-Accel-Buffering no; return 200 "SLOW_BODY"; }
    location = /read { proxy_pass http://127.0.0.1:8081/; }
    location = /lost { proxy_pass http://127.0.0.1:1; error_page 502 = @lost; }
    location @lost { return 444; }
  }
}
""".replace("SLOW_BODY", "x" * 3000)


def docker(*arguments):
    """The standard output of a command of Docker."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f"docker {' '.join(arguments[:2])}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


class Balanced:
    """The containers, and requests to them. Use it in a `with` statement, which deletes them at its end."""

    def __enter__(self):
        self.network = f"forebay-check-{uuid.uuid4().hex[:8]}"
        self.gateways, self.containers, self.port = [], [], None
        docker("network", "create", self.network)
        try:
            self.add_gateway()
            self.add_gateway()
            self.balancer = docker(
                "run", "-d", "--network", self.network, "-p", "127.0.0.1::8080", "--read-only", "--user", "101:101",
                "--tmpfs", "/tmp:mode=1777,size=16m", "--mount", "type=volume,dst=/var/tmp",
                "--ulimit", "nofile=20000:20000", "-e", f"FOREBAY_BODY_BYTES_MAX={BODY_BYTES_MAX}",
                "-v", f"{ROOT}/deploy/nginx:/etc/forebay:ro", "--entrypoint", "/bin/sh", NGINX, "/etc/forebay/start.sh",
            )
            self.containers.append(self.balancer)
            self.port = int(docker("port", self.balancer, "8080").rsplit(":", 1)[1])
            until("the load balancer answers", lambda: self.status("GET", "/200") == 200, 20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for container in self.containers:
            subprocess.run(["docker", "rm", "-f", "-v", container], capture_output=True, timeout=60)
        subprocess.run(["docker", "network", "rm", self.network], capture_output=True, timeout=60)

    def add_gateway(self):
        """Starts one more gateway."""
        script = f"printf '%s' '{GATEWAY}' > /tmp/conf && exec nginx -c /tmp/conf -g 'daemon off;'"
        container = docker(
            "run", "-d", "--network", self.network, "--network-alias", "gateway", "--entrypoint", "/bin/sh",
            NGINX, "-c", script,
        )
        self.containers.append(container)
        self.gateways.append(container)

    def remove_gateway(self):
        """Kills a gateway. Its address and its name are gone at once."""
        docker("rm", "-f", "-v", self.gateways.pop())

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method, path, headers=None, body=b"x"):
        """The status, the headers and the body of an answer."""
        connection = self.connection()
        try:
            connection.request(method, path, body if method == "POST" else None, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def status(self, method, path):
        """The status of an answer, or None if there is no answer."""
        try:
            return self.request(method, path)[0]
        except (OSError, http.client.HTTPException):
            return None

    def wait_until_all_gateways_are_used(self):
        """Sends requests until each gateway has got one of them."""
        query = f"/200?all={uuid.uuid4().hex}"

        def is_used():
            self.status("GET", query)
            return all(query in self.log(gateway) for gateway in self.gateways)

        until("all gateways are used", is_used, 20)

    def log(self, gateway):
        """The requests that a gateway got, one per line."""
        return "\n".join(line[4:] for line in docker("logs", gateway).splitlines() if line.startswith("got="))

    def got(self, text):
        """The logged requests of all gateways whose line contains the text. A request that was tried twice has two lines."""
        return [line for gateway in self.gateways for line in self.log(gateway).splitlines() if text in line]
