"""What the functions' lines must be, so that somebody can look into them: JSON, each with its request's id, none of an
error, none with anything of a person; and metrics in CloudWatch's embedded metric format.

Source: CloudWatch User Guide, "Specification: Embedded metric format".
"""

import json
import re

OF_EMULATOR = re.compile(r"(?:START|END|REPORT) RequestId: (\S+)")
UNITS = {"Count", "Seconds", "Milliseconds", "Bytes", "Percent", "None"}


def read(emulators, namespace, private):
    """What is wrong with the functions' lines, and the values of each metric."""
    wrong, metrics = [], {}
    for logical, emulator in emulators.items():
        requests = set()
        for line in emulator.lines():
            of_emulator = OF_EMULATOR.match(line)
            if of_emulator:
                requests.add(of_emulator[1])
            elif line.strip():
                said = parsed(line)
                wrong += [f"{logical}: {what}: {line}" for what in judge(line, said, requests, namespace, private)]
                for name, value in measured(said):
                    metrics.setdefault(name, []).append(value)
    return wrong, metrics


def parsed(line):
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def judge(line, said, requests, namespace, private):
    """What is wrong with a line, written after these requests had begun."""
    if said is None:
        return ["no JSON"]
    wrong = ["it shows what is private"] if any(secret in line for secret in private) else []
    if request_id(said) not in requests:
        wrong.append("without the id of its request")
    if "_aws" in said:
        return wrong + judge_metrics(said, namespace)
    if not {"timestamp", "level", "target", "fields"} <= said.keys():
        wrong.append("not as our lines are")
    if said.get("level") == "ERROR":
        wrong.append("an error")
    return wrong


def request_id(said):
    return said.get("requestId") or said.get("span", {}).get("requestId")


def judge_metrics(said, namespace):
    wrong = []
    if not isinstance(said["_aws"].get("Timestamp"), int):
        wrong.append("metrics without a time in milliseconds")
    directives = said["_aws"].get("CloudWatchMetrics", [])
    if not directives:
        wrong.append("metrics without a directive")
    for directive in directives:
        if directive.get("Namespace") != namespace:
            wrong.append("metrics of another namespace")
        dimensions = [name for names in directive.get("Dimensions", []) for name in names]
        if "Dimensions" not in directive or any(not isinstance(said.get(name), str) for name in dimensions):
            wrong.append("metrics without their dimensions")
        for metric in directive.get("Metrics", []):
            is_number = isinstance(said.get(metric.get("Name")), (int, float))
            if not is_number or metric.get("Unit") not in UNITS:
                wrong.append(f"no value or unit of {metric.get('Name')}")
    return wrong


def measured(said):
    """The values that CloudWatch would take from a line."""
    for directive in (said or {}).get("_aws", {}).get("CloudWatchMetrics", []):
        for metric in directive["Metrics"]:
            yield metric["Name"], said[metric["Name"]]
