"""Finds documents, pods, containers and variables in rendered manifests."""

# The kinds whose pod template is `spec.template`. `pod_of` also handles Pod and CronJob.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
# The fields of a pod's spec that list containers.
CONTAINER_FIELDS = ("containers", "initContainers", "ephemeralContainers")


def label(document):
    """How messages name a document."""
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def of_kind(documents, *kinds):
    return [document for document in documents if document.get("kind") in kinds]


def named(documents, kind, name):
    """The document of this kind and name, or none."""
    found = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found[0] if found else None


def pod_of(document):
    """The metadata and the spec of the pods that a document makes, or none."""
    if document.get("kind") == "Pod":
        template = document
    elif document.get("kind") == "CronJob":
        template = document.get("spec", {}).get("jobTemplate", {}).get("spec", {}).get("template", {})
    elif document.get("kind") in WORKLOADS:
        template = document.get("spec", {}).get("template", {})
    else:
        return None
    return template.get("metadata") or {}, template.get("spec") or {}


def pods(documents):
    """Each document that makes pods, with the metadata and the spec of the pods."""
    return [(document, *pod) for document in documents if (pod := pod_of(document))]


def containers(spec):
    """All containers of a pod, each with its path in the spec."""
    return [
        (f"{field}[{index}]", container)
        for field in CONTAINER_FIELDS
        for index, container in enumerate(spec.get(field) or [])
    ]


def environment(container):
    """The variables that a container sets itself, with their values; `None` for a value from a Secret or ConfigMap."""
    return {variable["name"]: variable.get("value") for variable in container.get("env") or []}
