"""The checks find wrong fields: each test changes one field of the rendered manifests and expects a fault about it."""

import copy
import unittest

import faults
import rendering
import tools

GATEWAY = ("Deployment", "forebay-gateway")
WORKER = ("Deployment", "forebay-worker")
SCALED = ("ScaledObject", "forebay-worker")
AUTHENTICATION = ("TriggerAuthentication", "forebay-rabbitmq-management")
HPA = ("HorizontalPodAutoscaler", "forebay-gateway")
BUDGET = ("PodDisruptionBudget", "forebay-gateway")
SERVICE = ("Service", "forebay-gateway")
POLICY = ("NetworkPolicy", "forebay-worker")
GATEWAY_POLICY = ("NetworkPolicy", "forebay-gateway")
DNS = ("NetworkPolicy", "dns")
RABBITMQ = ("StatefulSet", "rabbitmq")
RABBITMQ_POLICY = ("NetworkPolicy", "rabbitmq")
REDIS = ("StatefulSet", "redis")
REDIS_POLICY = ("NetworkPolicy", "redis")

POD = "spec.template.spec."
MAIN = POD + "containers.0."
QUEUES = "spec.triggers.0.metadata."
REMOVED = object()

# The document, the path of the field, its wrong value, and a word that the fault must have.
WRONG = [
    # Unknown fields, wrong types and wrong words, which only the schemas of Kubernetes know.
    (GATEWAY, MAIN + "readinesProbe", {"httpGet": {"path": "/readyz", "port": "admin"}}, "readinesProbe"),
    (GATEWAY, POD + "terminationGracePeriod", 45, "terminationGracePeriod"),
    (GATEWAY, MAIN + "lifecycle.preStop.sleep.second", 5, "second"),
    (GATEWAY, MAIN + "ports.0.containerPort", "8080", "containerPort"),
    (GATEWAY, "spec.strategy.rollingUpdate.maxSurges", 1, "maxSurges"),
    (GATEWAY, "spec.selector", REMOVED, "selector"),
    (GATEWAY, "apiVersion", "apps/v1beta1", "apps/v1beta1"),
    (GATEWAY, POD + "topologySpreadConstraints.0.whenUnsatisfiable", REMOVED, "whenUnsatisfiable"),
    (WORKER, MAIN + "securityContext.capabilities.dropped", ["ALL"], "dropped"),
    (WORKER, MAIN + "env.0.valuefrom", {}, "valuefrom"),
    (SERVICE, "spec.ports.0.targetport", "http", "targetport"),
    (HPA, "spec.metrics.0.resource.target.averageUtilisation", 70, "averageUtilisation"),
    (HPA, "spec.maxReplicas", REMOVED, "maxReplicas"),
    (BUDGET, "spec.maxUnavailabel", 1, "maxUnavailabel"),
    (POLICY, "spec.egress.0.port", 443, "port"),
    (("Namespace", "forebay"), "spec.finaliser", [], "finaliser"),
    # The same faults in KEDA's resources.
    (SCALED, "spec.minReplicas", 1, "/spec/minReplicas: unknown field"),
    (SCALED, "spec.minReplicaCount", "1", "/spec/minReplicaCount"),
    (SCALED, "spec.fallback.behaviour", "static", "/spec/fallback/behaviour: unknown field"),
    (SCALED, "spec.fallback.behavior", "keep", "/spec/fallback/behavior"),
    (SCALED, "spec.fallback.replicas", REMOVED, "replicas"),
    (SCALED, "spec.scaleTargetRef", REMOVED, "scaleTargetRef"),
    (SCALED, "spec.triggers.0.metadatas", {}, "/spec/triggers/0/metadatas: unknown field"),
    (SCALED, "spec.triggers.0.authenticationRef.namespace", "keda", "namespace: unknown field"),
    (SCALED, "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilisation", 1, "stabilisation: unknown field"),
    (SCALED, QUEUES + "value", 179, "/spec/triggers/0/metadata/value"),
    (SCALED, QUEUES + "excludeUnacked", "false", "no parameter excludeUnacked"),
    (SCALED, QUEUES + "mode", "QueueLenght", "mode must be one of"),
    (SCALED, QUEUES + "value", "many", "value must be a number"),
    (SCALED, QUEUES + "queueName", REMOVED, "queueName is missing"),
    (SCALED, "spec.triggers.0.metricType", "Utilization", "metricType must be one of"),
    (SCALED, "spec.triggers.0.type", "rabbitmqs", "the type rabbitmqs"),
    (AUTHENTICATION, "spec.secretTargetRef.0.param", "username", "param: unknown field"),
    (AUTHENTICATION, "spec.secretTargetRef.0.parameter", "user", "no parameter user"),
    # The restricted Pod Security Standard. tests/test_pod_security.py has all its controls.
    (GATEWAY, MAIN + "securityContext.allowPrivilegeEscalation", True, "allowPrivilegeEscalation"),
    (GATEWAY, POD + "securityContext.runAsNonRoot", REMOVED, "runAsNonRoot"),
    (WORKER, POD + "securityContext.seccompProfile", REMOVED, "seccompProfile"),
    (WORKER, MAIN + "securityContext.capabilities.drop", ["NET_RAW"], "must have ALL"),
    (("Namespace", "forebay"), "metadata.labels", {}, "must be restricted"),
    # What the manifests promise beyond that.
    (GATEWAY, POD + "enableServiceLinks", REMOVED, "enableServiceLinks must be false"),
    (GATEWAY, POD + "automountServiceAccountToken", True, "automountServiceAccountToken must be false"),
    (GATEWAY, POD + "terminationGracePeriodSeconds", 34, "must be above 34"),
    (GATEWAY, MAIN + "lifecycle", REMOVED, "preStop"),
    (GATEWAY, MAIN + "resources.limits", REMOVED, "resources.limits.memory"),
    (GATEWAY, MAIN + "readinessProbe", REMOVED, "readinessProbe is missing"),
    (GATEWAY, MAIN + "readinessProbe.httpGet.path", "/healthz", "must request /readyz"),
    (GATEWAY, "spec.replicas", 2, "spec.replicas must be absent"),
    (GATEWAY, POD + "topologySpreadConstraints", REMOVED, "kubernetes.io/hostname"),
    (WORKER, POD + "terminationGracePeriodSeconds", 124, "must be above 124"),
    (WORKER, POD + "terminationGracePeriodSeconds", REMOVED, "must be above 124"),
    (WORKER, MAIN + "env.0.name", "FOREBAY_ADMIN_LISTENS", "FOREBAY_ADMIN_LISTENS is not a setting"),
    (WORKER, MAIN + "env.0.value", "127.0.0.1:9090", "FOREBAY_ADMIN_LISTEN must be"),
    (WORKER, MAIN + "env.3", {"name": "AMQP_URL", "value": "amqp://u:p@rabbitmq"}, "must come from a Secret"),
    (WORKER, MAIN + "env.1.value", "100", "value must be 70"),
    (WORKER, MAIN + "env.2.value", "400", "stabilizationWindowSeconds must be at least 404"),
    (GATEWAY, "spec.strategy.rollingUpdate.maxUnavailable", 1, "maxUnavailable must be 0"),
    (WORKER, "spec.strategy.rollingUpdate.maxUnavailable", REMOVED, "maxUnavailable must be 0"),
    (HPA, "spec.minReplicas", 1, "minReplicas must be at least 2"),
    (HPA, "spec.maxReplicas", 2, "maxReplicas must be above"),
    (SCALED, "spec.maxReplicaCount", 0, "maxReplicaCount must be above"),
    (SCALED, "spec.maxReplicaCount", REMOVED, "maxReplicaCount must be above"),
    (SCALED, "spec.fallback.behavior", REMOVED, "fallback.behavior must be"),
    (SCALED, "spec.fallback.behavior", "static", "fallback.behavior must be"),
    (SCALED, QUEUES + "vhostName", REMOVED, "vhostName is missing"),
    (SCALED, QUEUES + "host", "http://rabbitmq.forebay.svc:5672/", "must have the port 15672"),
    (SCALED, QUEUES + "host", "rabbitmq.forebay.svc:15672", "must be a URL"),
    (BUDGET, "spec.maxUnavailable", 2, "maxUnavailable must be 1"),
    (HPA, "spec.metrics.1", REMOVED, "no metric memory"),
    (HPA, "spec.scaleTargetRef.name", "forebay-worker", "two autoscalers"),
    (SCALED, QUEUES + "excludeUnacknowledged", "true", "excludeUnacknowledged: 'false'"),
    (SCALED, QUEUES + "operation", "max", "operation: 'sum'"),
    (SCALED, QUEUES + "queueName", "forebay.jobs.batch", "queueName"),
    (SCALED, QUEUES + "value", "256", "value must be 179"),
    (SCALED, QUEUES + "host", "http://user:password@rabbitmq:15672/", "must have no password"),
    (SCALED, QUEUES + "protocol", "amqp", "useRegex works with the protocol http only"),
    (SCALED, "spec.minReplicaCount", 0, "minReplicaCount must be 1"),
    (SCALED, "spec.fallback", REMOVED, "fallback is missing"),
    (SCALED, "spec.triggers.0.metricType", REMOVED, "metricType must be one of"),
    (SCALED, "spec.triggers.0.authenticationRef", REMOVED, "authenticationRef"),
    (SCALED, "spec.triggers.2", REMOVED, "exactly three: cpu, memory"),
    (POLICY, "spec.egress.0.ports", REMOVED, "must name its ports"),
    (POLICY, "spec.ingress.0.from", REMOVED, "must name its peers"),
    (("NetworkPolicy", "default-deny"), "spec.policyTypes", ["Ingress"], "denies all traffic"),
    # Connections that are needed, or must not be.
    (DNS, "spec.egress.0.ports.0", REMOVED, "refuse egress namespace kube-system:53/UDP"),
    (DNS, "spec.egress.0.ports.1", REMOVED, "refuse egress namespace kube-system:53/TCP"),
    (DNS, "spec.egress.0.to.0.namespaceSelector.matchLabels", {"kubernetes.io/metadata.name": "dns"}, "kube-system:53"),
    (DNS, "spec.podSelector", {"matchLabels": {"app.kubernetes.io/component": "worker"}}, "forebay-gateway: the policies refuse"),
    (POLICY, "spec.egress.2", REMOVED, "refuse egress 203.0.113.7:443"),
    (POLICY, "spec.egress.2.to.1", REMOVED, "refuse egress 2001:db8::7:443"),
    (POLICY, "spec.egress.2.to.0.ipBlock.except", [], "allow egress 169.254.169.254:443"),
    (POLICY, "spec.egress.2.ports.0.port", 80, "refuse egress 203.0.113.7:443"),
    (POLICY, "spec.egress.0.ports.2", REMOVED, "6379"),
    (POLICY, "spec.egress.1", REMOVED, "refuse egress namespace monitoring:4318"),
    (POLICY, "spec.ingress", [], "refuse ingress namespace monitoring:9090"),
    (GATEWAY_POLICY, "spec.egress", [], "refuse egress"),
    (GATEWAY_POLICY, "spec.policyTypes", ["Ingress"], "refuse egress"),
    (GATEWAY_POLICY, "spec.ingress.0", REMOVED, "refuse ingress namespace app:8080"),
    (GATEWAY_POLICY, "spec.ingress.0.from.0.namespaceSelector", {}, "allow ingress namespace other:8080"),
    (GATEWAY_POLICY, "spec.ingress.0.ports.0.port", "admin", "allow ingress namespace app:9090"),
    # References to what does not exist.
    (WORKER, MAIN + "env.3.valueFrom.secretKeyRef.key", "AMQP", "has no key AMQP"),
    (WORKER, MAIN + "envFrom.0.configMapRef.name", "forebay-setting", "no ConfigMap forebay-setting"),
    (GATEWAY, POD + "serviceAccountName", "other", "no ServiceAccount other"),
    (GATEWAY, MAIN + "volumeMounts.0.name", "provider", "no volume provider"),
    (GATEWAY, MAIN + "ports.1.name", "metrics", "no port admin"),
    (SERVICE, "spec.selector", {"app": "forebay"}, "selects no pod"),
    (SERVICE, "spec.ports.0.targetPort", "https", "no port https"),
    (SCALED, "spec.scaleTargetRef.name", "worker", "no Deployment worker"),
    (SCALED, "spec.triggers.0.authenticationRef.name", "other", "no TriggerAuthentication other"),
    (SERVICE, "metadata.namespace", "default", "namespace must be forebay"),
]


# The same for the overlay `demo`.
WRONG_DEMO = [
    (RABBITMQ_POLICY, "spec.ingress.0", REMOVED, "refuse ingress namespace forebay:5672"),
    (RABBITMQ_POLICY, "spec.ingress.1", REMOVED, "refuse ingress namespace keda:15672"),
    (RABBITMQ_POLICY, "spec.ingress.2", REMOVED, "refuse ingress namespace monitoring:15692"),
    (RABBITMQ_POLICY, "spec.ingress.0.from.0", {"namespaceSelector": {}}, "allow ingress namespace other:5672"),
    (REDIS_POLICY, "spec.ingress.0.from.0.podSelector.matchLabels", {"app.kubernetes.io/name": "other"}, "forebay:6379"),
    (SCALED, QUEUES + "host", "http://rabbit.forebay.svc:15672/", "host must be one of"),
    (SCALED, "spec.maxReplicaCount", 1, "maxReplicaCount must be above"),
    (REDIS, MAIN + "resources.limits.memory", "512Mi", "below 2 times maxmemory"),
    (RABBITMQ, MAIN + "resources.limits.memory", "768Mi", "below 2 times vm_memory_high_watermark"),
]


class WrongFields(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = rendering.render(tools.kubectl(), rendering.MANIFESTS / "base")
        cls.demo = rendering.render(tools.kubectl(), rendering.MANIFESTS / "overlays/demo")

    def test_the_base_and_the_demo_have_no_fault(self):
        self.assertEqual(faults.of(self.base), [])
        self.assertEqual(faults.of(self.demo), [])

    def test_each_wrong_field_is_found(self):
        for documents, wrong in ((self.base, WRONG), (self.demo, WRONG_DEMO)):
            for document, path, value, word in wrong:
                with self.subTest(document=document, path=path, value=value):
                    found = faults.of(changed(documents, document, path, value))
                    self.assertTrue(any(word in fault for fault in found), f"expected {word!r} in {found}")

    def test_a_missing_document_is_found(self):
        for kind, name, word in [
            ("ScaledObject", "forebay-worker", "no autoscaler"),
            ("HorizontalPodAutoscaler", "forebay-gateway", "no autoscaler"),
            ("PodDisruptionBudget", "forebay-gateway", "maxUnavailable must be 1"),
            ("NetworkPolicy", "default-deny", "denies all traffic"),
            ("NetworkPolicy", "forebay-worker", "who may connect"),
            ("NetworkPolicy", "dns", "refuse egress namespace kube-system:53/UDP"),
            ("TriggerAuthentication", "forebay-rabbitmq-management", "no TriggerAuthentication"),
        ]:
            with self.subTest(kind=kind, name=name):
                rest = [d for d in self.base if (d["kind"], d["metadata"]["name"]) != (kind, name)]
                self.assertEqual(len(rest), len(self.base) - 1)
                self.assertTrue(any(word in fault for fault in faults.of(rest)))

    def test_an_unknown_setting_in_the_config_map_is_found(self):
        documents = copy.deepcopy(self.base)
        [settings] = [d for d in documents if d["metadata"]["name"].startswith("forebay-settings")]
        settings["data"]["FOREBAY_LOG_FORMATS"] = "json"
        self.assertTrue(any("FOREBAY_LOG_FORMATS is not a setting" in fault for fault in faults.of(documents)))

    def test_kustomize_refuses_an_unknown_field_of_its_own_files(self):
        with self.assertRaises(rendering.RenderError):
            rendering.render(tools.kubectl(), rendering.MANIFESTS / "base/gateway")


def changed(documents, document, path, value):
    """A copy of the documents with one field set or removed."""
    documents = copy.deepcopy(documents)
    [inner] = [d for d in documents if (d["kind"], d["metadata"]["name"]) == document]
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in steps:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return documents


if __name__ == "__main__":
    unittest.main()
