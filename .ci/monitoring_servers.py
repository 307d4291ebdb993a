"""Starts the processes that monitoring-run needs: Forebay, Prometheus, and for a fleet Redis and RabbitMQ.

All listen on free ports of 127.0.0.1 and keep their files in one temporary folder. All are stopped at the end.
"""

import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_S = 60
STOP_S = 40
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def free_port():
    """A port that is free now, below the range that the system uses for outgoing connections."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(first_outgoing, 20_000))
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def get(url, timeout_s=5):
    """The body of an answer with status 200, or None."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def until(description, check, timeout_s=START_S):
    """Waits until `check` returns something, and returns it."""
    ends_at = time.monotonic() + timeout_s
    while time.monotonic() < ends_at:
        if value := check():
            return value
        time.sleep(0.1)
    raise TimeoutError(f"{description}: not within {timeout_s} s")


class Servers:
    """The processes that run. Use it in a `with`, which ends them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in reversed(list(self.running)):
            self.stop(name)

    def stop(self, name):
        """Ends a process, by force if it does not end by itself."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start(self, name, command, environment=None):
        """Starts a process. Returns the path of its log."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                list(map(str, command)), stdout=file, stderr=file, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL
            )
        self.running[name] = process
        return log

    def forebay(self, name, binary, role, settings):
        """Starts Forebay in a role (`None`: one process). Returns the addresses of its API (or None) and of its admin listener."""
        environment = {"PATH": os.environ["PATH"], "FOREBAY_ADMIN_LISTEN": "127.0.0.1:0", "FOREBAY_LISTEN": "127.0.0.1:0", **settings}
        log = self.start(name, [binary, *([role] if role else [])], environment)
        ready = "worker started" if role == "worker" else " listening on http://"
        until(f"the start of {name}", lambda: ready in log.read_text())
        text = log.read_text()
        api = re.search(r" listening on (http://[\d.:]+)", text)
        return api and api.group(1), re.search(r"metrics and health on http://([\d.:]+)", text).group(1)

    def prometheus(self, jobs, rules):
        """Starts Prometheus, which scrapes `{job: [address]}` every second. Returns its URL."""
        targets = "".join(
            f"  - job_name: {job}\n    static_configs: [{{targets: {addresses}}}]\n" for job, addresses in jobs.items()
        )
        (self.folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\nscrape_configs:\n{targets}"
        )
        port = free_port()
        self.start(
            "prometheus",
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus", f"--web.listen-address=127.0.0.1:{port}"],
        )
        url = f"http://127.0.0.1:{port}"
        until("the start of Prometheus", lambda: get(f"{url}/-/ready"))
        return url

    def redis(self, port=None):
        """Starts Redis. Returns its port."""
        port = port or free_port()
        options = ["--port", port, "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "512mb"]
        self.start("redis", ["redis-server", *options, "--maxmemory-policy", "noeviction", "--save", ""])
        until("the start of Redis", lambda: can_connect(port))
        return port

    def rabbitmq(self):
        """Starts a RabbitMQ node with an epmd of its own. Returns its URL, and the address of its metrics."""
        amqp, metrics, distribution, epmd = (free_port() for _ in range(4))
        folder = self.folder / "rabbitmq"
        folder.mkdir()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{amqp}\nlog.file = false\nlog.console = true\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {metrics}\n"
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_prometheus].\n")
        (folder / "env.conf").write_text("")
        files = {
            "RABBITMQ_MNESIA_BASE": "mnesia",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_CONFIG_FILE": "rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced",
            "RABBITMQ_GENERATED_CONFIG_DIR": "config",
            "RABBITMQ_SCHEMA_DIR": "schema",
            "RABBITMQ_CONF_ENV_FILE": "env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_PID_FILE": "node.pid",
        }
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_FLAGS": "-start_epmd false",
            "RABBITMQ_NODENAME": f"monitoring{epmd}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
            **{variable: str(folder / file) for variable, file in files.items()},
        }
        self.start("epmd", ["epmd"], environment)
        until("the start of epmd", lambda: can_connect(epmd))
        self.start("rabbitmq-server", [RABBITMQ_SERVER], environment)
        until("the start of RabbitMQ", lambda: get(f"http://127.0.0.1:{metrics}/metrics"), 120)
        return f"amqp://guest:guest@127.0.0.1:{amqp}/%2f", f"127.0.0.1:{metrics}"


def can_connect(port):
    """Whether a server listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
