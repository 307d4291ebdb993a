"""Renders the manifests with kubectl's kustomize."""

import os
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = ROOT / "deploy/kubernetes"
RENDER_TIMEOUT_S = 30


class RenderError(Exception):
    """kustomize refused the files. The message is its own."""


def render(kubectl, folder):
    """The documents that `kubectl apply -k FOLDER` would send."""
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RenderError(f"{folder}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def render_with_component(kubectl, component):
    """The documents of the base with a component, as an overlay of a user would have them."""
    target = ROOT / "target"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ci-manifests-", dir=target) as overlay:
        here = Path(overlay)
        content = {
            "resources": [os.path.relpath(MANIFESTS / "base", here)],
            "components": [os.path.relpath(MANIFESTS / "components" / component, here)],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return render(kubectl, here)


def render_all(kubectl):
    """All variants: their names, each with its documents."""
    return {
        "base": render(kubectl, MANIFESTS / "base"),
        "overlays/demo": render(kubectl, MANIFESTS / "overlays/demo"),
        "base with components/prometheus-trigger": render_with_component(kubectl, "prometheus-trigger"),
    }
