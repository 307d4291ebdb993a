"""Which connections the network policies must allow and must refuse. The policies are evaluated by Kubernetes' rules.

Only what the manifests use is understood: labels are compared by `matchLabels`, and a named port is one of the selected pods.
"""

import ipaddress

from documents import containers, label, of_kind, pods

OWN_NAMESPACE = "forebay"
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"


def in_namespace(name, **pod):
    """A pod of another namespace, or of this one with labels."""
    return {"namespace": {"kubernetes.io/metadata.name": name}, "pod": pod}


def at(address):
    return {"address": ipaddress.ip_address(address)}


FOREBAY = {"namespace": {"kubernetes.io/metadata.name": OWN_NAMESPACE}, "pod": {NAME: "forebay"}}
CLIENT = {"namespace": {"kubernetes.io/metadata.name": "app", "forebay-client": "true"}, "pod": {}}
OTHER, DNS, MONITORING, KEDA = map(in_namespace, ("other", "kube-system", "monitoring", "keda"))
# Addresses of the documentation, RFC 5737 and 3849; of a private network, RFC 1918; of a cloud's metadata service.
PUBLIC_4, PUBLIC_6, PRIVATE, METADATA = map(at, ("203.0.113.7", "2001:db8::7", "10.9.8.7", "169.254.169.254"))

# The pods, the direction, the peer, the port, the protocol. The pods are named by their labels.
ALL, GATEWAY, WORKER = {}, {NAME: "forebay", COMPONENT: "gateway"}, {NAME: "forebay", COMPONENT: "worker"}
RABBITMQ, REDIS = {NAME: "rabbitmq"}, {NAME: "redis"}
NEEDED = [
    (ALL, "egress", DNS, 53, "UDP"),
    (ALL, "egress", DNS, 53, "TCP"),
    # RabbitMQ without and with TLS, and Redis, may be anywhere.
    *[({NAME: "forebay"}, "egress", peer, port, "TCP") for peer in (OTHER, PRIVATE, PUBLIC_4) for port in (5671, 5672, 6379)],
    ({NAME: "forebay"}, "egress", MONITORING, 4318, "TCP"),
    ({NAME: "forebay"}, "ingress", MONITORING, 9090, "TCP"),
    (GATEWAY, "ingress", CLIENT, 8080, "TCP"),
    (WORKER, "egress", PUBLIC_4, 443, "TCP"),
    (WORKER, "egress", PUBLIC_6, 443, "TCP"),
    (RABBITMQ, "ingress", FOREBAY, 5672, "TCP"),
    (RABBITMQ, "ingress", KEDA, 15672, "TCP"),
    (RABBITMQ, "ingress", MONITORING, 15692, "TCP"),
    (REDIS, "ingress", FOREBAY, 6379, "TCP"),
]
REFUSED = [
    (GATEWAY, "ingress", OTHER, 8080, "TCP"),
    (GATEWAY, "ingress", CLIENT, 9090, "TCP"),
    (GATEWAY, "egress", PUBLIC_4, 443, "TCP"),
    (WORKER, "ingress", CLIENT, 9090, "TCP"),
    (WORKER, "egress", METADATA, 443, "TCP"),
    (WORKER, "egress", PRIVATE, 443, "TCP"),
    (RABBITMQ, "ingress", OTHER, 5672, "TCP"),
    (RABBITMQ, "egress", PUBLIC_4, 443, "TCP"),
    (REDIS, "ingress", OTHER, 6379, "TCP"),
]


def faults(documents):
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy")]
    found = []
    for document, metadata, spec in pods(documents):
        labels = metadata.get("labels") or {}
        for flows, is_needed in ((NEEDED, True), (REFUSED, False)):
            for selected, direction, peer, port, protocol in flows:
                if not selected.items() <= labels.items():
                    continue
                if allows(policies, direction, labels, spec, peer, port, protocol) != is_needed:
                    verb = "refuse" if is_needed else "allow"
                    found.append(f"{label(document)}: the policies {verb} {direction} {described(peer)}:{port}/{protocol}")
    return found


def described(peer):
    if "address" in peer:
        return str(peer["address"])
    return f"namespace {peer['namespace']['kubernetes.io/metadata.name']}"


def allows(policies, direction, labels, pod, peer, port, protocol):
    """Whether a pod with these labels may have this connection. Without a policy for it, everything is allowed."""
    selecting = [
        spec for spec in policies
        if direction.capitalize() in (spec.get("policyTypes") or []) and matches(spec.get("podSelector"), labels)
    ]
    if not selecting:
        return True
    side = "from" if direction == "ingress" else "to"
    return any(
        has_peer(rule.get(side), peer) and has_port(rule.get("ports"), pod, port, protocol)
        for spec in selecting
        for rule in spec.get(direction) or []
    )


def matches(selector, labels):
    return ((selector or {}).get("matchLabels") or {}).items() <= labels.items()


def has_peer(entries, peer):
    return not entries or any(is_peer(entry, peer) for entry in entries)


def is_peer(entry, peer):
    if "ipBlock" in entry:
        block = entry["ipBlock"]
        return "address" in peer and is_in(peer["address"], block["cidr"]) and not any(
            is_in(peer["address"], cidr) for cidr in block.get("except") or []
        )
    if "address" in peer:
        return False
    own = {"matchLabels": {"kubernetes.io/metadata.name": OWN_NAMESPACE}}
    return matches(entry.get("namespaceSelector", own), peer["namespace"]) and matches(entry.get("podSelector"), peer["pod"])


def is_in(address, cidr):
    return address in ipaddress.ip_network(cidr)


def has_port(entries, pod, port, protocol):
    if not entries:
        return True
    numbers = {
        declared.get("name"): declared["containerPort"]
        for _, container in containers(pod)
        for declared in container.get("ports") or []
    }
    for entry in entries:
        first = numbers.get(entry.get("port"), entry.get("port"))
        if entry.get("protocol", "TCP") != protocol:
            continue
        if first is None or first == port or ("endPort" in entry and first <= port <= entry["endPort"]):
            return True
    return False
