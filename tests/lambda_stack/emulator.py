"""A function's real binary under AWS's Lambda Runtime Interface Emulator, which aws-sam-cli brings along."""

import contextlib
import importlib.util
import json
import os
import platform
import re
import socket
import subprocess
import threading
import time
import urllib.request
from typing import NamedTuple

from running import read, stop

from .aws import CREDENTIALS, REGION

INVOCATIONS = "/2015-03-31/functions/function/invocations"
START_SECS = 10
# The emulator cuts a function off at its timeout; this is for the emulator itself.
PATIENCE_SECS = 30


class NotAnswered(Exception):
    """An invocation failed."""


class Invocation(NamedTuple):
    # What kind of event it was.
    kind: str
    ms: float


def emulator_program():
    """Where aws-sam-cli keeps the emulator for this machine."""
    package = os.path.dirname(importlib.util.find_spec("samcli").origin)
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    return f"{package}/local/rapid/aws-lambda-rie-{machine}"


def kebab_case(logical):
    """The crate, and so the built folder, of a function: `send-message` of `SendMessage`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", logical).lower()


def environment(function, endpoints):
    """What Lambda sets, what the template sets, and where AWS and Twilio are instead."""
    return {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        **function.environment,
        **endpoints,
    }


@contextlib.contextmanager
def emulated(logical, function, bootstrap, endpoints, folder):
    """Runs a function as long as the block lasts."""
    emulator = Emulator(logical, function, bootstrap, folder)
    emulator.start(environment(function, endpoints))
    try:
        yield emulator
    finally:
        stop(emulator.process)


class Emulator:
    def __init__(self, logical, function, bootstrap, folder):
        self.logical = logical
        self.function = function
        self.bootstrap = bootstrap
        self.lines_file = os.path.join(folder, f"{logical}.lines")
        self.own_file = os.path.join(folder, f"{logical}.emulator")
        # It knows one execution, and takes one event after the other.
        self.turn = threading.Lock()
        self.invocations = []

    def start(self, variables):
        with open(self.lines_file, "wb") as lines, open(self.own_file, "wb") as own:
            port, runtime_port = free_ports(2)
            self.url = f"http://127.0.0.1:{port}{INVOCATIONS}"
            self.process = subprocess.Popen(
                [
                    emulator_program(),
                    *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
                    *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
                    *("--log-level", "info"),
                    self.bootstrap,
                ],
                env=variables,
                cwd=os.path.dirname(self.lines_file),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=own,
            )
        until = time.monotonic() + START_SECS
        while not listens(port):
            if time.monotonic() > until or self.process.poll() is not None:
                stop(self.process)
                raise NotAnswered(f"the emulator of {self.logical} did not start: {read(self.own_file)}")
            time.sleep(0.01)

    def invoke(self, kind, event):
        """What the function answers to an event, in JSON."""
        request = urllib.request.Request(self.url, json.dumps(event).encode(), method="POST")
        with self.turn:
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request, timeout=self.function.timeout + PATIENCE_SECS) as answer:
                    text = answer.read().decode()
            except OSError as error:
                raise NotAnswered(f"{self.logical} did not take {kind}: {error}") from error
            self.invocations.append(Invocation(kind, (time.perf_counter() - began) * 1000))
        try:
            answer = json.loads(text)
        except ValueError:
            # A function that was cut off is told of in words.
            raise NotAnswered(f"{self.logical} did not answer {kind}: {text}") from None
        if isinstance(answer, dict) and "errorType" in answer:
            raise NotAnswered(f"{self.logical} failed at {kind}: {text}")
        return answer

    def lines(self):
        """What the function wrote, and the emulator's lines of each invocation between."""
        return read(self.lines_file).splitlines()

    def init_ms(self):
        """From the start of the process until it asked for its first event; none before that."""
        told = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", read(self.own_file))
        return float(told[0]) if told else None

    def starts(self):
        """How often the process was started: more than once if it died."""
        return len(re.findall(r"INIT START", read(self.own_file)))


def free_ports(count):
    """Ports that nobody has. The emulator tells its functions the number that it was given, so 0 will not do."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
