"""What the manifests promise about scaling: deploy/kubernetes/SERVICES.md gives the reasons."""

import math

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
# The part of a worker's slots at which KEDA adds workers, in percent.
LOAD_PERCENT = 70


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
    budget = named(documents, "PodDisruptionBudget", "forebay-gateway") or {"spec": {}}
    if budget["spec"].get("maxUnavailable") != 1:
        yield "PodDisruptionBudget/forebay-gateway: maxUnavailable must be 1"


def scaled_object_faults(document, documents):
    spec = document["spec"]
    if spec.get("minReplicaCount") != 1:
        yield "minReplicaCount must be 1"
    if "fallback" not in spec:
        yield "fallback is missing"
    target = named(documents, "Deployment", spec.get("scaleTargetRef", {}).get("name"))
    if target is None:
        return
    variables = environment(target["spec"]["template"]["spec"]["containers"][0])
    drain_s = int(variables.get("FOREBAY_DRAIN_S") or 0) + workloads.STOP_S
    behavior = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    if behavior.get("scaleDown", {}).get("stabilizationWindowSeconds", 0) < drain_s:
        yield f"scaleDown.stabilizationWindowSeconds must be at least {drain_s}, the time of a drain"
    yield from triggers_faults(spec.get("triggers") or [], int(variables.get("FOREBAY_CONCURRENCY") or 256), spec)


def triggers_faults(triggers, concurrency, spec):
    """One trigger on jobs, either of RabbitMQ or of Prometheus, and those on CPU and memory."""
    kinds = [trigger.get("type") for trigger in triggers]
    if sorted(kinds) not in (["cpu", "memory", "rabbitmq"], ["cpu", "memory", "prometheus"]):
        yield f"the triggers must be one of jobs, cpu and memory, not {kinds}"
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
    # KEDA refuses a fallback if no trigger has this type of metric. KEDA 2.17.0 does not know that it is the default.
    if "fallback" in spec and jobs.get("metricType") != "AverageValue":
        yield "the trigger's metricType must be AverageValue, because of the fallback"
