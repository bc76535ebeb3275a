"""The judge of the chaos test is tried out itself: python3 mutants.py TARGET [--seeds A..B] [--only NAME ...] [--release]

    python3 tests/mutants.py target

Runs the chaos test on these seeds in a copy of the tree, below TARGET, cargo's target directory: it must pass. Then once
for each of MUTANTS, which switch a safeguard off: it must fail, and by a rule that the safeguard is there for. Prints
which seeds caught what, as ARCHITECTURE.md has it, and fails if something was not caught. What a run said lies in
TARGET/mutants. Each safeguard costs the compilation of all that rests on it, and the run of its seeds.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import NamedTuple

from running import read

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEEDS = "0..24"
TEST = "chaos::seeds::whatever_goes_wrong_each_message_goes_once"
# What is switched off may keep a run from its end.
RUN_SECS = 3600
# So many seeds are named in the table.
NAMED = 8

# Cargo names what it makes of a package of a workspace by the package's name, version and place in it, not by where the
# workspace lies. In one target directory the copy would be taken for the original, and the original for the copy; under
# a version of its own it lies beside it, and has all crates of the registry in common with it.
VERSION = b'"0.0.0-mutant"'


class Edit(NamedTuple):
    file: str
    # Stands there exactly once.
    old: str
    new: str


class Mutant(NamedTuple):
    name: str
    # What happens without the safeguard.
    off: str
    # At least one of these rules of the judge is broken then.
    breaks: set
    edits: list


METER = Edit(
    "shared/src/store/meter.rs",
    'Some("attribute_not_exists(used) OR used <= :room")',
    'Some("attribute_not_exists(used) OR used <= :room OR used > :room")',
)

MUTANTS = [
    Mutant(
        "claim",
        "a message is written whatever became of it meanwhile",
        # Two claim it, or what a callback reported is overwritten.
        {"twice", "timeline"},
        [
            Edit(
                "shared/src/store/messages.rs",
                'const UNCHANGED: &str = "revision = :seen";',
                'const UNCHANGED: &str = "revision = :seen OR attribute_exists(pk)";',
            )
        ],
    ),
    Mutant(
        "resolver",
        "what has no answer goes again without a look at Twilio's list",
        {"twice"},
        [
            Edit(
                "shared/src/usecases/resolve_unknown.rs",
                "Account::Twilio(_) | Account::Simulated if message.simulated => {",
                "Account::Twilio(_) | Account::Simulated if message.simulated || message.status == Status::Sending => {",
            )
        ],
    ),
    Mutant(
        "derived id",
        "the second try makes another id than the first",
        {"twice"},
        [
            Edit(
                "shared/src/domain/message.rs",
                '        Self(format!("{MESSAGE_PREFIX}{}", derived(tenant, parts)))\n',
                """\
        static MADE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let made = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let parts: Vec<&str> = parts.iter().copied().chain([made.as_str()]).collect();
        Self(format!("{MESSAGE_PREFIX}{}", derived(tenant, &parts)))
""",
            )
        ],
    ),
    Mutant(
        "budget",
        # What is sent in the request that asks for it looks at the meter by this condition alone; waves look before, too.
        "the meter takes what is beyond the limit",
        {"over budget"},
        [METER],
    ),
    Mutant(
        "budget and look",
        "the same, and no wave looks at the meter before",
        {"over budget"},
        [
            METER,
            Edit(
                "shared/src/usecases/dispatch/send.rs",
                "limit.is_some_and(|limit| used.0 + draft.cost.0 > limit.0)",
                "limit.is_some_and(|limit| limit.0 < 0 && used.0 + draft.cost.0 > limit.0)",
            ),
        ],
    ),
    Mutant(
        "merge",
        "the report that came last counts, not the one that is furthest",
        {"not final", "timeline"},
        [
            Edit(
                "shared/src/domain/message.rs",
                """\
        let known = reports.iter().filter_map(|report| Some((report.status()?, report.error_code)));
        if let Some((status, code)) = known.max()
            && status >= self.status
        {
""",
                """\
        let came = self.reports.iter().filter_map(|(line, step)| Some((step.at, Report::parse(line)?)));
        let last = came.filter(|(_, report)| report.status().is_some()).max_by_key(|(at, _)| *at);
        if let Some((status, code)) = last.and_then(|(_, report)| Some((report.status()?, report.error_code))) {
""",
            )
        ],
    ),
    Mutant(
        "opt-out",
        "nobody looks at opt-outs when a message is sent",
        {"opted out"},
        [
            Edit(
                "shared/src/usecases/dispatch/decide.rs",
                "        self.standings.get(number).is_some_and(|standing| standing.stops(category))\n",
                "        let _ = (&self.standings, number, category);\n        false\n",
            ),
            Edit(
                "shared/src/store/consents.rs",
                '(stopped = :no AND NOT contains(categories, :category))"',
                '(stopped = :no AND NOT contains(categories, :category)) OR attribute_exists(pk)"',
            ),
        ],
    ),
    Mutant(
        "quiet hours",
        "no hour is quiet when a message is sent",
        {"quiet hours"},
        [
            Edit(
                "shared/src/domain/policy.rs",
                "[settings.quiet_hours, own, law].into_iter().flatten().collect()",
                "[settings.quiet_hours, own, law].into_iter().flatten().take(0).collect()",
            )
        ],
    ),
    Mutant(
        "cap",
        "a claim is written however much its recipient has had, and no wave looks before",
        {"cap"},
        [
            Edit(
                "shared/src/store/accepted.rs",
                'attribute_not_exists(entries) OR size(entries) < :room"',
                'attribute_not_exists(entries) OR size(entries) < :room OR attribute_exists(entries)"',
            ),
            Edit(
                "shared/src/usecases/dispatch/send.rs",
                "settings.frequency_cap.is_some_and(|cap| count >= cap)",
                "settings.frequency_cap.is_some_and(|cap| cap == 0 && count >= cap)",
            ),
        ],
    ),
    Mutant(
        "money back",
        "what Twilio did not take stays charged",
        {"meter"},
        [
            Edit(
                "shared/src/usecases/dispatch/record.rs",
                "Ok(Change::of(message).charging(&month, Micros(-reserved.0)).along_with(uncount))",
                "Ok(Change::of(message).charging(&month, Micros(0 * reserved.0)).along_with(uncount))",
            )
        ],
    ),
    Mutant(
        "version",
        "the reminders of a lesson that was moved still hold",
        {"twice", "unasked"},
        [
            Edit(
                "shared/src/usecases/save_lessons.rs",
                "} else if message.version != lesson.version {",
                "} else if message.version > lesson.version {",
            )
        ],
    ),
]


class Run(NamedTuple):
    # By seed, the rules that it broke.
    broke: dict
    # How many seeds came to their end.
    tried: int
    # Where it says more.
    log: str


def main():
    asked = arguments()
    # Ends by an exception, so that what was switched off is switched on again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    for mutant in MUTANTS:
        find(ROOT, mutant)
    if asked.find:
        return
    target = os.path.abspath(asked.target)
    tree = os.path.join(target, "mutants", "tree")
    copy_into(tree)
    mutants = [mutant for mutant in MUTANTS if not asked.only or mutant.name in asked.only]
    count = len(range(*map(int, asked.seeds.split(".."))))

    run = run_of(target, tree, "everything on", asked)
    if run.broke or run.tried != count:
        said = f"of {count} seeds {run.tried} were tried, and these broke something: {sorted(run.broke)}"
        sys.exit(f"with every safeguard on, {said}: see {run.log}")
    rows, wrong = [], []
    for mutant in mutants:
        with switched_off(tree, mutant):
            run = run_of(target, tree, mutant.name, asked)
        rows.append((f"{mutant.name}: {mutant.off}", named(run.broke), counted(run.broke)))
        wrong += [f"{mutant.name}: {what}: see {run.log}" for what in missed(mutant, run, count)]

    print(f"\nOf the seeds {asked.seeds}:\n")
    for row in [("Safeguard switched off", "Caught by seeds", "Rules broken, each by how many seeds"), ("---",) * 3, *rows]:
        print(f"| {' | '.join(row)} |")
    print()
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"mutants: {len(mutants)} on {count} seeds, {len(wrong)} wrong.")
    if wrong:
        sys.exit(1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="TARGET", help="cargo's target directory")
    parser.add_argument("--seeds", metavar="A..B", default=SEEDS, help=f"from A to before B ({SEEDS})")
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=names, help=f"of {', '.join(names)}")
    parser.add_argument("--find", action="store_true", help="only look whether each safeguard is where it was")
    parser.add_argument("--release", action="store_true", help="as it is deployed; takes minutes to link, each time")
    asked = parser.parse_args()
    if not re.fullmatch(r"\d+\.\.\d+", asked.seeds):
        parser.error(f"{asked.seeds} is not like {SEEDS}")
    return asked


def copy_into(tree):
    """Copies what is in the working tree, committed or not. What is the same stays, so that cargo need not compile it."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    names = {name for name in names if os.path.isfile(os.path.join(ROOT, name))}
    for name in names:
        content = renumbered(name, content_of(os.path.join(ROOT, name)))
        path = os.path.join(tree, name)
        if not os.path.isfile(path) or content_of(path) != content:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write(path, content)
    for folder, _, files in os.walk(tree):
        for path in (os.path.join(folder, file) for file in files):
            if os.path.relpath(path, tree) not in names:
                os.remove(path)


def renumbered(name, content):
    """A file of the copy, which has a version of its own."""
    match name:
        case "Cargo.toml":
            found = rb'(\[workspace\.package\]\nversion = )"[^"]*"'
            content, count = re.subn(found, rb"\g<1>" + VERSION, content)
            if count != 1:
                sys.exit("Cargo.toml does not begin its workspace.package with a version: mend tests/mutants.py")
        case "Cargo.lock":
            # Only what is here has no source.
            content = re.sub(rb'^(version = )"[^"]*"\n(?!source)', rb"\g<1>" + VERSION + b"\n", content, flags=re.MULTILINE)
    return content


def find(tree, mutant):
    for edit in mutant.edits:
        path = os.path.join(tree, edit.file)
        if not os.path.isfile(path) or content_of(path).count(edit.old.encode()) != 1:
            sys.exit(f"the safeguard '{mutant.name}' is no longer where it was, in {edit.file}: mend tests/mutants.py")


@contextlib.contextmanager
def switched_off(tree, mutant):
    """Without the safeguard, as long as the block lasts."""
    before = {}
    try:
        for edit in mutant.edits:
            path = os.path.join(tree, edit.file)
            content = content_of(path)
            before.setdefault(path, content)
            write(path, content.replace(edit.old.encode(), edit.new.encode()))
        yield
    finally:
        # Written now, they are younger than what cargo made of the others: it compiles them again.
        for path, content in before.items():
            write(path, content)


def run_of(target, tree, name, asked):
    """Compiles the tree as it is now, and lets the seeds run."""
    print(f"== {name}", flush=True)
    program = compiled(target, tree, name, asked.release)
    log = os.path.join(target, "mutants", f"{name.replace(' ', '-')}.txt")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CHAOS_")}
    environment |= {"CHAOS_SEEDS": asked.seeds, "CHAOS_SHRINK": "no"}
    with open(log, "wb") as file, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [program, TEST, "--exact", "--nocapture"],
            cwd=os.path.join(tree, "tests"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECS,
            check=False,
        )
    said = read(log)
    broke = {int(seed): rules.split(", ") for seed, rules in re.findall(r"chaos: seed (\d+) broke: (.+)", said)}
    tried = re.search(r"chaos: (\d+) seeds tried", said)
    return Run(broke, int(tried[1]) if tried else 0, log)


def compiled(target, tree, name, is_release):
    command = ["cargo", "test", "--locked", "--package", "tests", "--test", "it", "--no-run"]
    command += ["--message-format", "json-render-diagnostics", *(["--release"] if is_release else [])]
    environment = {**os.environ, "CARGO_TARGET_DIR": target}
    made = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        sys.exit(f"{name}: it does not compile")
    messages = [json.loads(line) for line in made.stdout.splitlines()]
    return next(message["executable"] for message in messages if message.get("executable"))


def missed(mutant, run, count):
    """What is wrong with how it was caught."""
    if run.tried != count:
        return [f"{run.tried} of {count} seeds came to their end"]
    if not run.broke:
        return ["not caught"]
    if all(mutant.breaks.isdisjoint(rules) for rules in run.broke.values()):
        return [f"caught, but not by {' or '.join(sorted(mutant.breaks))}"]
    return []


def named(broke):
    """The first of the seeds, and how many more there are."""
    seeds = sorted(broke)
    first = ", ".join(map(str, seeds[:NAMED]))
    return f"{first} and {len(seeds) - NAMED} more" if len(seeds) > NAMED else first or "none"


def counted(broke):
    """The rules, and how many seeds broke each."""
    counts = collections.Counter(rule for rules in broke.values() for rule in rules)
    return ", ".join(f"{rule} {count}" for rule, count in counts.most_common()) or "none"


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
