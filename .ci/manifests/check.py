"""Checks all rendered variants of deploy/kubernetes and the ports of docker-compose.yml, then tests the checks themselves.

.ci/kubernetes starts this.
"""

import sys
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
sys.dont_write_bytecode = True

import compose_ports
import faults
import rendering
import tools


def main():
    wrong = 0
    for name, documents in rendering.render_all(tools.kubectl()).items():
        began = time.monotonic()
        found = faults.of(documents)
        for fault in found:
            print(f"{name}: {fault}", file=sys.stderr)
        wrong += len(found)
        print(f"== {name}: {len(documents)} documents, {len(found)} faults, {time.monotonic() - began:.1f} s", flush=True)
    found = compose_ports.faults()
    for fault in found:
        print(f"docker-compose.yml: {fault}", file=sys.stderr)
    wrong += len(found)
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).resolve().parent / "tests"))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    if result.testsRun == 0:
        sys.exit("no test was found")
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if wrong or failed else 0)


if __name__ == "__main__":
    main()
