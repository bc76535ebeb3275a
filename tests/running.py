"""A running carillon, or another server that says where it is, for the scripts beside this one."""

import contextlib
import os
import re
import subprocess
import sys
import time

START_SECS = 60
NAMES = ("API", "webhook", "Twilio", "token")


@contextlib.contextmanager
def running(binary, arguments, folder, names=NAMES):
    """Runs BINARY in `folder` as long as the block lasts; gives its process and what it says, by these names."""
    log = log_of(folder)
    with open(log, "wb") as file:
        server = subprocess.Popen(
            [binary, *arguments],
            cwd=folder,
            env={**os.environ, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield server, introduction(server, log, names)
    finally:
        stop(server)


def introduction(server, log, names):
    """Waits until the server says where it is."""
    until = time.monotonic() + START_SECS
    while time.monotonic() < until and server.poll() is None:
        said = dict(re.findall(rf"^({'|'.join(names)}) +(\S+)(?: \(local\))?$", read(log), re.MULTILINE))
        if len(said) == len(names):
            return said
        time.sleep(0.1)
    sys.exit(f"the server did not start:\n{read(log)[-2000:]}")


def stop(server):
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def logged_errors(folder):
    """Each once, without its time."""
    lines = re.findall(r"^\d\d:\d\d:\d\d UTC  (error .*)$|^(.*panicked at .*)$", read(log_of(folder)), re.MULTILINE)
    return [f"in the server's log: {line}" for line in dict.fromkeys(error or panic for error, panic in lines)]


def log_of(folder):
    return os.path.join(folder, "server.log")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
