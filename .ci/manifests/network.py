"""What the manifests promise about the network: nothing is allowed by default, and each pod has a policy of its own."""

from documents import label, of_kind, pods


def faults(documents):
    policies = of_kind(documents, "NetworkPolicy")
    found = []
    if not any(denies_all(policy["spec"]) for policy in policies):
        found.append("no NetworkPolicy denies all traffic of all pods")
    for document, metadata, _ in pods(documents):
        labels = metadata.get("labels") or {}
        if not any(allows_some_ingress(policy["spec"], labels) for policy in policies):
            found.append(f"{label(document)}: no NetworkPolicy states who may connect")
    for policy in policies:
        for rule in policy["spec"].get("ingress") or []:
            if not rule.get("from") or not rule.get("ports"):
                found.append(f"{label(policy)}: an ingress rule must name its peers and its ports")
        for rule in policy["spec"].get("egress") or []:
            if not rule.get("ports"):
                found.append(f"{label(policy)}: an egress rule must name its ports")
    return found


def denies_all(spec):
    return (
        spec.get("podSelector") == {}
        and set(spec.get("policyTypes") or []) == {"Ingress", "Egress"}
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def allows_some_ingress(spec, labels):
    selected = (spec.get("podSelector") or {}).get("matchLabels") or {}
    return bool(selected) and selected.items() <= labels.items() and bool(spec.get("ingress"))
