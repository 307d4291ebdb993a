"""Finds references to what does not exist: Secrets, ConfigMaps, service accounts, ports, selected pods."""

from documents import containers, label, named, of_kind, pods

# The Secrets that users create themselves, with their keys.
EXTERNAL_SECRETS = {
    "forebay-servers": {"AMQP_URL", "REDIS_URL"},
    "forebay-api-keys": {"api-keys"},
    "forebay-rabbitmq-management": {"username", "password"},
}


def faults(documents):
    return [
        f"{label(document)}: {fault}"
        for document in documents
        for fault in [
            *pod_faults(document, documents),
            *selector_faults(document, documents),
            *target_faults(document, documents),
            *namespace_faults(document),
        ]
    ]


def pod_faults(document, documents):
    for _, _, spec in pods([document]):
        if not named(documents, "ServiceAccount", spec.get("serviceAccountName")):
            yield f"no ServiceAccount {spec.get('serviceAccountName')}"
        for volume in spec.get("volumes") or []:
            yield from object_faults("ConfigMap", (volume.get("configMap") or {}).get("name"), None, documents)
            yield from object_faults("Secret", (volume.get("secret") or {}).get("secretName"), None, documents)
        claims = [claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates") or []]
        volumes = {*claims, *(volume["name"] for volume in spec.get("volumes") or [])}
        for path, container in containers(spec):
            for fault in container_faults(container, volumes, documents):
                yield f"{path}: {fault}"


def container_faults(container, volumes, documents):
    for mount in container.get("volumeMounts") or []:
        if mount.get("name") not in volumes:
            yield f"no volume {mount.get('name')}"
    ports = {port.get("name") for port in container.get("ports") or []}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(name) or {}
        port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
        if isinstance(port, str) and port not in ports:
            yield f"{name}: no port {port}"
    for source in container.get("envFrom") or []:
        yield from object_faults("ConfigMap", (source.get("configMapRef") or {}).get("name"), None, documents)
        reference = source.get("secretRef") or {}
        if not reference.get("optional"):
            yield from object_faults("Secret", reference.get("name"), None, documents)
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        for kind, field in [("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")]:
            reference = source.get(field) or {}
            yield from object_faults(kind, reference.get("name"), reference.get("key"), documents)


def object_faults(kind, name, key, documents):
    """A fault if the Secret or ConfigMap, or its key, does not exist. Without a name there is nothing to check."""
    if name is None:
        return
    found = named(documents, kind, name)
    if found:
        keys = set(found.get("data") or {}) | set(found.get("stringData") or {})
    elif kind == "Secret" and name in EXTERNAL_SECRETS:
        keys = EXTERNAL_SECRETS[name]
    else:
        yield f"no {kind} {name}"
        return
    if key is not None and key not in keys:
        yield f"{kind} {name} has no key {key}"


def selector_faults(document, documents):
    """Selectors must select pods, and named ports must be those of a selected pod."""
    spec = document.get("spec") or {}
    ports = []
    if document["kind"] == "Service":
        labels = spec.get("selector")
        ports = [port.get("targetPort") for port in spec.get("ports") or []]
    elif document["kind"] == "PodDisruptionBudget":
        labels = (spec.get("selector") or {}).get("matchLabels")
    elif document["kind"] == "NetworkPolicy":
        labels = (spec.get("podSelector") or {}).get("matchLabels")
        ports = [port.get("port") for rule in spec.get("ingress") or [] for port in rule.get("ports") or []]
    else:
        return
    selected = selected_pods(labels or {}, documents)
    if not selected:
        yield f"the selector {labels} selects no pod"
    names = {port.get("name") for pod in selected for _, container in containers(pod) for port in container.get("ports") or []}
    for port in ports:
        if isinstance(port, str) and port not in names:
            yield f"no port {port} in the selected pods"


def selected_pods(labels, documents):
    return [spec for _, metadata, spec in pods(documents) if labels.items() <= (metadata.get("labels") or {}).items()]


def target_faults(document, documents):
    spec = document.get("spec") or {}
    if document["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
        target = spec.get("scaleTargetRef") or {}
        if not named(documents, target.get("kind"), target.get("name")):
            yield f"no {target.get('kind')} {target.get('name')}"
    for trigger in spec.get("triggers") or [] if document["kind"] == "ScaledObject" else []:
        name = (trigger.get("authenticationRef") or {}).get("name")
        if name is not None and not named(of_kind(documents, "TriggerAuthentication"), "TriggerAuthentication", name):
            yield f"no TriggerAuthentication {name}"
    if document["kind"] == "TriggerAuthentication":
        for reference in spec.get("secretTargetRef") or []:
            yield from object_faults("Secret", reference.get("name"), reference.get("key"), documents)


def namespace_faults(document):
    namespace = document["metadata"].get("namespace")
    if document["kind"] != "Namespace" and namespace != "forebay":
        yield f"the namespace must be forebay, not {namespace}"
