"""Validates documents strictly against the schemas of Kubernetes: unknown fields are faults."""

import functools
import json

import jsonschema
from kubernetes_validate import utils
from referencing import Registry, Resource

from documents import label

# The oldest version that the manifests support, because of the preStop action `sleep`, and the newest known one.
VERSIONS = ("1.30", "1.37")

# The groups of custom resources, whose schemas are not part of Kubernetes.
CUSTOM_GROUPS = ("keda.sh/",)


def faults(documents):
    return [
        fault
        for document in documents
        if not document.get("apiVersion", "").startswith(CUSTOM_GROUPS)
        for version in VERSIONS
        for fault in faults_of(json.dumps(document), version)
    ]


@functools.cache
def faults_of(text, version):
    """The faults of a document. `text` is the document as JSON, so that it can be the key of the cache: the tests check the
    same documents many times."""
    document = json.loads(text)
    validator = validator_of(version, document.get("kind", ""), document.get("apiVersion", ""))
    if validator is None:
        missing_kind = f"{document.get('apiVersion')} {document.get('kind')}"
        return [f"{label(document)}: Kubernetes {version} has no {missing_kind}"]
    return [
        f"{label(document)}: {'.'.join(str(step) for step in error.absolute_path)}: {error.message[:200]}"
        f" (Kubernetes {version})"
        for error in validator.iter_errors(document)
    ]


@functools.cache
def validator_of(version, kind, api_version):
    """The validator of a kind, or none if Kubernetes has no such kind. kubernetes-validate reads all definitions again
    for each document, which takes a second; here they are read once."""
    api_group, _, group_version = api_version.rpartition("/")
    name = f"{kind.lower()}-{api_group.split('.')[0] + '-' if api_group else ''}{group_version}"
    try:
        schema = utils.schema_contents(f"{folder(version)}/{name}.json", version)
    except FileNotFoundError:
        return None
    registry = Resource.from_contents(schema) @ definitions(version)
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


@functools.cache
def definitions(version):
    return Resource.from_contents(utils.schema_contents(f"{folder(version)}/_definitions.json", version)) @ Registry()


def folder(version):
    return f"kubernetes-json-schema/v{version}.0-local-strict"
