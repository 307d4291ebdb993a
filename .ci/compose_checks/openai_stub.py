"""With OPENAI_API_KEY, jobs that name no model call the API of OpenAI. A server in this process takes the place of that API."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import readme
from .clients import Api
from .images import Failure

KEY = "key-of-the-check"


def check(stack):
    """Runs the README's command with a key, and one job."""
    network = f"{stack.project}_default"
    # The address of this machine in the network of the containers.
    address = stack.output("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", network).strip()
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls.append((self.path, self.headers["Authorization"], body["model"]))
            message = {"role": "assistant", "content": "not simulated"}
            answer = {
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            }
            payload = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://{address}:{server.server_address[1]}/v1"
            stack.set(OPENAI_BASE_URL=url)
            stack.shell(readme.command("compose-key").replace("OPENAI_API_KEY=...", f"OPENAI_API_KEY={KEY}"))
            api = Api(stack.api_port)
            result = api.result(api.submit({"input": "Hello."}))
        finally:
            server.shutdown()
    if result["status"] != "completed" or result["output"]["text"] != "not simulated":
        raise Failure(f"with OPENAI_API_KEY, a job got {result}")
    if calls != [("/v1/chat/completions", f"Bearer {KEY}", "gpt-5-mini")]:
        raise Failure(f"with OPENAI_API_KEY, the calls were {calls}")
    print("  a job that names no model called gpt-5-mini with the key")
