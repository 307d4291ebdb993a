"""Which ports docker-compose.yml opens to other machines: none until `deploy/init-env` has made API keys, and then only the API's.

Needs no Docker: this reads the files, and runs init-env in a temporary folder and the first lines of nginx's start script.
"""

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = "127.0.0.1"
# An address that opens a port to other machines.
ALL_ADDRESSES = "0.0.0.0"
# The only service that a setting opens to other machines, and the setting.
API_SERVICE, API_SETTING = "nginx", "API_ADDRESS"
SCRIPT = "deploy/nginx/start.sh"
SCRIPT_TIMEOUT_S = 10
INIT_TIMEOUT_S = 60
VARIABLE = re.compile(r"\$\{(\w+)(?::([-+])([^${}]*))?\}")


def faults(compose=None, script=None):
    """The faults of docker-compose.yml and of nginx's start script. Both may be given, for tests."""
    compose = compose or read_compose()
    script = script or ROOT / SCRIPT
    found = []
    settings = {"nothing is set": {}, "deploy/init-env has run": after_init_env()}
    for name, values in settings.items():
        found += [f"{fault}, when {name}" for fault in open_ports(compose, values)]
    opened = {API_SETTING: ALL_ADDRESSES}
    for fault in open_ports(compose, opened, may_be_open=API_SERVICE):
        found.append(f"{fault}, when only {API_SETTING} is set")
    service = compose["services"][API_SERVICE]
    if not refuses(script, service, opened):
        found.append(f"{API_SERVICE} starts with {API_SETTING}={ALL_ADDRESSES} and without API keys")
    if refuses(script, service, opened | after_init_env()):
        found.append(f"{API_SERVICE} does not start with {API_SETTING}={ALL_ADDRESSES} and API keys")
    example = (ROOT / ".env.example").read_text().splitlines()
    found += [f".env.example sets {line}" for line in example if line.strip() and not line.startswith("#")]
    return found


def read_compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def open_ports(compose, values, may_be_open=None):
    """A fault for each port that other machines reach, with these values of variables."""
    found = []
    for name, service in compose["services"].items():
        if service.get("network_mode") == "host":
            found.append(f"{name}: all ports are open (network_mode: host)")
        for port in service.get("ports", []):
            address = address_of(port, values)
            if address != LOOPBACK and name != may_be_open:
                found.append(f"{name}: the port {port} is open on {address or 'all addresses'}, not on {LOOPBACK}")
    return found


def address_of(port, values):
    """The address on which a port is published; None for all addresses. The port is in the short or the long form."""
    if isinstance(port, dict):
        address = port.get("host_ip")
        return with_values(str(address), values) if address else None
    address, _, _ = with_values(str(port), values).rpartition(":")[0].rpartition(":")
    return address or None


def with_values(text, values):
    """The text with the values of the variables, by the rules of Compose."""

    def value(found):
        name, kind, word = found.groups()
        if kind == "+":
            return word if values.get(name) else ""
        return values.get(name) or word or ""

    replaced = VARIABLE.sub(value, text)
    if "$" in replaced:
        raise ValueError(f"the check cannot read the variables in {text}")
    return replaced


@functools.cache
def after_init_env():
    """The values that init-env writes into .env."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "deploy").mkdir()
        copied = shutil.copy(ROOT / "deploy/init-env", Path(folder) / "deploy")
        subprocess.run([copied], check=True, capture_output=True, timeout=INIT_TIMEOUT_S)
        lines = (Path(folder) / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    if not values.get("FOREBAY_API_KEYS_FILE"):
        raise ValueError(f"init-env wrote no FOREBAY_API_KEYS_FILE: {sorted(values)}")
    return values


def refuses(script, service, values):
    """Whether the start script of the service refuses its address."""
    environment = {name: with_values(str(value), values) for name, value in service["environment"].items()}
    with tempfile.TemporaryDirectory() as folder:
        # Once the script has accepted its address, it runs `mkdir` first. This replacement ends the script there.
        program = Path(folder) / "mkdir"
        program.write_text("#!/bin/sh\nexit 3\n")
        program.chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", script], env=environment | {"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True,
            timeout=SCRIPT_TIMEOUT_S, check=False,
        )
    if done.returncode not in (1, 3):
        raise ValueError(f"{script} ended with {done.returncode}: {done.stderr}")
    return done.returncode == 1
