"""What the demo promises about its RabbitMQ and Redis: their own memory limits fit into those of their containers."""

import base64
import re

from documents import containers, label, of_kind, pods

UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "kb": 2**10, "mb": 2**20, "gb": 2**30,
         "ki": 2**10, "mi": 2**20, "gi": 2**30, "kib": 2**10, "mib": 2**20, "gib": 2**30}
# The server, its memory setting, and how many times this setting must fit into the container's limit. A copy of Redis that rewrites
# the log may need as much memory as Redis; RabbitMQ's garbage collection may, too.
LIMITS = (
    ("redis", r"^maxmemory (\d+)(\w*)$", 2),
    ("rabbitmq", r"^vm_memory_high_watermark\.absolute = (\d+)(\w*)$", 2),
)


def faults(documents):
    for document, metadata, spec in pods(documents):
        name = (metadata.get("labels") or {}).get("app.kubernetes.io/name")
        for server, pattern, times in LIMITS:
            if name != server:
                continue
            [limit] = [container["resources"]["limits"]["memory"] for _, container in containers(spec)]
            found = re.search(pattern, configuration(documents, server), re.MULTILINE)
            if not found:
                yield f"{label(document)}: no limit of its memory in its configuration"
            elif times * bytes_of(*found.groups()) > bytes_of(*re.fullmatch(r"(\d+)(\w*)", limit).groups()):
                yield f"{label(document)}: the memory limit {limit} is below {times} times {found[0]}"


def bytes_of(number, unit):
    return int(number) * UNITS[unit.lower()]


def configuration(documents, server):
    """The files of the server's ConfigMaps and Secrets, one after another."""
    files = []
    for document in of_kind(documents, "ConfigMap", "Secret"):
        if re.fullmatch(rf"{server}(-[a-z0-9]{{10}})?", document["metadata"]["name"]):
            for name, text in (document.get("data") or {}).items():
                if name.endswith(".conf"):
                    files.append(base64.b64decode(text).decode() if document["kind"] == "Secret" else text)
    return "\n".join(files)
