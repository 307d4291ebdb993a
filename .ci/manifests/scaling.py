"""Checks of the scaling in the manifests: deploy/kubernetes/SERVICES.md gives the reasons."""

import math
import urllib.parse

import workloads
from documents import environment, label, named, of_kind

QUEUES_TRIGGER = {
    "protocol": "http",
    "mode": "QueueLength",
    "queueName": "^forebay\\.jobs\\.",
    "useRegex": "true",
    "operation": "sum",
    "excludeUnacknowledged": "false",
    "activationValue": "0",
}
PROMETHEUS_TRIGGER = {"ignoreNullValues": "false", "activationThreshold": "0"}
# The number of jobs for each worker above which KEDA adds workers, in percent of the worker's slots.
LOAD_PERCENT = 70
MANAGEMENT_PORT = 15672


def faults(documents):
    found = [
        f"{label(document)}: {fault}"
        for document in of_kind(documents, "ScaledObject")
        for fault in scaled_object_faults(document, documents)
    ]
    targets = [
        document["spec"].get("scaleTargetRef", {}).get("name")
        for document in of_kind(documents, "ScaledObject", "HorizontalPodAutoscaler")
    ]
    found += [f"Deployment/{name}: two autoscalers" for name in sorted({n for n in targets if targets.count(n) > 1})]
    for name in ("forebay-gateway", "forebay-worker"):
        if name not in targets:
            found.append(f"Deployment/{name}: no autoscaler")
    return [*found, *gateway_faults(documents)]


def gateway_faults(documents):
    autoscaler = named(documents, "HorizontalPodAutoscaler", "forebay-gateway") or {"spec": {}}
    metrics = {metric.get("resource", {}).get("name") for metric in autoscaler["spec"].get("metrics") or []}
    for name in sorted({"cpu", "memory"} - metrics):
        yield f"HorizontalPodAutoscaler/forebay-gateway: no metric {name}"
    if autoscaler["spec"].get("minReplicas", 1) < 2:
        yield "HorizontalPodAutoscaler/forebay-gateway: minReplicas must be at least 2"
    if autoscaler["spec"].get("maxReplicas", 0) <= autoscaler["spec"].get("minReplicas", 1):
        yield "HorizontalPodAutoscaler/forebay-gateway: maxReplicas must be above minReplicas"
    budget = named(documents, "PodDisruptionBudget", "forebay-gateway") or {"spec": {}}
    if budget["spec"].get("maxUnavailable") != 1:
        yield "PodDisruptionBudget/forebay-gateway: maxUnavailable must be 1"


def scaled_object_faults(document, documents):
    spec = document["spec"]
    if spec.get("minReplicaCount") != 1:
        yield "minReplicaCount must be 1"
    if spec.get("maxReplicaCount", 0) <= spec.get("minReplicaCount", 0):
        yield "maxReplicaCount must be above minReplicaCount"
    if "fallback" not in spec:
        yield "fallback is missing"
    elif spec["fallback"].get("behavior") != "currentReplicasIfHigher":
        yield "fallback.behavior must be currentReplicasIfHigher, or a failed trigger removes workers"
    target = named(documents, "Deployment", spec.get("scaleTargetRef", {}).get("name"))
    if target is None:
        return
    variables = environment(target["spec"]["template"]["spec"]["containers"][0])
    stop_s = int(variables.get("FOREBAY_DRAIN_S") or 0) + workloads.STOP_S
    behavior = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    if behavior.get("scaleDown", {}).get("stabilizationWindowSeconds", 0) < stop_s:
        yield f"scaleDown.stabilizationWindowSeconds must be at least {stop_s}, the time of a stop"
    yield from host_faults(spec.get("triggers") or [], documents)
    yield from triggers_faults(spec.get("triggers") or [], int(variables.get("FOREBAY_CONCURRENCY") or 256), spec)


def host_faults(triggers, documents):
    """Faults of the address of RabbitMQ's management API, and of its virtual host."""
    for trigger in triggers:
        if trigger.get("type") != "rabbitmq":
            continue
        metadata = trigger.get("metadata") or {}
        if not metadata.get("vhostName"):
            yield "the trigger's vhostName is missing"
        host = urllib.parse.urlsplit(metadata.get("host", ""))
        if host.scheme not in ("http", "https") or not host.hostname:
            yield "the trigger's host must be a URL of the management API"
        elif host.scheme == "http" and host.port != MANAGEMENT_PORT:
            yield f"the trigger's host must have the port {MANAGEMENT_PORT} of the management API"
        # If these manifests contain RabbitMQ, the trigger must use its Service.
        offering = [
            f"{service['metadata']['name']}.{service['metadata'].get('namespace')}.svc"
            for service in of_kind(documents, "Service")
            if any(port.get("port") == MANAGEMENT_PORT for port in service["spec"].get("ports") or [])
        ]
        if offering and host.hostname not in offering:
            yield f"the trigger's host must be one of {offering}"


def triggers_faults(triggers, concurrency, spec):
    """Faults of the trigger on jobs, either of RabbitMQ or of Prometheus, and of the triggers on CPU and memory."""
    kinds = [trigger.get("type") for trigger in triggers]
    if sorted(kinds) not in (["cpu", "memory", "rabbitmq"], ["cpu", "memory", "prometheus"]):
        yield f"the triggers must be exactly three: cpu, memory, and rabbitmq or prometheus; found {kinds}"
        return
    [jobs] = [trigger for trigger in triggers if trigger["type"] in ("rabbitmq", "prometheus")]
    metadata = jobs.get("metadata") or {}
    promised = QUEUES_TRIGGER if jobs["type"] == "rabbitmq" else PROMETHEUS_TRIGGER
    for name, value in promised.items():
        if metadata.get(name) != value:
            yield f"the trigger {jobs['type']} must have {name}: {value!r}"
    load = str(math.floor(concurrency * LOAD_PERCENT / 100))
    name = "value" if jobs["type"] == "rabbitmq" else "threshold"
    if metadata.get(name) != load:
        yield f"the trigger's {name} must be {load}: {LOAD_PERCENT} % of FOREBAY_CONCURRENCY, {concurrency}"
    if jobs["type"] == "rabbitmq" and not jobs.get("authenticationRef"):
        yield "the trigger rabbitmq must get its user and password by authenticationRef"
    if "@" in metadata.get("host", ""):
        yield "the trigger's host must have no password"
    # With a fallback, KEDA requires a trigger with metricType AverageValue. That is the default, but KEDA 2.17.0 requires it to
    # be written.
    if "fallback" in spec and jobs.get("metricType") != "AverageValue":
        yield "the trigger's metricType must be AverageValue, because of the fallback"
