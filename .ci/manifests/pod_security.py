"""The restricted profile of the Pod Security Standards, as published in the documentation of Kubernetes 1.37.

https://kubernetes.io/docs/concepts/security/pod-security-standards/

One function for each control of the published list, first those of the profile `baseline`, which `restricted`
includes. Each gets a `Pod` and yields faults. Controls for Windows pods apply to the field hostProcess only: there are
no Windows pods here.
"""

from dataclasses import dataclass, field

from documents import containers, label, of_kind, pods

BASELINE_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SECCOMP_TYPES = {"RuntimeDefault", "Localhost"}
APPARMOR_TYPES = {None, "RuntimeDefault", "Localhost"}
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
VOLUME_TYPES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


# The label with which a namespace refuses pods that do not meet a profile.
ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass
class Pod:
    """A pod, with the security contexts of the pod and of each container."""

    metadata: dict
    spec: dict
    containers: list = field(init=False)
    context: dict = field(init=False)

    def __post_init__(self):
        self.context = self.spec.get("securityContext") or {}
        self.containers = [
            (path, container, container.get("securityContext") or {}) for path, container in containers(self.spec)
        ]

    def contexts(self):
        """The security context of the pod and those of its containers, each with its path."""
        yield "securityContext", self.context
        for path, _, context in self.containers:
            yield f"{path}.securityContext", context


def host_process(pod):
    for path, context in pod.contexts():
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield f"{path}.windowsOptions.hostProcess must not be true"


def host_namespaces(pod):
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield f"{name} must not be true"


def privileged_containers(pod):
    for path, _, context in pod.containers:
        if context.get("privileged"):
            yield f"{path}.securityContext.privileged must not be true"


def baseline_capabilities(pod):
    for path, _, context in pod.containers:
        added = set((context.get("capabilities") or {}).get("add") or [])
        for name in sorted(added - BASELINE_CAPABILITIES):
            yield f"{path}.securityContext.capabilities.add must not have {name}"


def host_path_volumes(pod):
    for volume in pod.spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"the volume {volume.get('name')} must not be a hostPath"


def host_ports(pod):
    for path, container, _ in pod.containers:
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield f"{path}.ports must have no hostPort"


def host_probes(pod):
    """Since Kubernetes 1.34: probes and lifecycle actions must not name a host."""
    for path, container, _ in pod.containers:
        lifecycle = container.get("lifecycle") or {}
        actions = {name: container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")}
        actions |= {f"lifecycle.{name}": lifecycle.get(name) for name in ("postStart", "preStop")}
        for name, action in actions.items():
            for kind in ("httpGet", "tcpSocket"):
                if ((action or {}).get(kind) or {}).get("host"):
                    yield f"{path}.{name}.{kind} must not name a host"


def apparmor(pod):
    for path, context in pod.contexts():
        if (context.get("appArmorProfile") or {}).get("type") not in APPARMOR_TYPES:
            yield f"{path}.appArmorProfile.type must be RuntimeDefault or Localhost"
    for name, value in (pod.metadata.get("annotations") or {}).items():
        if name.startswith(APPARMOR_ANNOTATION) and value != "runtime/default" and not value.startswith("localhost/"):
            yield f"the annotation {name} must be runtime/default or localhost/*"


def selinux(pod):
    for path, context in pod.contexts():
        options = context.get("seLinuxOptions") or {}
        if options.get("type") not in SELINUX_TYPES:
            yield f"{path}.seLinuxOptions.type must be one of the container types"
        if options.get("user") or options.get("role"):
            yield f"{path}.seLinuxOptions must have neither user nor role"


def proc_mount(pod):
    for path, _, context in pod.containers:
        if context.get("procMount") not in (None, "Default"):
            yield f"{path}.securityContext.procMount must be Default"


def baseline_seccomp(pod):
    for path, context in pod.contexts():
        if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
            yield f"{path}.seccompProfile.type must not be Unconfined"


def sysctls(pod):
    for sysctl in pod.context.get("sysctls") or []:
        if sysctl.get("name") not in SAFE_SYSCTLS:
            yield f"securityContext.sysctls must not have {sysctl.get('name')}"


def volume_types(pod):
    for volume in pod.spec.get("volumes") or []:
        for kind in sorted(set(volume) - {"name"} - VOLUME_TYPES):
            yield f"the volume {volume.get('name')} must not be of the type {kind}"


def privilege_escalation(pod):
    for path, _, context in pod.containers:
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{path}.securityContext.allowPrivilegeEscalation must be false"


def running_as_non_root(pod):
    """Must be true for each container. The pod's value applies to a container without a value of its own."""
    if pod.context.get("runAsNonRoot") not in (None, True):
        yield "securityContext.runAsNonRoot must be true"
    for path, _, context in pod.containers:
        own = context.get("runAsNonRoot")
        if (own if own is not None else pod.context.get("runAsNonRoot")) is not True:
            yield f"{path}.securityContext.runAsNonRoot must be true, here or for the pod"


def running_as_non_root_user(pod):
    for path, context in pod.contexts():
        if context.get("runAsUser") == 0:
            yield f"{path}.runAsUser must not be 0"


def restricted_seccomp(pod):
    """Must be RuntimeDefault or Localhost for each container. The pod's type applies to a container without a type of its own."""
    pod_type = (pod.context.get("seccompProfile") or {}).get("type")
    if pod_type is not None and pod_type not in SECCOMP_TYPES:
        yield "securityContext.seccompProfile.type must be RuntimeDefault or Localhost"
    for path, _, context in pod.containers:
        own = (context.get("seccompProfile") or {}).get("type")
        if (own or pod_type) not in SECCOMP_TYPES:
            yield f"{path}.securityContext.seccompProfile.type must be RuntimeDefault or Localhost, here or for the pod"


def restricted_capabilities(pod):
    for path, _, context in pod.containers:
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []):
            yield f"{path}.securityContext.capabilities.drop must have ALL"
        for name in sorted(set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}):
            yield f"{path}.securityContext.capabilities.add may have NET_BIND_SERVICE only, not {name}"


CONTROLS = [
    host_process, host_namespaces, privileged_containers, baseline_capabilities, host_path_volumes, host_ports,
    host_probes, apparmor, selinux, proc_mount, baseline_seccomp, sysctls,
    volume_types, privilege_escalation, running_as_non_root, running_as_non_root_user, restricted_seccomp,
    restricted_capabilities,
]  # fmt: skip


def pod_faults(metadata, spec):
    """The faults of one pod."""
    pod = Pod(metadata, spec)
    return [fault for control in CONTROLS for fault in control(pod)]


def faults(documents):
    namespaces = [
        f"{label(document)}: the label {ENFORCE} must be restricted"
        for document in of_kind(documents, "Namespace")
        if (document["metadata"].get("labels") or {}).get(ENFORCE) != "restricted"
    ]
    return namespaces + [
        f"{label(document)}: {fault} (restricted Pod Security Standard)"
        for document, metadata, spec in pods(documents)
        for fault in pod_faults(metadata, spec)
    ]
