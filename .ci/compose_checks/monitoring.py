"""The profile `monitoring`: Prometheus scrapes all processes, and Grafana answers all queries of the dashboard.

On a machine without a container registry, its images are missing. Then the check prints that it is left out.
"""

import base64
import json
import sys
import urllib.parse

from . import images, readme
from .clients import Client, until
from .images import ROOT, Failure

sys.path.insert(0, str(ROOT / ".ci"))
import promql  # noqa: E402

DASHBOARD = ROOT / "deploy/grafana/dashboards/forebay.json"
DATA_SOURCE = "prometheus"
TARGETS_S_MAX = 60


def check(stack):
    """Starts the profile with the README's command and asks Prometheus and Grafana."""
    names = sorted(set(stack.output("compose", "--profile", "monitoring", "config", "--images").split()) - set(own_images(stack)))
    missing = [name for name in names if not images.succeeds("docker", "image", "inspect", name)]
    for name in missing:
        if not images.succeeds("docker", "pull", name, timeout_s=images.PULL_S_MAX):
            print(f"  LEFT OUT: the profile `monitoring` was not run, because {name} cannot be pulled")
            return
    stack.shell(readme.command("compose-monitoring"), timeout_s=300)
    processes = sum(len(stack.containers(service)) for service in ("gateway", "worker"))
    # RabbitMQ and Prometheus itself are targets too.
    check_targets(Client(stack.prometheus_port), processes + 2)
    check_grafana(Client(stack.grafana_port, {"Authorization": basic("admin:forebay")}))


def own_images(stack):
    """The images of the services without a profile."""
    return stack.output("compose", "config", "--images").split()


def basic(user):
    return "Basic " + base64.b64encode(user.encode()).decode()


def check_targets(prometheus, count):
    """All targets answer scrapes."""

    def all_up():
        targets = prometheus.get("/api/v1/targets")["data"]["activeTargets"]
        return len(targets) == count and all(target["health"] == "up" for target in targets)

    until(f"Prometheus scrapes {count} targets", all_up, TARGETS_S_MAX)
    rules = prometheus.get("/api/v1/rules")["data"]["groups"]
    if not rules or any(rule["health"] == "err" for group in rules for rule in group["rules"]):
        raise Failure(f"Prometheus does not evaluate the alert rules: {json.dumps(rules)[:500]}")
    print(f"  Prometheus scrapes {count} targets and evaluates the alert rules")


def check_grafana(grafana):
    """Grafana has the dashboard, and its data source answers each query."""
    found = json.loads(DASHBOARD.read_text())
    shown = grafana.get(f"/api/dashboards/uid/{found['uid']}")["dashboard"]
    if shown["title"] != found["title"]:
        raise Failure(f"Grafana shows the dashboard {shown['title']}")
    queries = sorted({query for _, query in promql.dashboard_queries(DASHBOARD)})
    if not queries:
        raise Failure("the dashboard has no query")
    for query in queries:
        path = f"/api/datasources/proxy/uid/{DATA_SOURCE}/api/v1/query?query={urllib.parse.quote(query)}"
        answer = grafana.get(path)
        if answer["status"] != "success":
            raise Failure(f"Grafana's data source answers {answer} to {query}")
    print(f"  Grafana has the dashboard, and its data source answers all {len(queries)} queries")

