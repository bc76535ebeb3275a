"""How a run is told: numbered steps, each with how long it took, and the first that is wrong ends it."""

import contextlib
import time
import traceback


class Wrong(Exception):
    """Something is not as it must be."""


class Steps:
    def __init__(self):
        self.count = 0
        self.wrong = 0

    @contextlib.contextmanager
    def __call__(self, what):
        self.count += 1
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            self.wrong += 1
            told = str(error) if isinstance(error, Wrong) else traceback.format_exc()
            print(f"{self.count:>3}  WRONG: {what}\n     {told}", flush=True)
            raise
        print(f"{self.count:>3}  {what} ({time.monotonic() - began:.1f} s)", flush=True)


def expect(what, actual, wanted):
    if actual != wanted:
        raise Wrong(f"{what}: {actual!r}, and not {wanted!r}")


def expect_that(holds, what):
    if not holds:
        raise Wrong(what)


def wait_for(what, look, is_there, secs=20):
    """Looks until it is there, and answers what was seen."""
    until = time.monotonic() + secs
    while True:
        seen = look()
        if is_there(seen):
            return seen
        if time.monotonic() > until:
            raise Wrong(f"{what} did not come within {secs} seconds: {seen!r}")
        time.sleep(0.1)
