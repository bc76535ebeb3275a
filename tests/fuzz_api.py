"""Fuzzes the API by its own description: python3 fuzz_api.py BINARY TARGET

    cargo build
    python3 tests/fuzz_api.py target/debug/carillon target

Starts BINARY with a state folder that lasts as long as this does, fetches the OpenAPI document that it serves, and
lets schemathesis (installed below TARGET, cargo's target directory) send what the document allows and what it does
not. Fails on any 5xx, on any answer outside the document (status, content type, headers, schema), and on any error in
the server's log. Takes six minutes; the seed is fixed.

There are two runs. The first takes the document as it is, but for the tenant. Random texts are rarely a phone number or
the id of something, so most of what it sends is refused. The second has likely values in place of what the document
allows in requests; what it allows in answers stays. It also fails if an operation was not reached, or if too little was
accepted.

Most requests are about the sample. What would spoil it for the others is sent to tenants that are made for that: see
`tenant_of`.
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

from packages import installed
from running import logged_errors, read, running

SCHEMATHESIS = "4.32.5"
# Chooses the values: another version, other values.
HYPOTHESIS = "6.170.15"

SEED = 7
# Of each operation, where the document does not make more of it by itself.
EXAMPLES = 6
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
RUN_SECS = 900
# Of a hundred likely requests to an operation, so many must be accepted.
LEAST_ACCEPTED = 40
# Of these one is enough: what each does, it does once.
ONCE = {
    "DELETE /v1/tenants/{tenant}/phone-numbers/{number}": "a number that was given back is nobody's",
    "DELETE /v1/tenants/{tenant}/templates/{name}": "a template that was taken away is not there",
}

SAMPLE = "sample"
# Has settings and an account to be changed, and contacts to be forgotten.
FUZZED = "fuzzed"
# Has an account with numbers to be bought and given back.
NUMBERS = "numbers"
# Is suspended and resumed.
SUSPENDED = "suspended"
DELETED = [f"deleted-{number}" for number in range(4)]
BASE = "/v1/tenants/{tenant}"
PLATFORM = ["", "/suspend", "/resume"]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, target = (os.path.abspath(path) for path in sys.argv[1:])
    # Ends by an exception, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    program = install(target)
    with tempfile.TemporaryDirectory(prefix="carillon-fuzz-") as folder:
        state = os.path.join(folder, "state")
        with running(binary, ["--state", state], folder) as (server, said):
            api = Api(said["API"], said["Twilio"], lambda *whose: token(binary, state, *whose))
            made = set_up(api)
            wrong = dangling(api.document())
            wrong += fuzz(program, folder, api, prepared(api.document()))[0]
            likely = with_likely_values(prepared(api.document()), api, made)
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
    venv = installed(target, [f"schemathesis=={SCHEMATHESIS}", f"hypothesis=={HYPOTHESIS}"])
    return f"{venv}/bin/schemathesis"


def token(binary, state, *whose):
    command = [binary, "token", "--state", state, *whose]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


# The API


class Api:
    def __init__(self, url, twilio, mint):
        self.url = url
        self.twilio = twilio
        self.tokens = {tenant: mint("--tenant", tenant) for tenant in (SAMPLE, FUZZED, NUMBERS)}
        self.tokens[None] = mint("--role", "platform")

    def document(self):
        with urllib.request.urlopen(f"{self.url}/v1/openapi.json") as answer:
            return json.load(answer)

    def text(self, number, body):
        """Texts the sample from a number."""
        ask("POST", f"{self.twilio}/_local/inbound", {"from": number, "body": body})

    def account(self):
        """A new account at the local Twilio, as `PUT /twilio` takes it."""
        return ask("POST", f"{self.twilio}/_local/account", {})

    def platform(self, method, path, body=None):
        return ask(method, f"{self.url}/v1/tenants{path}", body, self.tokens[None])

    def get(self, path, tenant=SAMPLE):
        return self.ask("GET", path, None, tenant)

    def post(self, path, body, tenant=SAMPLE):
        return self.ask("POST", path, body, tenant)

    def ask(self, method, path, body, tenant):
        return ask(method, self.url + BASE.format(tenant=tenant) + path, body, self.tokens[tenant])


def ask(method, url, body, token=None):
    text = isinstance(body, str)
    headers = {"Content-Type": "text/csv" if text else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else (body if text else json.dumps(body)).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        content = answer.read()
        return json.loads(content) if content else None


# What is made for the requests


def set_up(api):
    """Makes tenants and what of theirs is looked at, changed and taken away. Answers what of it has no name of ours."""
    for tenant in (FUZZED, NUMBERS, SUSPENDED, *DELETED):
        region = {"timeZone": "America/New_York", "defaultRegion": "US"}
        api.platform("POST", "", {"id": tenant, "name": tenant, **region})
    for tenant in DELETED:
        api.platform("POST", f"/{tenant}/suspend", {"reason": "to be deleted"})
    for tenant in (SAMPLE, FUZZED, NUMBERS):
        settings = {"requestsPerMinute": 1_000_000, "budget": {"monthlyLimit": "5000.00"}}
        api.ask("PATCH", "/settings", settings, tenant)
    accounts = {tenant: api.account() for tenant in (FUZZED, NUMBERS)}
    for tenant, account in accounts.items():
        api.ask("PUT", "/twilio", account, tenant)
    for number in [OF_FUZZED]:
        api.post("/phone-numbers", {"phoneNumber": number}, FUZZED)
    for number in [*KEPT, *GIVEN_BACK]:
        api.post("/phone-numbers", {"phoneNumber": number}, NUMBERS)
    for number, contact in enumerate(FORGOTTEN):
        body = {"name": "Ada Gone", "phone": f"+1555010{4000 + number}"}
        api.ask("PUT", f"/contacts/{contact}", body, FUZZED)
    for contact in [*MADE, LINKED]:
        body = {"name": "Bo Made", "phone": "+15550100220", "groups": ["Choir"]}
        api.ask("PUT", f"/contacts/{contact}", body, SAMPLE)
    start = dt.datetime.now(dt.timezone.utc) + dt.timedelta(3)
    lesson = {"subject": "Harp", "teacher": "Mx. Lee", "students": ["S01", "Strings"]}
    lesson["startsAt"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    api.post("/lessons", {"lessons": [{"id": lesson_id, **lesson} for lesson_id in [*LESSONS, *MOVED]]})
    payment = {"contactId": "S01", "amount": "12.50", "dueDate": start.strftime("%Y-%m-%d")}
    api.post("/payments", {"payments": [{"id": payment_id, **payment} for payment_id in [*PAYMENTS, *PAID, *GIVEN_UP]]})
    for name in [OWN_TEMPLATE, *TAKEN_AWAY]:
        api.post("/templates", {"name": name, "category": "general", "text": "Hello {name|there}"})
    api.ask("PUT", f"/templates/{OWN_TEMPLATE}", {"category": "general", "text": "Good day {name}"}, SAMPLE)
    job = api.post("/contacts/import", "id,name,phone\nF30,Cy Filed,5550100230\n,Nobody,none\n", FUZZED)["id"]
    forgotten = api.ask("DELETE", f"/contacts/{FORGOTTEN[0]}", None, FUZZED)["id"]
    link = api.post(f"/contacts/{LINKED}/preferences-link", {})["url"]
    return {"jobs": [job, forgotten], "token": link.rsplit("/", 1)[1], "account": accounts[FUZZED]}


OF_FUZZED = "+12065550100"
KEPT = ["+12065550101", "+12065550102"]
GIVEN_BACK = [f"+120655502{number:02}" for number in range(20)]
FOR_SALE = [f"+120655503{number:02}" for number in range(60)]
FORGOTTEN = [f"G{number:02}" for number in range(20)]
MADE = [f"F{number:02}" for number in range(10)]
# Nobody's numbers change that a link was made for, and what is cancelled is not moved.
LINKED = "FLink"
LESSONS = [f"FL{number}" for number in range(4)]
MOVED = [f"FM{number}" for number in range(4)]
PAYMENTS = [f"FP{number}" for number in range(4)]
PAID = [f"FD{number}" for number in range(4)]
GIVEN_UP = [f"FV{number}" for number in range(4)]
OWN_TEMPLATE = "fuzz_kept"
TAKEN_AWAY = [f"fuzz_gone_{number}" for number in range(20)]


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


def tenant_of(name):
    """Whose token an operation is asked with, `None` for the platform's; and the tenants that it is about."""
    method, path = name.split(" ")
    rest = path.removeprefix(BASE)
    if rest == path or rest in PLATFORM:
        about = {"DELETE ": DELETED, "GET ": [SAMPLE, SUSPENDED, DELETED[0]]}
        return None, about.get(f"{method} {rest}", [SUSPENDED])
    if rest.startswith("/phone-numbers"):
        return NUMBERS, [NUMBERS]
    if rest.startswith(("/settings", "/twilio", "/jobs")) or (method, rest) == ("DELETE", "/contacts/{id}"):
        return FUZZED, [FUZZED]
    return SAMPLE, [SAMPLE]


def prepared(document):
    """With a tenant of ours, and without the leave to answer with fields that are not in the document."""
    schemas = document["components"]["schemas"]
    parts = set(re.findall(r'"([^"]+)"', " ".join(re.findall(r'"allOf": \[(.*?)\]', json.dumps(schemas)))))
    for name, schema in schemas.items():
        if "allOf" in schema:
            schema.setdefault("unevaluatedProperties", False)
        elif "properties" in schema and f"#/components/schemas/{name}" not in parts:
            schema.setdefault("additionalProperties", False)
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "tenant":
                # Others still come, where schemathesis breaks the rules on purpose.
                parameter["schema"] = {"enum": tenant_of(name)[1]}
    # A tenant that may ask once a minute is asked nothing else.
    for method in ("put", "patch"):
        for body in document["paths"][f"{BASE}/settings"][method]["requestBody"]["content"].values():
            known = document["components"]["schemas"][body["schema"]["$ref"].rsplit("/", 1)[1]]
            kept = {name: field for name, field in known["properties"].items() if name != "requestsPerMinute"}
            body["schema"] = {**known, "properties": kept}
    return document


# What takes the id that something to be sent got.
TAKERS = tuple(f"{BASE}/{path}" for path in ("messages/{id}", "messages/bulk/{id}", "calls/{id}"))


def with_likely_values(document, api, made):
    """With likely values in requests, and with links from what makes an id to what takes one."""
    now = dt.datetime.now(dt.timezone.utc)
    times = [(now + dt.timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-1, 0.01, 30, 400)]
    schemas = document["components"]["schemas"]
    for name, shapes in likely_bodies(times[1:], made).items():
        properties = schemas[name]["properties"]
        with_free = [({**{field: properties[field] for field in free}, **given}, given) for given, free in shapes]
        schemas[name] = {"anyOf": [shape(fields, required) for fields, required in with_free]}
    bodies = other_bodies(times)
    likely = Parameters(times, api, made)
    takers = {}
    for name, operation in operations(document):
        operation["parameters"] = likely.of(name, operation.get("parameters", []))
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content["schema"] = bodies.get(name, content["schema"])
        method, path = name.split(" ")
        if path.startswith(TAKERS):
            reference = f"#/paths/{path.replace('/', '~1')}/{method.lower()}"
            values = {"tenant": SAMPLE, "id": "$response.body#/id"}
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


class Parameters:
    """Of operations that have such a parameter. What there is to be shown, taken back and let go is made here."""

    def __init__(self, times, api, made):
        self.api = api
        message = {"contactId": "S01", "body": "Next month.", "sendAt": times[2]}
        kept = {"recipients": "+15550100201", "body": "Next month.", "sendAt": times[2], "sendImmediately": False}
        lists = [api.post("/messages/bulk", kept)["id"], api.post("/messages/bulk", kept)["id"]]
        recurring = {**message, "repeat": {"cron": "0 9 * * *"}}
        ids = [api.post("/messages", sent)["id"] for sent in (message, recurring)]
        page = api.get("/messages?limit=1")
        call = api.post("/calls", {"contactId": "S01", "say": "Next month.", "sendAt": times[2]})["id"]
        held = {"body": "Linden: hello. Reply STOP.", "hold": True, "sendAt": times[2]}
        self.campaign, ended = (api.post("/campaigns", {**held, "recipients": CAMPAIGN})["id"] for _ in range(2))
        upload, whole = (api.post("/campaigns", {**held, "upload": True})["id"] for _ in range(2))
        api.ask("PUT", f"/campaigns/{whole}/file/0", CUSTOMERS, SAMPLE)
        api.text("+15550100201", "Which room is it?")
        api.text("whatsapp:+15550100204", "Thank you")
        conversations = [conversation["id"] for conversation in api.get("/conversations")["items"]]
        long = "0" * 3000
        day = lambda time: time[:10]
        contact = one_of("S01", "S03", "S05", "S09", *MADE)
        # By the beginning of an operation's name below the tenant; the longest that fits counts.
        self.by_operation = {
            "": {
                "token": one_of(made["token"]),
                "contact": CONTACT,
                "number": NUMBER,
                "limit": one_of(5, 50),
                "If-Match": one_of("*"),
                "country": one_of("US", "CA"),
                "areaCode": one_of("206", "907"),
                "contains": one_of("206*", "5550"),
                "amount": one_of("15", "15.00", "0.01"),
                "currency": one_of("USD"),
                "group": one_of("Strings", "Beginners"),
                "search": one_of("ana", "+15550100201", "order"),
                "actor": one_of("you"),
                "action": one_of("POST", "/contacts"),
                # Their spans would be too long with only one of them.
                "date-time from": one_of(times[0]),
                "date-time to": one_of(times[1]),
                "date from": one_of(day(times[0])),
                "date to": one_of(day(times[1])),
                "string from": one_of(day(times[0])),
                "string to": one_of(day(times[2])),
            },
            "/analytics/costs/report": {"date from": None, "date to": None, "month": one_of(times[1][:7], "2026-02")},
            # Each filter more is many slow requests. The first run has them all, and those of some are the same.
            "GET /audit/export": dict.fromkeys(["limit", "cursor", "actor", "action", "contact", "number"]),
            "GET /calls": dict.fromkeys(CALLS_FILTERS),
            "/calls/{id}": {"id": one_of(call)},
            "/campaigns/{id}": {"id": one_of(self.campaign)},
            "POST /campaigns/{id}/cancel": {"id": one_of(ended)},
            "PUT /campaigns/{id}/file/{part}": {"id": one_of(upload), "part": one_of(0, 1, 63)},
            "/campaigns/{id}/rows": {"outcome": one_of("pending", "excluded")},
            "POST /campaigns/{id}/start": {"id": one_of(self.campaign, whole)},
            "/contacts/{id}": {"id": contact},
            "PUT /contacts/{id}": {"id": one_of(*MADE)},
            "PATCH /contacts/{id}": {"id": one_of(*MADE)},
            "DELETE /contacts/{id}": {"id": one_of(*FORGOTTEN)},
            "/conversations/{id}": {"id": one_of(*conversations)},
            "/groups/{name}": {"name": one_of("Strings", "Beginners")},
            "PUT /groups/{name}": {"name": one_of("Choir", "Harps & flutes"), "contact": one_of(*MADE)},
            "DELETE /groups/{name}": {"name": one_of("Choir", "Harps & flutes"), "contact": one_of(*MADE)},
            "/jobs/{id}": {"id": one_of(*made["jobs"])},
            "/lessons/{id}": {"id": one_of(*LESSONS)},
            "POST /lessons/{id}/move": {"id": one_of(*MOVED)},
            "GET /messages": dict.fromkeys(["type", "answer", "campaign", "template", "reference"]),
            "/messages/{id}": {"id": one_of(page["items"][0]["id"], *ids, f"msg_{long}")},
            "/messages/bulk/{id}": {"id": one_of(*lists, f"batch_{long}")},
            "/payments/{id}": {"id": one_of(*PAYMENTS)},
            "POST /payments/{id}/settle": {"id": one_of(*PAID)},
            "POST /payments/{id}/void": {"id": one_of(*GIVEN_UP)},
            "DELETE /phone-numbers/{number}": {"number": one_of(*GIVEN_BACK)},
            "POST /phone-numbers/{number}": {"number": one_of(*KEPT)},
            "/templates/{name}": {"name": one_of(OWN_TEMPLATE, "fuzz-kept", "order_delivered")},
            "PUT /templates/{name}": {"name": one_of(OWN_TEMPLATE)},
            "DELETE /templates/{name}": {"name": one_of(*TAKEN_AWAY)},
            "POST /templates/{name}/rollback": {"name": one_of(OWN_TEMPLATE)},
            "/templates/{name}/versions": {"name": one_of(OWN_TEMPLATE)},
            "/templates/{name}/versions/{version}": {"name": one_of(OWN_TEMPLATE), "version": one_of(1, 2)},
        }

    def of(self, name, parameters):
        method, path = name.split(" ")
        rest = path.removeprefix(BASE) if path.startswith(BASE) else path
        fitting = [known for known in self.by_operation if name_fits(known, method, rest)]
        likely = {}
        for known in sorted(fitting, key=lambda known: (len(known.split(" ")[-1]), " " in known)):
            likely.update(self.by_operation[known])
        kept = []
        if name == "GET /v1/preferences/{token}":
            accepted = one_of("text/html", "application/json")
            kept.append({"name": "Accept", "in": "header", "required": True, "schema": accepted})
        for parameter in parameters:
            schema = parameter["schema"]
            kind = f"{schema.get('format', 'string')} {parameter['name']}"
            value = likely.get(kind, likely.get(parameter["name"], schema))
            if parameter["name"] == "cursor" and value is not None:
                value = self.cursor(name)
            # Under a key that was used before everything is a conflict.
            if value is not None and parameter["name"] != "Idempotency-Key":
                kept.append({**parameter, "schema": value})
        return kept

    def cursor(self, name):
        """What a first page of one entry says, if there is a second."""
        _, path = name.split(" ")
        tenant, about = tenant_of(name)
        rest = path.removeprefix(BASE)
        rest = rest.replace("/groups/{name}", "/groups/Strings")
        # The pages of the file are those of the rows.
        rest = rest.replace("/campaigns/{id}", f"/campaigns/{self.campaign}").removesuffix(".csv")
        rest = rest.replace("/templates/{name}", f"/templates/{OWN_TEMPLATE}")
        if "{" in rest:
            return None
        page = self.api.platform("GET", "?limit=1") if tenant is None else self.api.get(f"{rest}?limit=1", tenant)
        return one_of(page["nextCursor"]) if page["nextCursor"] else None


CALLS_FILTERS = "type contact direction answer campaign category template reference number order".split()


def name_fits(known, method, rest):
    *methods, path = known.split(" ")
    return (not methods or methods[0] == method) and (rest == path or rest.startswith(f"{path}/") or not path)


NUMBER = one_of("(555) 010-0201", "+1 555 010 0203", "+447700900213", "+15005550001", "whatsapp:+15550100204")
CONTACT = one_of("S01", "S03", "S04", "S05", "S07", "S08", "S09", "S10", "S12", "S13", "S14")
GROUPS = {"type": "array", "items": one_of("Strings", "Beginners"), "minItems": 1, "maxItems": 2}
LIST = one_of("+15550100201\n(555) 010-0202, 555.010.0204", "+15550100205")
# Of which the second gets nothing.
CAMPAIGN = "+15550100201, call the office, +15550100204"
CUSTOMERS = "Phone Number,Customer Name,Last Order Date\n(555) 010-0201,Ana Ruiz,2026-01-09\n,Nobody,\n"
FILE = one_of(CUSTOMERS, "\ufeff" + CUSTOMERS.replace(",", ";"), CUSTOMERS + "5550100202,Zo\u00eb \U0001f3bb,soon\n")
ROWS = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1, "maxItems": 5}
URL = one_of("https://files.example/a.jpg", "http://files.example:8080/b.png?c=d")
SID = one_of("HX0123456789abcdef0123456789abcdef")
CHANNEL = one_of("sms", "whatsapp", "both")
TYPE = one_of("lesson_reminder", "payment_reminder", "schedule_change", "attendance")
EXTREME = one_of("9999-12-30T22:00:00Z", "0000-01-01T00:00:00Z")
TEXT = {"type": "string", "minLength": 1, "maxLength": 300}
VALUE = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}


TEMPLATE = one_of("Hi {name}", "Come to {{place|us}} at {time}!")
NEW_ID = {"type": "string", "pattern": "^[a-z]{12}$"}
NAME = one_of("Ana Ruiz", "Zoë \U0001f3bb", "O'Neill & Sons")
ZONE = one_of("Europe/London", "America/New_York")
HOURS = one_of("21:30-07:00", None)
AMOUNT = one_of("150.00", "0.01", "1250")
DAY = one_of(*(f"{dt.date.today() + dt.timedelta(days):%Y-%m-%d}" for days in (0, 3, 300)))
SOON = dt.date.today() + dt.timedelta(40)
START = one_of(f"{SOON:%Y-%m-%d}T15:00", f"{SOON:%Y-%m-%d}T15:00:00Z")
STUDENTS = {"anyOf": [one_of(["S01", "Strings"]), one_of({"contacts": ["S04"], "groups": None})]}
GREETING = shape({"text": one_of("This is {name}.", None), "voice": one_of("alice")}, [])
QUIET = {"from": "21:00", "to": "08:00"}
LESSON_TYPE = {"lesson_reminder": {"offsets": ["24h", "2h"], "asksForAnswer": True}}
BY_PREFIX = {"byPrefix": {"+44": {"sms": "0.04"}}}
SETTINGS = {
    "anyOf": [
        shape({"frequencyCap": one_of(6, None), "quietHours": one_of(None, QUIET)}, ["frequencyCap"]),
        shape({"greeting": GREETING, "keywordReplies": one_of({"HOURS": "9 to 5"})}, ["greeting"]),
        shape({"types": one_of(LESSON_TYPE), "logContent": one_of(True, False)}, ["types"]),
        shape({"trade": one_of("church", None), "retention": one_of({"auditDays": 30})}, ["trade"]),
        shape({"prices": one_of(BY_PREFIX), "pacing": one_of({"sms": 3})}, ["prices"]),
        shape({"doNotCall": one_of(["+15550100299"], []), "alerts": one_of({"lowBalance": None})}, ["doNotCall"]),
    ]
}


def record(properties):
    return shape(properties, properties)


def one_or_many(name, item):
    """What takes one of something, and a list of them."""
    return {"anyOf": [item, record({name: {"type": "array", "items": item, "minItems": 1, "maxItems": 1}})]}


LESSON = record({"id": one_of("FL5", "FL6"), "subject": NAME, "teacher": NAME, "startsAt": START, "students": STUDENTS})
PAYMENT = record({"id": one_of("FP5", "FP6"), "contactId": one_of("S01", "S13"), "amount": AMOUNT, "dueDate": DAY})



def values(*names):
    return shape({name: VALUE for name in names}, names)


def likely_bodies(times, made):
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
    lesson = {"subject": NAME, "teacher": NAME, "startsAt": START, "students": STUDENTS}
    payment = {"contactId": CONTACT, "amount": AMOUNT, "dueDate": DAY}
    account = {field: one_of(value) for field, value in made["account"].items()}
    own = one_of(OF_FUZZED)
    guests = {"offer": one_of("20% off"), "offerCode": one_of("BACK20"), "restaurantName": NAME}
    said = {"body": one_of("Hi {customer_name|there}! {offer}", "Linden: new courses. Reply STOP.")}
    said["offer"] = one_of("2 for 1")
    rails = {"optOutText": one_of("Text STOP to end."), "lapsedAfterDays": one_of(0, 60), "category": one_of("marketing")}
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
        "CampaignRequest": [
            ({"recipients": LIST, "body": TEXT, "channel": one_of("sms", "whatsapp")}, ["name", "hold", "namesSender"]),
            ({"groups": GROUPS, **said, **later, "mediaUrls": URL, "optOutText": one_of(None)}, ["variables", "hold"]),
            ({"customerList": FILE, **guests, **rails, "phoneColumn": one_of("phone number", None)}, ["name", "hold"]),
            ({"upload": one_of(True), "template": one_of("win_back", "order_delivered"), **later}, ["name", "variables"]),
        ],
        "CampaignForm": [
            ({"customerList": FILE, **guests, **rails, "sendAt": one_of("")}, ["name", "hold", "namesSender"]),
            ({"customerList": FILE, **said, "phoneColumn": one_of("Phone Number", ""), **later}, ["hold"]),
            ({"recipients": LIST, "body": TEXT, "channel": one_of("sms", "")}, ["name", "hold"]),
            ({"groups": one_of("Strings; Beginners"), **said, "mediaUrls": URL, "channel": one_of("mms")}, ["hold"]),
            ({"upload": one_of(True), "template": one_of("win_back", "order_delivered"), **later}, ["name"]),
        ],
        "StartRequest": [({}, []), ({"parts": one_of(1, None)}, [])],
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
        "NumberRequest": [({"number": NUMBER}, [])],
        "TenantRequest": [
            ({"id": NEW_ID, "name": NAME, "timeZone": ZONE, "defaultRegion": one_of("US", "GB")}, ["trade"]),
            ({"id": NEW_ID, "name": NAME, "timeZone": ZONE, "defaultRegion": one_of("US"), "settings": SETTINGS}, []),
        ],
        "SuspendRequest": [({}, []), ({"reason": one_of("owes money", None)}, [])],
        "ContactRequest": [
            ({"name": NAME, "phone": NUMBER}, ["channel", "optedOut", "optedOutCategories"]),
            ({"name": NAME, "groups": GROUPS, "email": one_of("a@b.example"), "timeZone": ZONE}, ["channel"]),
            ({"name": NAME, "whatsapp": NUMBER, "quietHours": HOURS, "attributes": values("instrument", "Grade 2")}, []),
        ],
        "PreferencesRequest": [({"quietHours": HOURS, "timeZone": ZONE}, ["channel", "optedOut", "optedOutCategories"])],
        "OwnPreferencesRequest": [({"quietHours": HOURS}, ["channel", "optedOut", "optedOutCategories"])],
        "LinkRequest": [({}, ["days"])],
        "LessonRequest": [
            (lesson, []),
            ({**lesson, "timeZone": ZONE, "course": NAME}, []),
        ],
        "MoveRequest": [({"startsAt": START}, [])],
        "AttendanceRequest": [({"contactId": CONTACT, "status": one_of("Present", "Late")}, ["recordedAt"])],
        "PaymentRequest": [
            (payment, []),
            ({**payment, "currency": one_of("GBP", None), "course": NAME, "status": one_of("due", "paid", "void")}, []),
        ],
        "BuyRequest": [({"phoneNumber": one_of(*FOR_SALE)}, []), ({"phoneNumber": one_of(*FOR_SALE)}, ["useAs"])],
        "TemplateRequest": [
            ({"category": one_of("general", "marketing"), "text": TEMPLATE}, ["description", "active", "trade"]),
        ],
        "TemplatePreviewRequest": [
            ({"contactId": CONTACT}, ["category"]),
            ({"to": NUMBER, "text": one_of("Hi {name}", "{a}{b|c}", "\U0001f3bb")}, ["category"]),
            ({"variables": values("name", "order_number", "other")}, []),
        ],
        "RollbackRequest": [({"version": one_of(1, 2)}, [])],
        "ConnectRequest": [
            (account, []),
            ({**account, "phoneNumber": own, "whatsappNumber": own, "apiKey": one_of(None)}, []),
        ],
    }


def other_bodies(times):
    """Of operations whose body has a schema without a name, or one that others have too."""
    soon = dt.datetime.strptime(times[2], "%Y-%m-%dT%H:%M:%SZ")
    calendar = "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//fuzz//EN",
            "BEGIN:VEVENT",
            "UID:fuzz-1",
            "DTSTAMP:20260101T000000Z",
            f"DTSTART:{soon:%Y%m%dT%H%M%SZ}",
            "DURATION:PT45M",
            "RRULE:FREQ=WEEKLY;COUNT=4",
            "SUMMARY:Flute",
            "DESCRIPTION:S01",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )
    lessons = f"id,subject,teacher,starts_at,students\nFL8,Harp,Mx. Lee,{soon:%Y-%m-%d %H:%M},S01\nFL9,,,,Nobody\n"
    contacts = "id,name,phone,groups\nF31,Cy Filed,5550100231,Choir\n,Nobody,none,\n"
    payments = f"id,student,amount,due_date\nFP8,S01,12.50,{soon:%Y-%m-%d}\nFP9,S99,much,never\n"
    whole = {"name": NAME, "timeZone": ZONE, "defaultRegion": one_of("US"), "budget": one_of({"currency": "USD"})}
    # The tenant's other operations go on.
    whole["requestsPerMinute"] = one_of(1_000_000)
    form = {
        "was_stopped": one_of("no", "yes"),
        "stopped": one_of("yes"),
        "channel": one_of("sms", "both", ""),
        "quiet_from": one_of("21:30"),
        "quiet_to": one_of("07:00", "07:00:00"),
        "was": one_of("marketing"),
        "stop": one_of("marketing", "lessons"),
    }
    template = {"name": NEW_ID, "category": one_of("general"), "text": TEMPLATE}
    return {
        f"PUT {BASE}/settings": shape({**whole, "greeting": GREETING}, whole),
        f"PATCH {BASE}/settings": SETTINGS,
        f"PUT {BASE}/campaigns/{{id}}/file/{{part}}": FILE,
        f"POST {BASE}/contacts/import": one_of(contacts, "\ufeff" + contacts.replace(",", ";")),
        f"POST {BASE}/lessons/import": one_of(lessons, calendar),
        f"POST {BASE}/payments/import": one_of(payments),
        f"POST {BASE}/templates": record(template),
        f"POST {BASE}/lessons": one_or_many("lessons", LESSON),
        f"POST {BASE}/payments": one_or_many("payments", PAYMENT),
        "POST /v1/preferences/{token}": shape(form, ["was_stopped", "quiet_from", "quiet_to"]),
    }


# The runs


def fuzz(program, folder, api, document):
    """Runs schemathesis, which shows what it finds. Answers what is wrong, and its report."""
    with open(os.path.join(folder, "openapi.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    # What the document's media types look like on the wire, but for those that schemathesis knows.
    hooks = os.path.join(folder, "hooks.py")
    with open(hooks, "w", encoding="utf-8") as file:
        file.write('import schemathesis\n\nschemathesis.serializer.alias(["text/csv", "text/calendar"], "text/plain")\n')
    with open(os.path.join(folder, "schemathesis.toml"), "w", encoding="utf-8") as file:
        file.write(tokens(document, api))
    command = [
        program,
        "run",
        "openapi.json",
        f"--url={api.url}",
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
    ended = subprocess.run(command, cwd=folder, timeout=RUN_SECS, env={**os.environ, "SCHEMATHESIS_HOOKS": hooks})
    report = json.loads(read(os.path.join(folder, "report.json")))
    wrong = [f"{failure['title']}: {', '.join(failure['operations'])}" for failure in report["failures"]]
    wrong += [f"schemathesis could not test: {error}" for error in report["errors"]]
    if ended.returncode != 0 and not wrong:
        wrong.append(f"schemathesis ended with {ended.returncode}")
    return wrong, report


def tokens(document, api):
    """The configuration that asks each operation with the token that it takes."""
    by_tenant = {}
    for name, _ in operations(document):
        by_tenant.setdefault(tenant_of(name)[0], []).append(name)
    lines = []
    for tenant, names in by_tenant.items():
        authorization = json.dumps(f"Bearer {api.tokens[tenant]}")
        lines += ["[[operations]]", f"include-name = {json.dumps(names)}"]
        lines += [f"headers = {{ Authorization = {authorization} }}"]
    return "\n".join([*lines, ""])


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
        reached = sum(counts) if name in ONCE else accepted + refused[1]
        if accepted == 0 or reached * 100 < sum(counts) * LEAST_ACCEPTED:
            wrong.append(f"{name}: accepted {accepted} of {sum(counts)} likely requests")
    return wrong


if __name__ == "__main__":
    main()
