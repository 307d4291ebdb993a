"""Starts Docker if needed, pulls or makes third-party images, builds the image of Forebay, and checks what it declares."""

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The images that the Dockerfile and docker-compose.yml name, without those of the profile `monitoring`.
IMAGES = ("debian:trixie-slim", "rust:1-slim-trixie", "nginx:1", "rabbitmq:4-management", "redis:8")
# On a machine without a container registry, this program makes replacements of these images. It is not part of the repository.
BUILDER = ROOT.parent / "shared" / "images" / "build"
ENGINE_S_MAX = 30

PULL_S_MAX = 300
BUILDER_S_MAX = 900
BUILD_S_MAX = 3600


class Failure(Exception):
    """A check has failed, or cannot run. The text is for the reader of the log."""


def succeeds(*command, timeout_s=60):
    """Whether the command exits with 0 in time."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run(*command, timeout_s, **options):
    """Runs a command. Its output goes to the log."""
    print(f"  $ {' '.join(map(str, command))}", flush=True)
    try:
        done = subprocess.run(command, timeout=timeout_s, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]}: not done within {timeout_s} s") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit code {done.returncode}")


def start_engine():
    """As root, starts Docker Engine if it is installed and does not run. Stops it when this program exits."""
    if succeeds("docker", "info") or shutil.which("dockerd") is None or os.geteuid() != 0:
        return
    print("  $ dockerd", flush=True)
    engine = subprocess.Popen(
        ["dockerd"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    atexit.register(stop_engine, engine)
    deadline = time.monotonic() + ENGINE_S_MAX
    while engine.poll() is None and time.monotonic() < deadline and not succeeds("docker", "info"):
        time.sleep(0.5)


def stop_engine(engine):
    """Stops an engine that this program has started."""
    engine.terminate()
    try:
        engine.wait(ENGINE_S_MAX)
    except subprocess.TimeoutExpired:
        engine.kill()


def provide():
    """Starts Docker and pulls or makes the missing images.

    Without a registry and without BUILDER it fails, and the message names what is needed.
    """
    start_engine()
    has_engine = succeeds("docker", "info") and succeeds("docker", "compose", "version")
    if not has_engine:
        if not BUILDER.exists():
            raise Failure(
                "needs Docker Engine and Docker Compose (`docker info` and `docker compose version` must succeed)"
            )
        run(BUILDER, "--engine", timeout_s=BUILDER_S_MAX)
    missing = [image for image in IMAGES if not succeeds("docker", "image", "inspect", image)]
    while missing and succeeds("docker", "pull", missing[0], timeout_s=PULL_S_MAX):
        missing.pop(0)
    if missing and not BUILDER.exists():
        raise Failure(
            f"needs the images {', '.join(missing)}, and no container registry can be reached. "
            f"Pull or load them, or put a program that makes them at {os.path.relpath(BUILDER, ROOT)}"
        )
    if missing:
        run(BUILDER, timeout_s=BUILDER_S_MAX)


def build_prebuilt(image):
    """Builds the image around the binary of the tests, which cargo brings up to date first."""
    run("cargo", "test", "--quiet", "--workspace", "--no-run", "--locked", timeout_s=BUILD_S_MAX, cwd=ROOT)
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "forebay"
    runtime = f"{image}-runtime"
    dockerfile = ROOT / "deploy" / "Dockerfile"
    run("docker", "build", "-q", "-f", dockerfile, "--target", "runtime", "-t", runtime, ROOT, timeout_s=600)
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(binary, context)
        # Debug information is most of the binary.
        if shutil.which("strip"):
            run("strip", "--strip-debug", Path(context) / "forebay", timeout_s=60)
        (Path(context) / "Dockerfile").write_text(f"FROM {runtime}\nCOPY forebay /usr/local/bin/forebay\n")
        run("docker", "build", "-q", "-t", image, context, timeout_s=600)
    if not succeeds("docker", "run", "--rm", image, "--version"):
        raise Failure(
            "the binary of the tests does not run in the image: this machine's C library is newer than the image's. "
            "Run .ci/compose without --short, which builds the binary in the image"
        )


def check_declarations(image, from_source):
    """Checks what the image declares: its user, its end, its health check and its labels (OCI image-spec, annotations)."""
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, timeout=60, check=True)
    config = json.loads(done.stdout)[0]["Config"]
    declared = {
        "User": config["User"],
        "StopSignal": config.get("StopSignal"),
        "Healthcheck": config["Healthcheck"]["Test"],
        "Entrypoint": config["Entrypoint"],
        "Port": list(config["ExposedPorts"]),
    }
    expected = {
        "User": "65532:65532",
        "StopSignal": "SIGTERM",
        "Healthcheck": ["CMD", "forebay", "health"],
        "Entrypoint": ["forebay"],
        "Port": ["8080/tcp"],
    }
    if declared != expected:
        raise Failure(f"the image declares {declared}, and should declare {expected}")
    labels = ["title", "description", "licenses"]
    if from_source:
        labels += ["version", "revision"]
    has = config["Labels"] or {}
    missing = [name for name in labels if not has.get(f"org.opencontainers.image.{name}")]
    if missing:
        raise Failure(f"the image has no label org.opencontainers.image.{missing[0]}")
