"""Each control of the restricted Pod Security Standard refuses what it forbids, and accepts what is allowed."""

import copy
import unittest

from pod_security import CONTROLS, pod_faults

ALLOWED = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "main",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "ports": [{"containerPort": 8080}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 9090}},
        }
    ],
    "volumes": [{"name": "settings", "configMap": {"name": "settings"}}, {"name": "data", "emptyDir": {}}],
}
POD, MAIN = ["securityContext"], ["containers", 0, "securityContext"]

# The name of a control, the path of a field, and a value that the control refuses there.
REFUSED = [
    ("host_process", [*POD, "windowsOptions"], {"hostProcess": True}),
    ("host_process", [*MAIN, "windowsOptions"], {"hostProcess": True}),
    ("host_namespaces", ["hostNetwork"], True),
    ("host_namespaces", ["hostPID"], True),
    ("host_namespaces", ["hostIPC"], True),
    ("privileged_containers", [*MAIN, "privileged"], True),
    ("baseline_capabilities", [*MAIN, "capabilities", "add"], ["SYS_ADMIN"]),
    ("host_path_volumes", ["volumes", 0], {"name": "settings", "hostPath": {"path": "/"}}),
    ("host_ports", ["containers", 0, "ports", 0, "hostPort"], 8080),
    ("host_probes", ["containers", 0, "livenessProbe", "httpGet", "host"], "10.0.0.1"),
    ("host_probes", ["containers", 0, "lifecycle"], {"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}),
    ("apparmor", [*POD, "appArmorProfile"], {"type": "Unconfined"}),
    ("selinux", [*POD, "seLinuxOptions"], {"type": "spc_t"}),
    ("selinux", [*MAIN, "seLinuxOptions"], {"user": "system_u"}),
    ("proc_mount", [*MAIN, "procMount"], "Unmasked"),
    ("baseline_seccomp", [*MAIN, "seccompProfile"], {"type": "Unconfined"}),
    ("sysctls", [*POD, "sysctls"], [{"name": "kernel.msgmax", "value": "1"}]),
    ("volume_types", ["volumes", 1], {"name": "data", "nfs": {"server": "files", "path": "/"}}),
    ("privilege_escalation", [*MAIN, "allowPrivilegeEscalation"], True),
    ("privilege_escalation", [*MAIN, "allowPrivilegeEscalation"], None),
    ("running_as_non_root", [*POD, "runAsNonRoot"], None),
    ("running_as_non_root", [*POD, "runAsNonRoot"], False),
    ("running_as_non_root", [*MAIN, "runAsNonRoot"], False),
    ("running_as_non_root_user", [*POD, "runAsUser"], 0),
    ("running_as_non_root_user", [*MAIN, "runAsUser"], 0),
    ("restricted_seccomp", [*POD, "seccompProfile"], None),
    ("restricted_seccomp", [*MAIN, "seccompProfile"], {"type": "Unconfined"}),
    ("restricted_capabilities", [*MAIN, "capabilities"], None),
    ("restricted_capabilities", [*MAIN, "capabilities", "drop"], ["NET_RAW"]),
    ("restricted_capabilities", [*MAIN, "capabilities", "add"], ["CHOWN"]),
]


def with_value(path, value):
    """The allowed pod with a field set, or removed if the value is none."""
    spec = copy.deepcopy(ALLOWED)
    inner = spec
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return spec


class PodSecurity(unittest.TestCase):
    def test_an_allowed_pod_has_no_fault(self):
        self.assertEqual(pod_faults({}, ALLOWED), [])

    def test_each_refused_value_is_found_by_its_control(self):
        controls = {control.__name__: control for control in CONTROLS}
        for name, path, value in REFUSED:
            with self.subTest(name, path=path, value=value):
                spec = with_value(path, value)
                self.assertTrue(pod_faults({}, spec))
                self.assertTrue([f for f in pod_faults_by(controls[name], spec)], f"{name} does not find it")

    def test_each_control_has_a_refused_value(self):
        self.assertEqual({control.__name__ for control in CONTROLS}, {name for name, _, _ in REFUSED})

    def test_init_and_ephemeral_containers_count_too(self):
        for field in ("initContainers", "ephemeralContainers"):
            with self.subTest(field):
                self.assertTrue(pod_faults({}, {**ALLOWED, field: [{"name": "other"}]}))

    def test_a_container_may_set_what_the_pod_does_not(self):
        spec = with_value(["securityContext"], {})
        spec["containers"][0]["securityContext"] |= {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "Localhost", "localhostProfile": "forebay.json"},
        }
        self.assertEqual(pod_faults({}, spec), [])

    def test_the_apparmor_annotation_of_a_container_counts(self):
        annotation = {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"}
        self.assertTrue(pod_faults({"annotations": annotation}, ALLOWED))
        annotation = {"container.apparmor.security.beta.kubernetes.io/main": "runtime/default"}
        self.assertEqual(pod_faults({"annotations": annotation}, ALLOWED), [])

    def test_the_allowed_capability_and_sysctl_are_accepted(self):
        self.assertEqual(pod_faults({}, with_value([*MAIN, "capabilities", "add"], ["NET_BIND_SERVICE"])), [])
        sysctl = [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]
        self.assertEqual(pod_faults({}, with_value([*POD, "sysctls"], sysctl)), [])


def pod_faults_by(control, spec):
    from pod_security import Pod

    return list(control(Pod({}, spec)))


if __name__ == "__main__":
    unittest.main()
