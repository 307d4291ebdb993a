"""All checks of rendered documents. Each returns its faults as messages for people."""

import flows
import keda_schema
import kubernetes_schema
import network
import pod_security
import references
import scaling
import servers
import workloads

# The schemas come first: the other checks rely on the types of the fields.
SCHEMAS = (kubernetes_schema, keda_schema)
PROMISES = (pod_security, workloads, references, network, flows, scaling, servers)


def of(documents):
    """The faults of a variant."""
    found = [fault for check in SCHEMAS for fault in check.faults(documents)]
    return found or [fault for check in PROMISES for fault in check.faults(documents)]
