"""One stack of docker-compose.yml: the README's commands, with a project name and ports of its own."""

import json
import os
import random
import socket
import subprocess
import time
from pathlib import Path

from .images import ROOT, Failure

COMMAND_S_MAX = 180
# Prefixes of variables of the caller's shell that would change the stack.
REMOVED_PREFIXES = ("FOREBAY_", "OPENAI_", "GEMINI_", "AMQP_", "REDIS_", "RABBITMQ_", "COMPOSE_", "OTEL_", "HTTP", "ALL_PROXY",
                    "NO_PROXY", "GATEWAY_", "WORKER_", "STOP_GRACE_PERIOD")


def free_ports(count):
    """Ports of this machine on which nothing listens, below the range that the system uses for outgoing connections."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = []
    for port in random.sample(range(10_000, max(first_outgoing, 20_000)), 1_000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise Failure("there are no free ports")


class Stack:
    """The containers of one project."""

    def __init__(self, image):
        self.project = f"forebay-check-{os.getpid()}"
        self.api_port, self.management_port, self.prometheus_port, self.grafana_port = free_ports(4)
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(REMOVED_PREFIXES)}
        self.environment = kept | {
            "COMPOSE_PROJECT_NAME": self.project,
            # profile.yml adds a service of the profile `monitoring`.
            "COMPOSE_FILE": "docker-compose.yml:.ci/compose_checks/profile.yml",
            # A developer's .env must not change what is checked.
            "COMPOSE_DISABLE_ENV_FILE": "1",
            "API_PORT": str(self.api_port),
            "RABBITMQ_UI_PORT": str(self.management_port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            "GRAFANA_PORT": str(self.grafana_port),
            "IMAGE": image,
            # If RabbitMQ does not stop in time, it is killed: no job may depend on its clean stop.
            "RABBITMQ_STOP_GRACE_PERIOD": "5s",
        }
        self.settings = {}

    def set(self, **settings):
        """Sets the variables of all further commands."""
        self.settings = {name: str(value) for name, value in settings.items()}

    def shell(self, command, timeout_s=COMMAND_S_MAX):
        """Runs a command of the README, with the settings of this stack."""
        settings = " ".join(f"{name}={value}" for name, value in self.settings.items())
        print(f"  $ {settings}{' ' if settings else ''}{command}", flush=True)
        began = time.monotonic()
        try:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=ROOT, env=self.environment | self.settings, timeout=timeout_s,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise Failure(f"`{command}`: not done within {timeout_s} s") from None
        if done.returncode != 0:
            raise Failure(f"`{command}`: exit code {done.returncode}\n{done.stdout[-3000:]}")
        print(f"    {time.monotonic() - began:.1f} s", flush=True)

    def output(self, *arguments, timeout_s=60):
        """The standard output of a command of Docker."""
        done = subprocess.run(
            ["docker", *arguments], cwd=ROOT, env=self.environment, timeout=timeout_s, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Failure(f"docker {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def containers(self, service):
        """The ids of the running containers of a service."""
        return self.output("compose", "ps", "-q", service).split()

    def address(self, container):
        """The address of a container in the network of the stack."""
        networks = json.loads(self.output("inspect", container))[0]["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def gateways_since(self, line_count):
        """Which gateways answered the requests after the first `line_count` lines of nginx's log, one entry per request.

        A request that was sent to a second gateway has both, with a comma between them.
        """
        found = []
        for line in self.access_log()[line_count:]:
            found.append((line, line.split("gateway=")[1].split(" gateway_status=")[0]))
        return found

    def access_log(self):
        """The lines of nginx's access log about requests of clients."""
        lines = self.output("compose", "logs", "--no-log-prefix", "--no-color", "nginx").splitlines()
        return [line for line in lines if " gateway=" in line]

    def volumes(self):
        """The volumes of this project."""
        return self.output("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={self.project}").split()

    def remove(self):
        """Deletes everything of this project."""
        subprocess.run(
            ["docker", "compose", "--profile", "*", "down", "-v", "--timeout", "5"],
            cwd=ROOT,
            env=self.environment,
            timeout=COMMAND_S_MAX,
            capture_output=True,
        )

    def save_logs(self):
        """Writes the logs of all containers to a file and returns its path."""
        path = Path(ROOT) / "target" / f"{self.project}.log"
        path.parent.mkdir(exist_ok=True)
        with path.open("w") as file:
            subprocess.run(
                ["docker", "compose", "logs", "--no-color", "--timestamps"],
                cwd=ROOT, env=self.environment, timeout=60, stdout=file, stderr=file,
            )
        return path
