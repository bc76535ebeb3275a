"""Fuzzes the API by its own description: python3 fuzz_api.py BINARY TARGET

    cargo build
    python3 tests/fuzz_api.py target/debug/carillon target

Starts BINARY with `--memory`, fetches the OpenAPI document that it serves, and lets schemathesis
(installed below TARGET, cargo's target directory) send what the document allows and what it does not.
Fails on any 5xx, on any answer outside the document (status, content type, headers, schema), and on any
error in the server's log. Takes a minute and a half; the seed is fixed.

There are two runs. The first takes the document as it is, but for the tenant, which is the sample.
Random texts are rarely a phone number or the id of something, so most of what it sends is refused.
The second has likely values in place of what the document allows in requests; what it allows in answers
stays. It also fails if an operation was not reached, or if too little was accepted.
"""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

from running import logged_errors, read, running

SCHEMATHESIS = "4.32.5"
# Chooses the values: another version, other values.
HYPOTHESIS = "6.170.15"

SEED = 7
# Of each operation. All that is sent stays below the 6,000 requests that the sample may make in a minute.
EXAMPLES = 30
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
RUN_SECS = 400
# Of a hundred likely requests to an operation, so many must be accepted.
LEAST_ACCEPTED = 40

TENANT = "sample"
BASE = "/v1/tenants/{tenant}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, target = (os.path.abspath(path) for path in sys.argv[1:])
    # Ends by an exception, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    program = install(target)
    with tempfile.TemporaryDirectory(prefix="carillon-fuzz-") as folder:
        with running(binary, ["--memory"], folder) as (server, said):
            api = Api(said["API"], said["Twilio"], said["token"])
            wrong = dangling(api.document())
            wrong += fuzz(program, folder, api, prepared(api.document()))[0]
            likely = with_likely_values(prepared(api.document()), api)
            found, report = fuzz(program, folder, api, likely)
            wrong += found + unreached(likely, report)
            if server.poll() is not None:
                wrong.append(f"the server ended with {server.returncode}")
        wrong += logged_errors(folder)
    for line in wrong:
        print(f"WRONG: {line}")
    if wrong:
        sys.exit(1)
    print("Nothing is wrong.")


def install(target):
    """Installs schemathesis once, and answers its program."""
    venv = f"{target}/ci/schemathesis-{SCHEMATHESIS}"
    program = f"{venv}/bin/schemathesis"
    if not os.path.exists(program):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        packages = [f"schemathesis=={SCHEMATHESIS}", f"hypothesis=={HYPOTHESIS}"]
        pip = [f"{venv}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
    return program


# The API


class Api:
    def __init__(self, url, twilio, token):
        self.url = url
        self.twilio = twilio
        self.authorization = f"Bearer {token}"

    def document(self):
        with urllib.request.urlopen(f"{self.url}/v1/openapi.json") as answer:
            return json.load(answer)

    def text(self, number, body):
        """Texts the tenant from a number."""
        data = json.dumps({"from": number, "body": body}).encode()
        request = urllib.request.Request(f"{self.twilio}/_local/inbound", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(request).close()

    def ask(self, path, body=None):
        """Gets, or posts if there is a body."""
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + BASE.format(tenant=TENANT) + path, data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


# The document


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def dangling(document):
    """References to nothing, which schemathesis passes over."""
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    missing = sorted(named - set(document["components"]["schemas"]))
    return [f"the document refers to a schema that it does not have: {name}" for name in missing]


def prepared(document):
    """With the sample for a tenant, and without the leave to answer with fields that are not in the document."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    for _, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "tenant":
                # Others still come, where schemathesis breaks the rules on purpose.
                parameter["schema"] = {"enum": [TENANT]}
    return document


def with_likely_values(document, api):
    """With likely values in requests, and with links from what makes an id to what takes one."""
    now = dt.datetime.now(dt.timezone.utc)
    times = [(now + dt.timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-1, 0.01, 30, 400)]
    schemas = document["components"]["schemas"]
    for name, shapes in likely_bodies(times[1:]).items():
        properties = schemas[name]["properties"]
        with_free = [({**{field: properties[field] for field in free}, **given}, given) for given, free in shapes]
        schemas[name] = {"anyOf": [shape(fields, required) for fields, required in with_free]}
    parameters = likely_parameters(times, api)
    takers = {}
    for name, operation in operations(document):
        # Under a key that was used before everything is a conflict.
        given = [parameter for parameter in operation.get("parameters", []) if parameter["name"] != "Idempotency-Key"]
        operation["parameters"] = given
        for parameter in given:
            is_id = parameter["name"] == "id"
            kinds = [kind for kind in ("call", "conversation") if is_id and f"/{kind}s/" in name]
            known = kinds[0] if kinds else parameter["name"]
            parameter["schema"] = parameters.get(known, parameter["schema"])
            if is_id and known != "conversation":
                method, path = name.split(" ")
                reference = f"#/paths/{path.replace('/', '~1')}/{method.lower()}"
                values = {"tenant": TENANT, "id": "$response.body#/id"}
                takers[name] = {"operationRef": reference, "parameters": values}
    for _, operation in operations(document):
        content = operation["responses"].get("202", {}).get("content", {}).get("application/json", {})
        if content.get("schema", {}).get("$ref", "").endswith("Receipt"):
            operation["responses"]["202"]["links"] = takers
    return document


# What is likely. Contacts, groups and numbers are those of the sample.


def one_of(*values):
    return {"enum": list(values)}


def shape(properties, required):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def likely_parameters(times, api):
    """Of operations that have such a parameter. What there is to be shown, taken back and let go is made here."""
    message = {"contactId": "S01", "body": "Next month.", "sendAt": times[2]}
    kept = {"recipients": "+15550100201", "body": "Next month.", "sendAt": times[2], "sendImmediately": False}
    ids = [
        api.ask("/messages", message)["id"],
        api.ask("/messages", {**message, "repeat": {"cron": "0 9 * * *"}})["id"],
        api.ask("/messages/bulk", kept)["id"],
        api.ask("/messages/bulk", kept)["id"],
    ]
    page = api.ask("/messages?limit=1")
    call = api.ask("/calls", {"contactId": "S01", "say": "Next month.", "sendAt": times[2]})["id"]
    api.text("+15550100201", "Which room is it?")
    api.text("whatsapp:+15550100204", "Thank you")
    conversations = [conversation["id"] for conversation in api.ask("/conversations")["items"]]
    return {
        "call": one_of(call),
        "conversation": one_of(*conversations),
        "id": one_of(page["items"][0]["id"], *ids, *(prefix + "0" * 3000 for prefix in ("msg_", "rec_", "batch_"))),
        "cursor": one_of(page["nextCursor"]),
        "from": one_of(times[0]),
        "to": one_of(times[1]),
        "contact": CONTACT,
        "limit": one_of(50, 200),
    }


NUMBER = one_of("(555) 010-0201", "+1 555 010 0203", "+447700900213", "+15005550001", "whatsapp:+15550100204")
CONTACT = one_of("S01", "S03", "S04", "S05", "S07", "S08", "S09", "S10", "S12", "S13", "S14")
GROUPS = {"type": "array", "items": one_of("Strings", "Beginners"), "minItems": 1, "maxItems": 2}
LIST = one_of("+15550100201\n(555) 010-0202, 555.010.0204", "+15550100205")
ROWS = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1, "maxItems": 5}
URL = one_of("https://files.example/a.jpg", "http://files.example:8080/b.png?c=d")
SID = one_of("HX0123456789abcdef0123456789abcdef")
CHANNEL = one_of("sms", "whatsapp", "both")
TYPE = one_of("lesson_reminder", "payment_reminder", "schedule_change", "attendance")
EXTREME = one_of("9999-12-30T22:00:00Z", "0000-01-01T00:00:00Z")
TEXT = {"type": "string", "minLength": 1, "maxLength": 300}
VALUE = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}


def values(*names):
    return shape({name: VALUE for name in names}, names)


def likely_bodies(times):
    """Of each schema of a body, shapes: fields that go together, and fields that may come along, as in the document."""
    later = {"sendAt": one_of(*times)}
    template = {
        "template": one_of("reservation_reminder", "order_delivered"),
        "variables": values("party_size", "time", "order_number"),
    }
    cron = {"cron": one_of("0 9 * * *", "*/5 * 1 * MON"), "timeZone": one_of("Europe/London", None)}
    repeat = {"repeat": shape(cron, ["cron"])}
    lesson = ["name", "subject", "teacher", "time", "day", "original_time", "new_time", "date", "status"]
    type_values = {"type": TYPE, "variables": values(*lesson, "amount", "course")}
    links = ["reference", "customerId", "orderId", "reservationId"]
    labels = [*links, "category"]
    categories = {"type": "array", "items": one_of("lessons", "marketing"), "minItems": 1, "maxItems": 2}
    method = one_of("web_form", "verbal", "in_person")
    return {
        "MessageRequest": [
            ({"to": NUMBER, "body": TEXT, "channel": CHANNEL}, labels),
            ({"contactId": CONTACT, "body": TEXT}, [*labels, "variables"]),
            ({"contactId": CONTACT, **template, **later}, labels),
            ({"to": NUMBER, "mediaUrls": URL}, labels),
            ({"contactId": CONTACT, "contentSid": SID}, ["contentVariables", *labels]),
            ({"contactId": CONTACT, "body": TEXT, **repeat}, labels),
        ],
        "CallRequest": [
            ({"to": NUMBER, "say": TEXT}, ["detectMachine", *labels]),
            ({"contactId": CONTACT, **template, **later}, ["detectMachine", *labels]),
            ({"contactId": CONTACT, "twimlUrl": URL}, labels),
        ],
        "NotificationRequest": [({"contactId": CONTACT, **type_values}, ["reference"])],
        "TestRequest": [({"to": NUMBER}, []), ({"to": NUMBER, "body": TEXT, "channel": CHANNEL}, [])],
        "PreviewRequest": [
            ({"to": NUMBER, "body": TEXT, "channel": CHANNEL}, ["category"]),
            ({"contactId": CONTACT, "body": TEXT}, ["category", "variables"]),
            ({"contactId": CONTACT, **template}, ["category"]),
            ({"to": NUMBER, "say": TEXT}, ["category"]),
            ({"contactId": CONTACT, "mediaUrls": URL}, []),
        ],
        "ExplainRequest": [
            ({"to": NUMBER, "channel": one_of("sms", "mms", "whatsapp", "both", "voice")}, ["category"]),
            ({"contactId": CONTACT, "at": one_of(*times)}, ["category", "type"]),
            ({"contactId": CONTACT, "at": EXTREME}, ["type"]),
        ],
        "Row": [({"to": NUMBER}, links), ({"contactId": CONTACT}, links), ({"to": NUMBER, "body": TEXT}, [])],
        "BulkRequest": [
            ({"recipients": LIST, "body": TEXT}, ["name", "category", "sendImmediately"]),
            ({"groups": GROUPS, "body": TEXT, "channel": CHANNEL}, ["name", "category"]),
            ({"recipients": ROWS, **template, **later}, ["name", "category", "sendImmediately"]),
        ],
        "BulkCallRequest": [
            ({"groups": GROUPS, "say": TEXT, "confirmCost": one_of(True)}, ["name", "detectMachine", "sendImmediately"]),
            ({"recipients": ROWS, "say": TEXT, "confirmCost": one_of(True), **later}, ["name", "category"]),
        ],
        "ReplyRequest": [({"body": TEXT}, []), ({"body": TEXT, "channel": one_of("sms", "whatsapp")}, [])],
        "OptOutRequest": [
            ({"number": NUMBER}, ["method", "reason"]),
            ({"contactId": CONTACT, "categories": categories}, ["reason"]),
        ],
        "OptInRequest": [
            ({"number": NUMBER, "method": method}, ["reason"]),
            ({"contactId": CONTACT, "method": method, "categories": categories}, []),
        ],
    }


# The runs


def fuzz(program, folder, api, document):
    """Runs schemathesis, which shows what it finds. Answers what is wrong, and its report."""
    with open(os.path.join(folder, "openapi.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    command = [
        program,
        "run",
        "openapi.json",
        f"--url={api.url}",
        f"--header=Authorization: {api.authorization}",
        f"--checks={','.join(CHECKS)}",
        f"--seed={SEED}",
        f"--max-examples={EXAMPLES}",
        "--continue-on-failure",
        "--generation-database=none",
        "--output-sanitize=false",
        "--warnings=off",
        "--no-color",
        "--report=json",
        "--report-json-path=report.json",
    ]
    ended = subprocess.run(command, cwd=folder, timeout=RUN_SECS)
    report = json.loads(read(os.path.join(folder, "report.json")))
    wrong = [f"{failure['title']}: {', '.join(failure['operations'])}" for failure in report["failures"]]
    wrong += [f"schemathesis could not test: {error}" for error in report["errors"]]
    if ended.returncode != 0 and not wrong:
        wrong.append(f"schemathesis ended with {ended.returncode}")
    return wrong, report


def unreached(document, report):
    """Operations that were hardly ever accepted, if at all tested. Shows how often each was."""
    wrong = []
    print("\naccepted  404  409  other  of the likely requests")
    for name, _ in operations(document):
        phases = report["valid_rates"].get(name, {}).values()
        words = ["accepted", "unreachable", "conflicts", "rejected"]
        accepted, *refused = counts = [sum(phase[word] for phase in phases) for word in words]
        print("{:>8} {:>4} {:>4} {:>6}  {}".format(*counts, name))
        # What was taken back once is a conflict ever after: it was reached all the same.
        reached = accepted + refused[1]
        if accepted == 0 or reached * 100 < sum(counts) * LEAST_ACCEPTED:
            wrong.append(f"{name}: accepted {accepted} of {sum(counts)} likely requests")
    return wrong


if __name__ == "__main__":
    main()
