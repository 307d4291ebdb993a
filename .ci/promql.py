"""Reads the queries in deploy/: those of the dashboard and of the alerts, and their metrics.

This module reads queries as text and only finds names; promtool checks the syntax. It fails on an unknown variable of
Grafana. An unknown keyword counts as a metric, so .ci/monitoring reports it.
"""

import json
import re

# Variables that Grafana replaces before it sends a query, with the values that replace them here.
GRAFANA = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h", "$namespace": ".*", "$instance": ".*"}

KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end"}
GROUPINGS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
MATCHERS = re.compile(r"\{[^{}]*\}")
RANGES = re.compile(r"\[[^\[\]]*\]")
STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
NUMBERS = re.compile(r"\b\d+(?:\.\d+)?(?:ms|[smhdwy])?\b")
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


def metrics_of(query):
    """The names of the metrics in a query."""
    text = STRINGS.sub('""', query)
    for pattern in (MATCHERS, RANGES, GROUPINGS, NUMBERS):
        text = pattern.sub(" ", text)
    names = set()
    for found in NAME.finditer(text):
        follows = text[found.end() :].lstrip()
        is_function = follows.startswith("(")
        # An aggregation may have its grouping, which is blank now, before its parenthesis.
        if not is_function and found.group().lower() not in KEYWORDS:
            names.add(found.group())
    return names


def without_variables(query):
    """The query with Grafana's variables replaced, so that it selects everything."""
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    if "$" in query:
        raise ValueError(f"a variable that promql.py does not know: {query}")
    return query


def dashboard_queries(path):
    """`(title, query)` of each panel, annotation and variable of a dashboard."""
    dashboard = json.loads(path.read_text())
    for panel in panels_of(dashboard):
        for target in panel.get("targets", []):
            yield panel["title"], without_variables(target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], without_variables(annotation["expr"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            # label_values(selector, label) is Grafana's own function.
            found = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
            yield f"variable {variable['name']}", without_variables(found.group(1))


def panels_of(dashboard):
    """All panels, also those within collapsed rows."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def alerts_of(path):
    """`{name: fields}` of each alert of a rules file: its `expr`, `severity`, `summary`, `description` and `runbook_url`.

    Knows the form that alerts.yml has: two spaces for each level, and `expr` as a plain or a literal (`|`) scalar.
    """
    alerts = {}
    for part in re.split(r"^      - alert: ", path.read_text(), flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0].strip()
        if name in alerts:
            raise ValueError(f"two alerts have the name {name}")
        found = re.search(r"^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)", part, re.MULTILINE)
        fields = {"expr": (found.group(1) or found.group(2)) if found else ""}
        for field in ("severity", "summary", "description", "runbook_url"):
            value = re.search(rf"\b{field}: ([^}}\n]*)" if field == "severity" else rf"^ +{field}: (.+)$", part, re.MULTILINE)
            fields[field] = value.group(1).strip() if value else ""
        alerts[name] = fields
    return alerts


def metrics_in(text):
    """The names in an output of /metrics, in Prometheus's text format 0.0.4: of samples, and of families without samples."""
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            names.add(family)
            if kind == "histogram":
                names.update(family + suffix for suffix in ("_bucket", "_sum", "_count"))
        elif line and not line.startswith("#"):
            names.add(NAME.match(line).group())
    return names
