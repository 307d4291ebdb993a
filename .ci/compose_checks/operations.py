"""The runbook's commands for docker-compose.yml, and the README's for the profile `monitoring`."""

import shlex
import subprocess
import tempfile
import threading
from http.client import HTTPException
from pathlib import Path

from . import images, readme
from .clients import Api, until
from .images import Failure

STAND_IN = "monitoring-stand-in"


def runbook(marker):
    """The commands of the runbook's block after the comment `<!-- marker -->`."""
    return readme.commands(marker, "deploy/RUNBOOK.md")


def start_profile(stack):
    """Starts a service of the profile `monitoring`, which the README's commands must stop and delete."""
    stack.shell(f"docker compose up -d {STAND_IN}")


def check_profile_is_stopped(stack):
    """Checks that `stop` has also stopped the service of the profile."""
    if stack.containers(STAND_IN):
        raise Failure("`stop` left a service of the profile `monitoring` running")


def backup_and_restore(stack, scenarios):
    """The runbook's backup brings lost jobs and sessions back. What was submitted after the backup is gone."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = shlex.quote(str(Path(folder) / "forebay.rdb"))

        def run(marker):
            for command in runbook(marker):
                stack.shell(command.replace("forebay.rdb", snapshot))

        run("redis-backup")
        api = Api(stack.api_port)
        late = api.submit({"session_id": "after-the-backup", "input": "late"})
        api.result(late)
        stack.output("compose", "exec", "-T", "redis", "redis-cli", "flushall")
        run("redis-restore")
    scenarios.check_kept()
    api = Api(stack.api_port)
    status = api.request("GET", f"/v1/jobs/{late}")[0]
    if status != 404:
        raise Failure(f"a job that was submitted after the backup has the status {status}")
    api.result(api.submit({"input": "after the restore"}))
    print("  the restored state is that of the backup, and jobs run")


def upgrade(stack, image):
    """The runbook's upgrade replaces all gateways and workers, and no request fails meanwhile."""
    old = set(stack.containers("gateway") + stack.containers("worker"))
    # A new image with the same program, instead of the runbook's first command.
    build, *commands = runbook("compose-upgrade")
    if "compose build" not in build:
        raise Failure(f"the first command of the upgrade is {build}")
    images.run("docker", "build", "-q", "-t", image, "-", timeout_s=60, text=True,
               input=f"FROM {image}\nLABEL release=next\n", stdout=subprocess.DEVNULL)
    ended, failed, count = threading.Event(), [], 0

    def submit_jobs():
        nonlocal count
        while not ended.is_set():
            # nginx may close an idle connection when it reads its configuration again, so each request has a new one.
            api = Api(stack.api_port)
            try:
                status, _, answer = api.request("POST", "/v1/jobs", {"input": "upgrade"}, {"Idempotency-Key": f"upgrade-{count}"})
                if status != 202:
                    failed.append((status, answer))
            except (OSError, HTTPException) as error:
                failed.append(repr(error))
            api.local.connection and api.local.connection.close()
            count += 1

    thread = threading.Thread(target=submit_jobs)
    thread.start()
    try:
        stack.shell("set -e\n" + "\n".join(commands), timeout_s=300)
    finally:
        ended.set()
        thread.join()
    left = old & set(stack.containers("gateway") + stack.containers("worker"))
    numbers = [len(stack.containers(service)) for service in ("gateway", "worker")]
    if left or numbers != [2, 2]:
        raise Failure(f"after the upgrade, {len(left)} old containers run, and the numbers are {numbers}")
    if failed:
        raise Failure(f"during the upgrade, {len(failed)} of {count} submits failed: {failed[0]}")
    until("all jobs have ended", lambda: Api(stack.api_port).count("live") == 0, 120)
    print(f"  all gateways and workers were replaced during {count} submits, and none failed")
