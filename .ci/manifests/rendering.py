"""Renders the manifests with kubectl's kustomize."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = ROOT / "deploy/kubernetes"
RENDER_TIMEOUT_S = 30


class RenderError(Exception):
    """kustomize refused the files. The message is kustomize's."""


def render(kubectl, folder):
    """The documents that `kubectl apply -k FOLDER` would send."""
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RenderError(f"{folder}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def render_text(kubectl, kustomization):
    """The documents of an overlay with this text, as if it were in a folder below overlays/."""
    target = ROOT / "target"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ci-manifests-", dir=target) as overlay:
        to_manifests = os.path.relpath(MANIFESTS, overlay)
        (Path(overlay) / "kustomization.yaml").write_text(kustomization.replace("../..", to_manifests))
        return render(kubectl, overlay)


def documented_overlays():
    """The overlays that the pages describe, each with its title. A comment marks them."""
    found = {}
    for page in sorted(MANIFESTS.glob("*.md")):
        for number, text in enumerate(re.findall(r"<!-- overlay -->\n```yaml\n(.*?)```", page.read_text(), re.DOTALL), 1):
            found[f"{page.name}, overlay {number}"] = text
    return found


def render_all(kubectl):
    """All variants: their titles, each with its documents."""
    variants = {title: render(kubectl, MANIFESTS / title) for title in ("base", "overlays/demo")}
    for component in sorted((MANIFESTS / "components").iterdir()):
        title = f"components/{component.name}"
        variants[title] = render_text(kubectl, yaml.safe_dump({"resources": ["../../base"], "components": [f"../../{title}"]}))
    overlays = documented_overlays()
    if not overlays:
        raise RenderError(f"{MANIFESTS} has no page with a marked overlay")
    return variants | {title: render_text(kubectl, text) for title, text in overlays.items()}
