"""Checks of pods beyond the schemas: probes, resources, drains, secrets, names of settings."""

import functools
import re
from pathlib import Path

from documents import containers, environment, label, of_kind, pods

SETTINGS_FOLDER = Path(__file__).resolve().parent.parent.parent / "crates/forebay/src/settings"
# How long a process may need to end after FOREBAY_DRAIN_S (README.md of the repository, "Stopping").
STOP_S = 4
ADMIN_PORT = 9090
PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
SECRET_WORDS = re.compile(r"PASSWORD|_KEY$|TOKEN|SECRET|AMQP_URL|REDIS_URL|_PASS$", re.IGNORECASE)


def faults(documents):
    found = [
        f"{label(document)}: {fault}"
        for document, metadata, spec in pods(documents)
        for fault in [*pod_faults(spec), *(forebay_faults(document, metadata, spec) if is_forebay(metadata) else [])]
    ]
    return [*found, *settings_faults(documents)]


def settings_faults(documents):
    """Faults of the variables that both roles get from the ConfigMap."""
    for document in of_kind(documents, "ConfigMap"):
        if document["metadata"]["name"].startswith("forebay-settings"):
            for name in sorted(set(document.get("data") or {}) - known_variables()):
                yield f"{label(document)}: {name} is not a setting of Forebay"


def is_forebay(metadata):
    return (metadata.get("labels") or {}).get("app.kubernetes.io/name") == "forebay"


def pod_faults(spec):
    """Faults that any pod can have, those of RabbitMQ and Redis included."""
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false"
    if spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks must be false"
    for path, container in containers(spec):
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in sorted({"cpu", "memory"} - set(requests)):
            yield f"{path}: resources.requests.{name} is missing"
        if "memory" not in limits:
            yield f"{path}: resources.limits.memory is missing"
        for name in sorted(set(PROBES) - set(container)):
            yield f"{path}: {name} is missing"
        for name, value in environment(container).items():
            if value is not None and SECRET_WORDS.search(name):
                yield f"{path}: {name} must come from a Secret"


def forebay_faults(document, metadata, spec):
    """Faults that only gateways and workers can have."""
    component = metadata["labels"].get("app.kubernetes.io/component")
    if component not in ("gateway", "worker"):
        yield f"app.kubernetes.io/component must be gateway or worker, not {component}"
        return
    if "replicas" in document["spec"]:
        yield "an autoscaler sets the replicas, so spec.replicas must be absent"
    rollout = (document["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    if rollout.get("maxUnavailable") != 0:
        yield "strategy.rollingUpdate.maxUnavailable must be 0"
    keys = {constraint.get("topologyKey") for constraint in spec.get("topologySpreadConstraints") or []}
    for key in sorted({"kubernetes.io/hostname", "topology.kubernetes.io/zone"} - keys):
        yield f"topologySpreadConstraints must have {key}"
    for path, container in containers(spec):
        for fault in container_faults(container, component, spec):
            yield f"{path}: {fault}"


def container_faults(container, component, spec):
    variables = environment(container)
    if container.get("command") != ["forebay", component]:
        yield f"the command must be forebay {component}"
    if not (container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
        yield "securityContext.readOnlyRootFilesystem must be true"
    if variables.get("FOREBAY_ADMIN_LISTEN") != f"0.0.0.0:{ADMIN_PORT}":
        yield f"FOREBAY_ADMIN_LISTEN must be 0.0.0.0:{ADMIN_PORT}"
    for name, path in PROBES.items():
        request = (container.get(name) or {}).get("httpGet") or {}
        if (request.get("path"), request.get("port")) != (path, "admin"):
            yield f"{name} must request {path} at the port admin"
    yield from stop_faults(container, component, spec, variables)
    for name in sorted(set(variables) - known_variables()):
        yield f"{name} is not a setting of Forebay"


def stop_faults(container, component, spec, variables):
    drain = variables.get("FOREBAY_DRAIN_S") or ""
    if not drain.isdecimal():
        yield "FOREBAY_DRAIN_S must be set, because terminationGracePeriodSeconds depends on it"
        return
    pause = ((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep", {}).get("seconds", 0)
    if component == "gateway" and pause != 5:
        yield "lifecycle.preStop.sleep.seconds must be 5"
    needed = pause + int(drain) + STOP_S
    if spec.get("terminationGracePeriodSeconds", 30) <= needed:
        yield f"terminationGracePeriodSeconds must be above {needed}: preStop, FOREBAY_DRAIN_S and {STOP_S} s"


@functools.cache
def known_variables():
    """The names of all settings, read from the code."""
    sources = SETTINGS_FOLDER.glob("**/*.rs")
    names = {name for source in sources for name in re.findall(r'env = "([A-Z0-9_]+)"', source.read_text())}
    assert "FOREBAY_DRAIN_S" in names, f"no settings found in {SETTINGS_FOLDER}"
    return names
