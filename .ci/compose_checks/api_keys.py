"""`deploy/init-env` makes an API key and passwords. With this key set, the API refuses requests without a key."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import readme
from .clients import Api
from .images import ROOT, Failure

NAMES = ("RABBITMQ_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD", "FOREBAY_API_KEYS_FILE")


def check(stack):
    """Runs the README's command in a temporary folder, then the request that it prints, against the stack with the new key.

    The servers of the stack keep their passwords, which belong to their volumes.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # The containers' user must be able to read the file.
        folder.chmod(0o755)
        (folder / "deploy").mkdir()
        shutil.copy(ROOT / "deploy" / "init-env", folder / "deploy")
        (folder / ".env").write_text(f"API_PORT={stack.api_port}\n")
        printed = run(readme.command("init-env"), folder)
        values = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
        for name in NAMES:
            if len(values.get(name, "")) < 10:
                raise Failure(f"init-env wrote no {name}: {sorted(values)}")
        before = (folder / ".env").read_text()
        run(readme.command("init-env"), folder)
        if (folder / ".env").read_text() != before:
            raise Failure("a second run of init-env changed .env")

        stack.set(FOREBAY_API_KEYS_FILE=folder / values["FOREBAY_API_KEYS_FILE"])
        stack.shell(readme.command("compose-up"))
        status = Api(stack.api_port).request("GET", "/v1/queues")[0]
        if status != 401:
            raise Failure(f"a request without a key got the status {status}")
        request = printed.split("this works:")[1].split("Only this machine")[0].strip()
        answer = run(request, folder)
        if '"status":"queued"' not in answer:
            raise Failure(f"`{request}` got {answer}")
    print("  the API needs a key, and the request that init-env prints works")


def run(command, folder):
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f"`{command}`: exit code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
