"""Clients of the API and of RabbitMQ's management API, over connections that stay open."""

import base64
import http.client
import json
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from .images import Failure

REQUEST_S_MAX = 70
# How long a read that gets 503 is repeated.
UNAVAILABLE_S_MAX = 20
THREADS = 16


class Client:
    """A client for one address. Each thread has a connection of its own."""

    def __init__(self, port, headers=None):
        self.port = port
        self.headers = headers or {}
        self.local = threading.local()

    def request(self, method, path, body=None, headers=None):
        """The status, the headers with lower-case names, and the body: parsed if it is JSON, otherwise a string.

        Raises an error if the connection is lost.
        """
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_S_MAX)
            self.local.connection = connection
        all_headers = self.headers | (headers or {})
        if body is not None:
            body = json.dumps(body).encode()
            all_headers = all_headers | {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, all_headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.local.connection = None
            raise
        if response.will_close:
            connection.close()
            self.local.connection = None
        lower_case_headers = {name.lower(): value for name, value in response.getheaders()}
        body = json.loads(text) if text.startswith((b"{", b"[")) else text.decode()
        return response.status, lower_case_headers, body

    def get(self, path):
        """The JSON body of a response with status 200.

        A server may close an idle connection at any time; then a read is repeated once (RFC 9112, section 9.3.1). A read that gets
        503 because the machine is slow is repeated after a second, as its `Retry-After` asks for.
        """
        deadline = time.monotonic() + UNAVAILABLE_S_MAX
        while True:
            try:
                status, _, body = self.request("GET", path)
            except (OSError, http.client.HTTPException):
                status, _, body = self.request("GET", path)
            if status != 503 or time.monotonic() > deadline:
                break
            time.sleep(1)
        if status != 200:
            raise Failure(f"GET {path}: {status} {body}")
        return body


class Api(Client):
    """The HTTP API of Forebay."""

    def submit(self, body, key=None):
        """Submits a job. Returns its id."""
        status, _, answer = self.request("POST", "/v1/jobs", body, {"Idempotency-Key": key} if key else None)
        if status != 202:
            raise Failure(f"POST /v1/jobs: {status} {answer}")
        return answer["id"]

    def result(self, job_id, timeout_s=120):
        """Waits until the job has ended, and returns it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            job = self.get(f"/v1/jobs/{job_id}?wait_s=20")
            if job["ended_at"] is not None:
                return job
        raise Failure(f"the job {job_id} has not ended within {timeout_s} s")

    def session(self, name):
        """A session with its turns."""
        return self.get(f"/v1/sessions/{urllib.parse.quote(name, safe='')}")

    def count(self, field):
        """The sum of a field of `GET /v1/queues` over all classes."""
        return sum(counts[field] for counts in self.get("/v1/queues")["classes"].values())


class Management(Client):
    """The management API of RabbitMQ."""

    def __init__(self, port):
        token = base64.b64encode(b"forebay:forebay").decode()
        super().__init__(port, {"Authorization": f"Basic {token}"})

    def depth(self):
        """How many messages the queues of jobs hold, or None while RabbitMQ has no counts yet."""
        queues = [queue for queue in self.get("/api/queues/%2F") if queue["name"].startswith("forebay.jobs.")]
        if len(queues) != 2 or any("messages" not in queue for queue in queues):
            return None
        return sum(queue["messages"] for queue in queues)


def in_parallel(function, items):
    """Calls the function for all items, in several threads. Returns the results in order; the first error is raised."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def until(description, check, timeout_s):
    """Calls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout_s} s: {description}")
        time.sleep(0.1)
