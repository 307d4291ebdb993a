"""Validates KEDA's resources: their fields by its schemas, the parameters of the triggers by its documentation."""

import functools
import json
import subprocess
from pathlib import Path

from documents import label, of_kind

SCRIPT = Path(__file__).resolve().parent / "keda_schema.mjs"
NODE_FOLDER = SCRIPT.parent.parent.parent / "target/ci-manifests-node"
NODE_TIMEOUT_S = 30

# The schema allows any parameter in a trigger's `metadata`. These are the parameters of KEDA 2.17, for each type of
# trigger: those that are required, and those that are optional.
PARAMETERS = {
    "rabbitmq": (
        {"queueName", "host", "protocol", "mode", "value"},
        {
            "activationValue", "vhostName", "useRegex", "excludeUnacknowledged", "pageSize", "operation", "timeout",
            "unsafeSsl",
        },
    ),
    "prometheus": (
        {"serverAddress", "query", "threshold"},
        {
            "activationThreshold", "ignoreNullValues", "namespace", "customHeaders", "queryParameters", "authModes",
            "timeout", "unsafeSsl",
        },
    ),
    "cpu": ({"value"}, {"containerName"}),
    "memory": ({"value"}, {"containerName"}),
}
WORDS = {
    "protocol": {"http", "amqp"},
    "mode": {"QueueLength", "MessageRate"},
    "operation": {"sum", "max", "avg"},
    "useRegex": {"true", "false"},
    "excludeUnacknowledged": {"true", "false"},
    "ignoreNullValues": {"true", "false"},
    "unsafeSsl": {"true", "false"},
}
NUMBERS = {"value", "activationValue", "pageSize", "timeout", "threshold", "activationThreshold"}
METRIC_TYPES = {
    "rabbitmq": {"AverageValue", "Value"},
    "prometheus": {"AverageValue", "Value"},
    "cpu": {"Utilization", "AverageValue"},
    "memory": {"Utilization", "AverageValue"},
}
# The parameters of the rabbitmq trigger that a TriggerAuthentication may have.
AUTHENTICATION_PARAMETERS = {"host", "protocol", "username", "password", "tls", "ca", "cert", "key", "keyPassword"}


def faults(documents):
    custom = [document for document in documents if document.get("apiVersion", "").startswith("keda.sh/")]
    return (
        [fault for document in custom for fault in schema_faults(json.dumps(document))]
        + [fault for document in of_kind(custom, "ScaledObject") for fault in trigger_faults(document)]
        + [fault for document in of_kind(custom, "TriggerAuthentication") for fault in authentication_faults(document)]
    )


@functools.cache
def schema_faults(document):
    """The faults of a document, which is in JSON."""
    done = subprocess.run(
        ["node", SCRIPT, NODE_FOLDER],
        input=f"[{document}]",
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{SCRIPT.name} failed: {done.stderr[:1000]}")
    return [f"{label(json.loads(document))}: {fault}" for fault in json.loads(done.stdout)[0]]


def trigger_faults(document):
    found = []
    triggers = document.get("spec", {}).get("triggers") or []
    for index, trigger in enumerate(triggers):
        where = f"{label(document)}: spec.triggers[{index}]"
        kind, metadata = trigger.get("type"), trigger.get("metadata") or {}
        if kind not in PARAMETERS:
            found.append(f"{where}: the type {kind} is not in {SCRIPT.parent.name}/keda_schema.py")
            continue
        required, optional = PARAMETERS[kind]
        found += [f"{where}: {name} is missing" for name in sorted(required - set(metadata))]
        found += [f"{where}: {kind} has no parameter {name}" for name in sorted(set(metadata) - required - optional)]
        if trigger.get("metricType") not in METRIC_TYPES[kind]:
            found.append(f"{where}: metricType must be one of {sorted(METRIC_TYPES[kind])}")
        for name, value in metadata.items():
            if name in WORDS and value not in WORDS[name]:
                found.append(f"{where}: {name} must be one of {sorted(WORDS[name])}")
            if name in NUMBERS and not is_number(value):
                found.append(f"{where}: {name} must be a number in quotes")
        if metadata.get("useRegex") == "true" and metadata.get("protocol") != "http":
            found.append(f"{where}: useRegex works with the protocol http only")
    names = [trigger.get("name") for trigger in triggers]
    if len(set(names)) < len(names):
        found.append(f"{label(document)}: two triggers have the same name")
    return found


def authentication_faults(document):
    parameters = {target.get("parameter") for target in document.get("spec", {}).get("secretTargetRef") or []}
    found = [f"{label(document)}: rabbitmq has no parameter {name}" for name in parameters - AUTHENTICATION_PARAMETERS]
    if not {"username", "password"} <= parameters:
        found.append(f"{label(document)}: username and password are needed")
    return found


def is_number(text):
    try:
        return isinstance(text, str) and float(text) >= 0
    except ValueError:
        return False
