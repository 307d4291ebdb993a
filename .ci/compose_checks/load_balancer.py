"""Checks what the load balancer does with requests, with two scripted gateways.

/N answers with the status N, /read reads the body, and /lost reads it and closes the connection (balanced.py).
"""

import http.client
import json
import threading
import time
import uuid

from .balanced import BODY_BYTES_MAX, Balanced
from .images import Failure

# The method, the path, whether there is an Idempotency-Key, the expected status, and how many gateways get the request.
CASES = (
    ("POST", "/200", False, 200, 1),
    ("POST", "/read", True, 200, 1),
    ("POST", "/502", False, 502, 1),
    ("POST", "/502", True, 502, 2),
    ("GET", "/502", False, 502, 2),
    ("GET", "/503", False, 503, 1),
    ("POST", "/503", True, 503, 1),
    # An error of the gateway is passed on as it is.
    ("POST", "/500", True, 500, 1),
    # The gateway has read the request, so it may have accepted it, and closes the connection.
    ("POST", "/lost", False, 502, 1),
    ("POST", "/lost", True, 502, 2),
    ("GET", "/lost", False, 502, 2),
)
# Together 300 MB, more than the container's /tmp in memory (16 MiB), so nginx must store bodies on the volume.
SLOW_BODIES = 30
SLOW_BODY_BYTES = 10_000_000
LAST_BYTES = 100_000
# Longer than nginx's own default (8 KiB), shorter than the gateway's limit (64 KiB).
LONG_BYTES = 20_000


def check():
    """Runs all checks."""
    with Balanced() as balanced:
        cases(balanced)
        raw_paths(balanced)
        limits(balanced)
        own_errors(balanced)
        slow_bodies(balanced)
        buffering(balanced)
        deleted_and_added_gateway(balanced)


def key(has_key):
    return {"Idempotency-Key": "key"} if has_key else {}


def cases(balanced):
    """Which requests a second gateway gets."""
    balanced.wait_until_all_gateways_are_used()
    for method, path, has_key, status, gateways in CASES:
        target = f"{path}?case={uuid.uuid4().hex}"
        answer, headers, _ = balanced.request(method, target, key(has_key) | {"X-Request-Id": "id-of-the-check"})
        # Waits until nginx uses both gateways again: it leaves one out after two failures. Their logs are complete then,
        # because each has a later line.
        balanced.wait_until_all_gateways_are_used()
        got = balanced.got(target)
        ids = {line.split(" id=")[1].split(" host=")[0] for line in got} | set(headers.get_all("X-Request-Id", []))
        found = (answer, len(got), ids)
        if found != (status, gateways, {"id-of-the-check"}):
            raise Failure(
                f"{method} {path}, Idempotency-Key: {has_key}: status {found[0]} from {found[1]} gateway(s) with the request "
                f"ids {found[2]}, not {status} from {gateways}"
            )
    print(f"  {len(CASES)} cases: which requests a second gateway gets, with the same request id")


def raw_paths(balanced):
    """The gateway gets the path as the client sent it."""
    for method, has_key in (("GET", False), ("POST", False), ("POST", True)):
        path = f"/v1/sessions/a%2Fb//c%20{uuid.uuid4().hex}?q=%2F"
        balanced.request(method, path, key(has_key))
        balanced.wait_until_all_gateways_are_used()
        if not balanced.got(f"{method} {path} "):
            raise Failure(f"{method}: the gateway did not get the path {path}")
    print("  the path is passed on as it was sent")


def limits(balanced):
    """nginx accepts headers and URIs up to the gateway's limit."""
    for what, path, headers in (
        ("header", "/200", {"X-Long": "x" * LONG_BYTES}),
        ("URI", "/200?" + "x" * LONG_BYTES, {}),
    ):
        status = balanced.request("GET", path, headers)[0]
        if status != 200:
            raise Failure(f"a {what} of {LONG_BYTES} bytes got {status}")
    print("  long headers and URIs are passed on")


def own_errors(balanced):
    """nginx's own errors are problems and have a request id."""
    expect_problem(413, "body_too_large", announce(balanced, BODY_BYTES_MAX + 1))
    expect_problem(413, "body_too_large", announce(balanced, BODY_BYTES_MAX + 1, key(True)))
    expect_problem(431, "headers_too_large", balanced.request("GET", "/200", {"X-Long": "x" * 70_000}))
    expect_problem(405, "invalid_http", balanced.request("TRACE", "/200"))
    expect_problem(400, "invalid_http", balanced.request("GET", "/200", {"Host": "a b"}))
    # nginx has no location for a request line that it cannot read.
    for method, path in (("GET", "/%00"), ("GET", "/%zz"), ("GET", "/v1/sessions/..%2F..%2F..%2Fx"), ("FOO", "x")):
        expect_problem(400, "invalid_http", balanced.request(method, path))
    # Only nginx itself uses the locations of its errors.
    status = balanced.request("GET", "/.no_gateway")[0]
    if status != 404:
        raise Failure(f"the location of an error answered {status} to a client")
    print("  nginx's own errors are problems with a request id")


def announce(balanced, length, headers=None):
    """The answer to a POST that announces a body of this length and does not send it."""
    connection = balanced.connection()
    try:
        connection.putrequest("POST", "/read")
        for name, value in {"Content-Length": str(length), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def expect_problem(status, code, answer):
    found, headers, body = answer
    if (found, headers.get("Content-Type")) != (status, "application/problem+json"):
        raise Failure(f"{found} {headers.get('Content-Type')} {body[:200]} instead of a problem with the status {status}")
    problem = json.loads(body)
    if (problem["status"], problem["code"]) != (status, code) or not headers.get("X-Request-Id"):
        raise Failure(f"{problem} with the headers {headers.items()} instead of {status} {code} with a request id")


def slow_bodies(balanced):
    """Many large bodies that arrive slowly are all accepted."""
    arrived, statuses = threading.Barrier(SLOW_BODIES), []

    def upload(number):
        connection = balanced.connection()
        try:
            connection.putrequest("POST", f"/read?slow={number}")
            connection.putheader("Content-Length", str(SLOW_BODY_BYTES))
            connection.endheaders()
            connection.send(b"x" * (SLOW_BODY_BYTES - LAST_BYTES))
            # Waits until nginx holds all bodies at the same time.
            arrived.wait(60)
            connection.send(b"x" * LAST_BYTES)
            statuses.append(connection.getresponse().status)
        except (OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
            arrived.abort()
            statuses.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(SLOW_BODIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if statuses != [200] * SLOW_BODIES:
        raise Failure(f"{SLOW_BODIES} slow bodies of {SLOW_BODY_BYTES} bytes got {sorted(set(map(str, statuses)))}")
    print(f"  {SLOW_BODIES} slow bodies of {SLOW_BODY_BYTES} bytes arrive at the same time")


def buffering(balanced):
    """An answer with `X-Accel-Buffering: no` is passed on as it comes. Others are passed on in larger parts."""
    for path, is_passed_on in (("/slow", False), ("/stream", True)):
        connection = balanced.connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read(1)
            first = time.monotonic()
            response.read()
            # The gateway sends for two seconds after the first bytes.
            came_early = time.monotonic() - first > 1
        finally:
            connection.close()
        if came_early != is_passed_on:
            raise Failure(f"{path}: the first bytes came {'' if came_early else 'not '}before the last ones")
    print("  X-Accel-Buffering: no turns buffering off")


def deleted_and_added_gateway(balanced):
    """After a gateway was deleted, no request fails. A gateway that is added later gets requests."""
    balanced.remove_gateway()
    # A connection that failed has sent nothing, so a POST without a key is tried again too.
    for method in ("GET", "POST"):
        statuses = [balanced.status(method, "/200?lost") for _ in range(40)]
        if statuses != [200] * 40:
            raise Failure(f"after a gateway was deleted, {method} requests got {statuses}")
    balanced.add_gateway()
    balanced.wait_until_all_gateways_are_used()
    print("  no request fails after a gateway was deleted; an added one gets requests")
