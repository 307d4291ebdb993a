"""The load of monitoring-run: a provider that throttles and fails now and then, and clients that use all of the API."""

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

# The providers file. `metered` has a limit, so it has an account from the start. `flaky` throttles and fails.
PROVIDERS = """
[providers.metered]
base_url = "{url}/v1"
models = ["metered-*"]
rpm = 6000
concurrency = 50

[providers.flaky]
base_url = "{url}/v1"
models = ["flaky-*"]
"""
MODELS = ["simulated", "metered-large", "metered-small", "flaky-model", "unknown/model"]


class Provider(BaseHTTPRequestHandler):
    """Speaks the part of OpenAI's API that Forebay calls. Of each ten calls of `flaky-*`, it refuses those in
    `refusals`."""

    protocol_version = "HTTP/1.1"
    calls = count()
    refusals = {3: (429, "slow down"), 7: (500, "a failure")}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, error = (200, None)
        if body["model"].startswith("flaky"):
            status, error = self.refusals.get(next(self.calls) % 10, (200, None))
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        message = {"role": "assistant", "content": "a reply"}
        reply = {"error": {"message": error}} if error else {
            "id": "x", "object": "chat.completion", "model": body["model"], "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        self.answer(status, reply)

    def answer(self, status, reply):
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def start_provider():
    """Starts the provider. Returns the text of a providers file that names it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return PROVIDERS.format(url=f"http://127.0.0.1:{server.server_port}")


def request(url, body=None, headers=None, method=None):
    """The status and the JSON of an answer."""
    data = json.dumps(body).encode() if body is not None else None
    sent = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def one_round(urls, number):
    """What a client does: submits for each model, a repeat, an invalid submit, reads. Returns the ids of its jobs."""
    url = urls[number % len(urls)]
    jobs = []
    for model in MODELS:
        priority = "batch" if number % 3 == 0 else "interactive"
        job = {"session_id": f"s-{number % 7}-{model.replace('/', '-')}", "model": model, "input": f"message {number}", "priority": priority}
        for _ in range(1 + (number % 5 == 0)):
            status, submitted = request(f"{url}/v1/jobs", job, {"Idempotency-Key": f"{number}-{model}"})
            if status == 202:
                jobs.append(submitted["id"])
    request(f"{url}/v1/jobs", {"input": ""})
    request(f"{url}/v1/queues")
    request(f"{url}/v1/providers")
    request(f"{url}/v1/sessions/s-{number % 7}-simulated")
    request(f"{url}/v1/jobs/{jobs[0]}?wait_s=1")
    request(f"{url}/v1/jobs/{jobs[-1]}/cancel", method="POST")
    request(f"{url}/v1/jobs/{jobs[0][:-1]}")
    return jobs


def start_clients(urls, stop):
    """Starts two threads that run rounds until `stop` is set. Returns the threads."""
    numbers = count()

    def rounds():
        while not stop.is_set():
            one_round(urls, next(numbers))
            stop.wait(0.2)

    threads = [threading.Thread(target=rounds) for _ in range(2)]
    for thread in threads:
        thread.start()
    return threads
