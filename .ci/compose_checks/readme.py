"""Reads commands from the README, and runs its walkthrough."""

import json
import re
import subprocess

from .images import ROOT, Failure

ADDRESS = "localhost:8080"
WALK_S_MAX = 120
END = "@@ end of step"


def text(path="README.md"):
    return (ROOT / path).read_text()


def commands(marker, path="README.md"):
    """The commands of the block after the comment `<!-- marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n```console\n((?:\$ [^\n]+\n)+)```\n", text(path))
    if not found:
        raise Failure(f"{path} has no block with commands after <!-- {marker} -->")
    return [line[2:] for line in found[1].splitlines()]


def command(marker):
    """The only command of the block after the comment `<!-- marker -->` of README.md."""
    found = commands(marker)
    if len(found) != 1:
        raise Failure(f"the block after <!-- {marker} --> has {len(found)} commands")
    return found[0]


def steps():
    """The commands of the walkthrough with their outputs."""
    part = text().split("<!-- walk -->\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"```console\n(.*?)```", part, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line[2:], []])
            else:
                found[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in found]


def normalized(value):
    """A JSON value in which job ids, worker ids and times are replaced by words. Numbers stay."""
    if isinstance(value, dict):
        # The position in the queue depends on the last jobs.
        return {name: "QUEUE" if name == "queue" else normalized(item) for name, item in value.items()}
    if isinstance(value, list):
        return [normalized(item) for item in value]
    if isinstance(value, str):
        value = re.sub(r"job_[0-9a-f]{34}", "JOB", value)
        value = re.sub(r"(forebay|worker)-[0-9a-f]{32}", "WORKER", value)
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", value)
    return value


def comparable(output):
    """The parts of an output that must be as in the README: status lines, headers of Forebay, and bodies.

    A load balancer may add headers, and orders and spells them in its own way.
    """
    parts = []
    for line in output.replace("\r", "").strip().splitlines():
        if line.startswith("{"):
            body = normalized(json.loads(line))
            # Jobs may still run when the walkthrough reads the queues.
            if "classes" in body:
                body = {name: sorted(counts) for name, counts in body["classes"].items()}
            parts.append(json.dumps(body))
        elif header := re.match(r"([A-Za-z-]+): (.*)", line):
            name = header[1].lower()
            if name in ("content-type", "location", "retry-after", "idempotency-replayed"):
                parts.append(f"{name}: {normalized(header[2])}")
        elif line:
            parts.append(line)
    return sorted(parts)


def walk(port):
    """Runs all commands of the walkthrough in one shell and compares their outputs with the README."""
    expected = steps()
    if len(expected) < 8:
        raise Failure(f"the walkthrough of README.md has only {len(expected)} commands")
    script = "".join(
        f"{command.replace(ADDRESS, f'localhost:{port}')}\nprintf '\\n%s\\n' '{END}'\n" for command, _ in expected
    )
    done = subprocess.run(["bash", "-s"], input=script, text=True, stdout=subprocess.PIPE, timeout=WALK_S_MAX)
    outputs = done.stdout.split(f"\n{END}\n")[:-1]
    if len(outputs) != len(expected):
        raise Failure("the shell of the walkthrough ended early")
    for (command, shown), printed in zip(expected, outputs):
        if comparable(printed) != comparable(shown):
            raise Failure(f"$ {command}\nprinted:\n{printed}\nbut README.md shows:\n{shown}")
    print(f"  {len(expected)} commands print what README.md shows", flush=True)
