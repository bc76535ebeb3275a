"""The smoke test is tried out itself: python3 smoke.py BINARY

    cargo build
    python3 tests/smoke.py target/debug/carillon

Starts BINARY with its state in a temporary folder and runs infra/smoke.py against it, as against a stack on AWS: for a
tenant that it makes, for the same once more, and for the sample, which has an account at the local Twilio. Each must
pass. Then it must fail, and say why, where something is amiss; and it must never have texted anybody but the number
that it was given. Fails on any error in the server's log, too. Takes half a minute.
"""

import concurrent.futures
import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from typing import NamedTuple

from running import logged_errors, running

SMOKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "infra", "smoke.py")
RUN_SECS = 240

MADE = "smoke"
SAMPLE = "sample"
# Nobody of the sample has it.
OWN = "+15550100299"
# The local Twilio refuses it, as Twilio's own test credentials do.
INVALID = "+15005550001"
# Of what goes there, the local Twilio is told to say nothing.
SILENT = "+15550100298"


class Case(NamedTuple):
    what: str
    # What CARILLON_TOKEN holds.
    token: str | None
    arguments: list
    # What it says if it is to fail.
    says: str = ""
    platform_token: str | None = None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    # Ends by an exception, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(prefix="carillon-smoke-") as folder:
        state = os.path.join(folder, "state")
        with running(binary, ["--state", state], folder) as (server, said):
            wrong, count = tried_out(said, lambda *whose: token(binary, state, *whose))
            if server.poll() is not None:
                wrong.append(f"the server ended with {server.returncode}")
        wrong += logged_errors(folder)
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"smoke test: {count} runs, {len(wrong)} wrong.")
    if wrong:
        sys.exit(1)


def token(binary, state, *whose):
    command = [binary, "token", "--state", state, *whose]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def tried_out(said, mint):
    api, webhook, twilio = said["API"], said["webhook"], said["Twilio"]
    made, sample = mint("--tenant", MADE), mint("--tenant", SAMPLE)
    platform = mint("--role", "platform")
    viewer = mint("--tenant", SAMPLE, "--role", "viewer")
    first = Case("a tenant is made", made, [api, "--webhook", webhook], platform_token=platform)
    # What somebody may take for a token, where there was no installation to print one.
    failed = "carillon: there is no installation in .carillon"
    cases = [
        Case("a tenant is there", made, [api]),
        Case("tokens as arguments", failed, [api, "--token", made, "--platform-token", platform], platform_token=failed),
        Case("an account, and a number of one's own", sample, [api, "--webhook", webhook, "--to", OWN]),
        Case("an account, and no number", sample, [api], "its texts would leave, and nothing was sent"),
        Case("a number that Twilio refuses", sample, [api, "--to", INVALID], "it is failed: 21211"),
        Case("another webhook", made, [api, "--webhook", twilio], "the parameter PublicUrl"),
        Case("no such tenant", mint("--tenant", "nobody"), [api], "CARILLON_PLATFORM_TOKEN, which makes it"),
        Case("a viewer", viewer, [api], "this takes one of the role 'admin'"),
        Case("no platform's token", made, [api], "this takes one of the role 'platform'", platform_token=made),
        Case("a forged token", f"{made[:-8]}AAAAAAAA", [api], "the token is not believed"),
        Case("no token", None, [api], "set CARILLON_TOKEN"),
        Case("an empty token", "", [api], "did the command that should print it fail?"),
        Case("no JWT", failed, [api], "is no JWT, which is three parts"),
        Case("what is no API", made, [webhook], "description is open to everybody, but"),
        Case("nothing there", made, ["http://127.0.0.1:9"], "no answer from http://127.0.0.1:9"),
    ]
    silent = [api, "--to", SILENT, "--timeout", "5"]
    cases.append(Case("callbacks that do not come", sample, silent, "Twilio has it and told no end"))
    fetched(f"{twilio}/_local/faults", method="PUT", body=[{"fault": "lostCallbacks", "to": SILENT}])
    wrong = run(first)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as threads:
        for found in threads.map(run, cases):
            wrong += found
    texts = sent_by_us(twilio)
    if texts.count(OWN) != 3:
        wrong.append(f"not three texts to {OWN}, but {texts}")
    if set(texts) - {OWN, SILENT}:
        wrong.append(f"texts to others than {OWN} and {SILENT}: {texts}")
    for tenant, whose in ((MADE, made), (SAMPLE, sample)):
        waiting = still_waiting(api, tenant, whose)
        if waiting:
            wrong.append(f"{tenant}: still waiting after all: {waiting}")
    return wrong, len(cases) + 1


def run(case):
    """Answers what is wrong."""
    command = [sys.executable, SMOKE, *case.arguments]
    tokens = {"CARILLON_TOKEN": case.token, "CARILLON_PLATFORM_TOKEN": case.platform_token}
    environment = {name: value for name, value in os.environ.items() if name not in tokens}
    environment |= {name: value for name, value in tokens.items() if value is not None}
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    ended = subprocess.run(command, env=environment, timeout=RUN_SECS, **said)
    if not case.says:
        return [] if ended.returncode == 0 else [f"{case.what}: {ended.returncode}\n{ended.stdout}"]
    if ended.returncode == 0:
        return [f"{case.what}: it passed\n{ended.stdout}"]
    if "Traceback" in ended.stdout or case.says not in ended.stdout:
        return [f"{case.what}: it does not say '{case.says}'\n{ended.stdout}"]
    return []


def sent_by_us(twilio):
    """To whom the local Twilio took texts of the smoke test's."""
    entries = json.loads(fetched(f"{twilio}/_local/ledger"))
    of_ours = [entry for entry in entries if re.search(r"Carillon: .* of smoke-\d", entry.get("body") or "")]
    return [entry["to"] for entry in of_ours]


def still_waiting(api, tenant, token):
    now = dt.datetime.now(dt.timezone.utc)
    span = {"from": now - dt.timedelta(1), "to": now + dt.timedelta(3)}
    span = {name: at.strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in span.items()}
    query = urllib.parse.urlencode({"status": "scheduled", "limit": 200, **span})
    page = json.loads(fetched(f"{api}/v1/tenants/{tenant}/messages?{query}", token))
    return [item["id"] for item in page["items"] if re.search(r"of smoke-\d", item["body"] or "")]


def fetched(url, token=None, method="GET", body=None):
    """Past any proxy."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return answer.read()


if __name__ == "__main__":
    main()
