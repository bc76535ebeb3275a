r"""The functions' release binaries on AWS's own emulator of Lambda: python3 on_lambda.py BUILD TARGET CARILLON

    cargo lambda build --release -p send-message -p manage-tenant -p schedule-lesson-reminders \
      -p schedule-payment-reminders -p dispatch-messages -p receive-events -p twilio-webhook
    cargo build
    python3 tests/on_lambda.py target/lambda target target/debug/carillon

Deploys template.yaml, translated by SAM, into moto's server. Runs each function's binary of BUILD (in a folder of the
crate's name) under the Lambda Runtime Interface Emulator, with the variables and the timeout that the template gives it,
and plays what calls them: API Gateway, the function URL, EventBridge, SQS's poller. Twilio is CARILLON's local one. What
is needed of PyPI is installed below TARGET, cargo's target directory.

A school is made and lives through a few minutes. Fails if anything is not as it must be: in an answer, in the table, at
Twilio, on the bus, in the functions' lines and metrics; then it shows the ends of all logs. Takes half a minute, and
the first time another for the packages.

What it does not show: rights, for moto lets everybody do everything; throttling; how fast it is on AWS, for most of the
time that is shown is moto's.
"""

import os
import signal
import statistics
import sys
import tempfile

from packages import installed
from running import read

AWS_SAM_CLI = "1.170.0"
MOTO = "5.2.5"

TEMPLATE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "template.yaml")
# Of each log, when something is wrong.
LAST_LINES = 12


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    build, target, carillon = (os.path.abspath(path) for path in sys.argv[1:])
    packages = [f"aws-sam-cli=={AWS_SAM_CLI}", f"moto[server]=={MOTO}"]
    venv = installed(target, packages)
    if not os.path.samefile(sys.prefix, venv):
        go_on_in(venv)
    # Ends by an exception, so that all servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(prefix="carillon-lambda-") as folder:
        is_well = run(build, carillon, folder)
    sys.exit(0 if is_well else 1)


def go_on_in(venv):
    """Starts this script again where the packages are. Nobody's own account at AWS is looked at there, and no proxy."""
    python = f"{venv}/bin/python"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.execve(python, [python, *sys.argv], {**kept, **nothing, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})


def run(build, carillon, folder):
    """Whether all is as it must be."""
    # Of the packages, which only `go_on_in` has brought within reach.
    from lambda_stack.afterwards import look_back
    from lambda_stack.installation import running_installation
    from lambda_stack.steps import Steps
    from lambda_stack.story import play

    steps = Steps()
    try:
        with running_installation(TEMPLATE, build, carillon, folder) as it:
            try:
                look_back(it, play(it, build, steps), steps)
                tell_times(it.emulators)
            except Exception:
                # Before all are stopped, and tell of that.
                show_logs(folder)
                raise
    except Exception as error:  # whatever it is
        if not steps.wrong:
            steps.wrong += 1
            show_logs(folder)
            print(f"WRONG: {type(error).__name__}: {error}")
    print(f"{steps.count} steps, {steps.wrong} wrong.")
    return steps.wrong == 0


def tell_times(emulators):
    print("\n   MB  init ms  median ms  times")
    for logical, emulator in sorted(emulators.items()):
        size = os.path.getsize(emulator.bootstrap) / 1e6
        kinds = list(dict.fromkeys(each.kind for each in emulator.invocations))
        for at, kind in enumerate(kinds):
            times = [each.ms for each in emulator.invocations if each.kind == kind]
            init = f"{size:5.1f}{emulator.init_ms():9.1f}" if at == 0 else " " * 14
            print(f"{init}  {statistics.median(times):9.1f}  {len(times):5}  {logical}: {kind}")
    print()


def show_logs(folder):
    """The ends of all logs; what the emulators say of themselves only if they warn."""
    for parent, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(parent, name)
            lines = read(path).splitlines() if name.endswith((".lines", ".emulator", ".log")) else []
            last = [line for line in lines if "[INFO] (rapid)" not in line][-LAST_LINES:]
            if last:
                print(f"\n== {os.path.relpath(path, folder)}", *last, sep="\n")
    print()


if __name__ == "__main__":
    main()
