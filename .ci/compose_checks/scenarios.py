"""What is checked on a running stack. Each function is one scenario and leaves the stack running."""

import threading
import time
from datetime import datetime
from http.client import HTTPException

from . import operations, readme
from .clients import Api, Management, in_parallel, until
from .images import Failure

# How long a simulated call takes when the numbers of workers are compared: so long that the workers wait for calls and not for
# processors, and varying, so that the ends of calls are spread over time.
LATENCY_MS = (1500, 2500)
# The number of concurrent calls of one worker.
SLOTS = 8
# How many times the throughput of one worker four workers must reach.
RATIO_MIN = 3.4
# How often the throughput of four workers is measured. Other load of the machine can only lower it.
MEASUREMENTS_MAX = 3
# The counts are at most some seconds old. The rest is time for stalls of a busy machine.
DEPTH_S_MAX = 30


class Scenarios:
    """The scenarios, and the jobs and sessions that they leave behind."""

    def __init__(self, stack):
        self.stack = stack
        self.api = Api(stack.api_port)
        self.management = Management(stack.management_port)
        # The status of each job that has ended, and the number of turns of each session.
        self.ended = {}
        self.sessions = {}

    def session_over_gateways_and_workers(self, turns):
        """The turns of one session go through both gateways and several workers. `turns` is a multiple of 3."""
        name = "through/all ü"
        lines = len(self.stack.access_log())
        workers = set()
        # Three at a time, so that a load balancer that alternates sends the messages to different gateways.
        for first in range(1, turns + 1, 3):
            numbers = range(first, first + 3)
            jobs = [
                self.api.submit({"session_id": name, "input": f"message {number}"}, key=f"turn-{number}")
                for number in numbers
            ]
            for number, job in zip(numbers, jobs):
                result = self.api.result(job)
                if result["status"] != "completed" or f"Simulated reply {number}:" not in result["output"]["text"]:
                    raise Failure(f"turn {number}: {result}")
                workers.add(result["attempts"][-1]["worker"])
                self.ended[job] = "completed"
        session = self.api.session(name)
        contents = [turn["content"] for turn in session["turns"] if turn["role"] == "user"]
        if contents != [f"message {number}" for number in range(1, turns + 1)]:
            raise Failure(f"the session has the messages {contents}")
        self.sessions[name] = session["turn_count"]
        posts = [gateway for line, gateway in self.stack.gateways_since(lines) if '"POST ' in line]
        gateways = set(posts)
        if len(gateways) < 2 or len(workers) < 2:
            raise Failure(f"{turns} turns used the gateways {gateways} and the workers {workers}")
        print(f"  {turns} turns in order, through {len(gateways)} gateways and {len(workers)} workers")

    def throughput(self, workers, jobs):
        """Submits jobs without sessions. Returns how many end in a second while all slots are in use."""
        found = len(self.stack.containers("worker"))
        if found != workers:
            raise Failure(f"{found} workers run instead of {workers}")
        submitted = in_parallel(lambda number: self.api.submit({"input": f"job {number}"}), range(jobs))
        results = in_parallel(self.api.result, submitted)
        failed = [result for result in results if result["status"] != "completed"]
        if failed:
            raise Failure(f"{len(failed)} of {jobs} jobs did not complete: {failed[0]}")
        # At first and at the end not all slots are in use.
        ends = sorted(time_of(result["ended_at"]) for result in results)
        first, last = jobs // 8, jobs * 3 // 4
        rate = (last - first) / (ends[last] - ends[first])
        print(f"  {workers} worker(s): {rate:.1f} jobs per second (the provider allows {rate_of(workers):.0f})", flush=True)
        return rate

    def four_workers_against_one(self, seconds):
        """Four workers give at least RATIO_MIN times the throughput of one, under a load that waits for the provider."""
        jobs = int(seconds * rate_of(1))
        self.stack.shell(f"{readme.command('compose-up')} --scale worker=1")
        one = self.throughput(1, jobs)
        self.stack.shell(readme.command("compose-scale"))
        ratios = []
        while max(ratios, default=0) < RATIO_MIN:
            if len(ratios) == MEASUREMENTS_MAX:
                raise Failure(f"4 workers give {ratios} times the throughput of 1")
            ratios.append(round(self.throughput(4, 4 * jobs) / one, 2))
            print(f"  ratio: {ratios[-1]} (at least {RATIO_MIN})", flush=True)

    def gateway_killed(self, submits):
        """A gateway is killed while submits with idempotency keys run: none fails, and no job exists twice."""
        victim = self.stack.containers("gateway")[0]
        victim_address = f"{self.stack.address(victim)}:8080"
        counter, lock, kill = iter(range(1, submits + 1)), threading.Lock(), threading.Event()

        def submit(number):
            with lock:
                count = next(counter)
            if count == submits // 4:
                kill.set()
            try:
                return self.api.submit({"session_id": f"killed-{number}", "input": "once"}, key=f"killed-{number}")
            except (OSError, HTTPException, Failure) as error:
                return error

        def killer():
            kill.wait(60)
            self.stack.output("kill", "--signal", "KILL", victim)

        lines = len(self.stack.access_log())
        thread = threading.Thread(target=killer)
        thread.start()
        began = time.monotonic()
        answers = in_parallel(submit, range(submits))
        took = time.monotonic() - began
        thread.join()
        errors = [answer for answer in answers if not isinstance(answer, str)]
        if errors:
            raise Failure(f"{len(errors)} of {submits} submits failed: {errors[0]!r}")
        if len(set(answers)) != submits:
            raise Failure(f"{submits} submits have {len(set(answers))} jobs")
        used = [gateway for _, gateway in self.stack.gateways_since(lines)]
        before = sum(gateway == victim_address for gateway in used)
        repeated = sum("," in gateway for gateway in used)
        if not before:
            raise Failure("the gateway that was killed had no request")
        if not repeated:
            raise Failure("no submit was sent to a second gateway")
        print(f"  {submits} submits in {took:.1f} s, {before} by the killed gateway, {repeated} sent to a second one")

        self.stack.shell(readme.command("compose-scale"))
        until("all jobs have ended", lambda: self.api.count("live") == 0, 180)

        def turns(number):
            session = self.api.session(f"killed-{number}")
            return session["turn_count"], [turn["role"] for turn in session["turns"]]

        twice = [found for found in in_parallel(turns, range(submits)) if found != (2, ["user", "assistant"])]
        if twice:
            raise Failure(f"{len(twice)} sessions do not have one message and one reply: {twice[0]}")
        self.ended |= dict.fromkeys(answers[:20], "completed")
        self.sessions |= {f"killed-{number}": 2 for number in range(20)}
        # The gateway that runs again, perhaps with another address, is found.
        addresses = {f"{self.stack.address(container)}:8080" for container in self.stack.containers("gateway")}
        lines = len(self.stack.access_log())

        def all_used():
            self.api.count("live")
            return addresses <= {gateway for _, gateway in self.stack.gateways_since(lines)}

        until(f"nginx uses the gateways {addresses}", all_used, 30)
        print(f"  {submits} sessions with one message and one reply; both gateways are used again")

    def depth_without_workers(self, submits_max):
        """With workers stopped, RabbitMQ and `/v1/queues` show the same depth. While the backlog is full, the client gets 503."""
        self.stack.shell("docker compose stop worker")
        lines = len(self.stack.access_log())
        refused, submitted = threading.Event(), []

        def submit(number):
            if refused.is_set():
                return
            status, headers, answer = self.api.request("POST", "/v1/jobs", {"input": f"deep {number}"})
            if status == 202:
                submitted.append(answer["id"])
            elif (status, answer.get("code")) == (503, "backlog_full") and "retry-after" in headers:
                refused.set()
            else:
                raise Failure(f"POST /v1/jobs: {status} {answer}")

        in_parallel(submit, range(submits_max))
        if not refused.is_set():
            raise Failure(f"the backlog is not full after {submits_max} submits")
        statuses = [self.api.request("GET", "/v1/queues")[0] for _ in range(20)]
        if statuses != [200] * 20:
            raise Failure(f"with a full backlog, reads got {statuses}")
        passed_on = [line for line, gateway in self.stack.gateways_since(lines) if " 503 " in line and "," in gateway]
        if passed_on:
            raise Failure(f"a 503 was sent to a second gateway: {passed_on[0]}")
        print(f"  {len(submitted)} jobs accepted, then 503 backlog_full to the client, while all reads are served")

        began = time.monotonic()
        shown = None

        def are_equal():
            nonlocal shown
            shown = (self.management.depth(), self.api.count("ready"), self.api.count("live"))
            return shown == (len(submitted),) * 3

        try:
            until("the same depth everywhere", are_equal, DEPTH_S_MAX)
        except Failure:
            raise Failure(f"after {DEPTH_S_MAX} s: RabbitMQ, ready and live show {shown}, not {len(submitted)}") from None
        print(f"  RabbitMQ and /v1/queues show {len(submitted)} after {time.monotonic() - began:.1f} s")
        return submitted

    def stop_during_work(self, jobs):
        """The README's `stop` during work, then `down` and `up`: nothing is lost, and no try is spent."""
        self.stack.shell(readme.command("compose-up"))
        until("calls are in flight", lambda: self.api.count("in_flight") > 0, 60)
        began = time.monotonic()
        self.stack.shell(readme.command("compose-stop"), timeout_s=240)
        print(f"  stopped in {time.monotonic() - began:.1f} s")
        operations.check_profile_is_stopped(self.stack)
        self.stack.shell(readme.command("compose-down"))
        self.stack.shell(readme.command("compose-up"))
        results = in_parallel(lambda job: self.api.result(job, timeout_s=240), jobs)
        # FOREBAY_TRIES_MAX is 1, so a job with a spent try would have failed.
        failed = [result for result in results if result["status"] != "completed"]
        if failed:
            raise Failure(f"{len(failed)} of {len(jobs)} jobs did not complete: {failed[0]}")
        again = sum(len(result["attempts"]) > 1 for result in results)
        if not again:
            raise Failure("no job was interrupted by the stop")
        print(f"  all {len(jobs)} jobs completed; {again} were interrupted and ran again, without a spent try")
        self.ended |= dict.fromkeys(jobs[:20], "completed")

    def drain(self, jobs):
        """`stop` waits for calls that end within FOREBAY_DRAIN_S (25 s), longer than Docker's default of 10 s."""
        self.stack.set(FOREBAY_SIMULATED_LATENCY_MS=20_000)
        self.stack.shell(readme.command("compose-up"))
        # A new client with new connections: nginx may have closed the old ones in its restart.
        api = Api(self.stack.api_port)
        submitted = [api.submit({"input": f"drain {number}"}) for number in range(jobs)]
        until("all calls are in flight", lambda: self.api.count("in_flight") == jobs, 30)
        self.stack.shell(readme.command("compose-stop"))
        self.stack.set()
        self.stack.shell(readme.command("compose-up"))
        for job in submitted:
            result = self.api.get(f"/v1/jobs/{job}")
            if result["status"] != "completed" or len(result["attempts"]) != 1:
                raise Failure(f"a call that was in flight at the stop did not finish: {result}")
        print(f"  {jobs} calls that were in flight at the stop have finished during the drain")

    def down_and_up(self):
        """After `down` and `up`, everything is still there."""
        self.stack.shell(readme.command("compose-down"))
        self.stack.shell(readme.command("compose-up"))
        self.check_kept()

    def check_kept(self):
        """The results and sessions of the earlier scenarios are there, and an idempotency key still counts."""
        for job, status in self.ended.items():
            shown = self.api.get(f"/v1/jobs/{job}")
            if shown["status"] != status or not shown["output"]:
                raise Failure(f"the job {job} was {status} and is {shown}")
        for name, turns in self.sessions.items():
            found = self.api.session(name)["turn_count"]
            if found != turns:
                raise Failure(f"the session {name} had {turns} turns and has {found}")
        print(f"  {len(self.ended)} results and {len(self.sessions)} sessions are still there")


def rate_of(workers):
    """The most calls that can end in a second with this many workers."""
    return workers * SLOTS * 2000 / sum(LATENCY_MS)


def time_of(text):
    """The seconds since the epoch of a time in the API."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
