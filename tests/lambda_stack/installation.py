"""Everything that runs, and what calls functions without HTTP: EventBridge, and Lambda's own poller of a queue."""

import contextlib
import datetime as dt
import json
import os
import time
import urllib.error
import urllib.request
import uuid

from running import running

from . import aws, bridge, emulator, stack, template

ISSUER = "https://issuer.example.com"
AUDIENCE = "carillon"
ANSWER_SECS = 60


@contextlib.contextmanager
def running_installation(template_file, build, carillon, folder):
    """Deploys the stack, and runs it as long as the block lasts."""

    def subfolder(name):
        path = os.path.join(folder, name)
        os.mkdir(path)
        return path

    with contextlib.ExitStack() as ends:
        it = Installation()
        it.template = template.read(template_file)
        it.api_url = ends.enter_context(bridge.served(it.answer_api, it.failures))
        it.webhook_url = ends.enter_context(bridge.served(it.answer_webhook, it.failures))
        _, said = ends.enter_context(running(carillon, ["twilio"], subfolder("twilio"), ["Twilio"]))
        it.twilio_url = said["Twilio"]
        it.aws = aws.Aws(ends.enter_context(aws.moto(subfolder("moto"))))
        # The template takes no other URL than one of HTTPS, which moto does not look at.
        parameters = {"JwtIssuer": ISSUER, "JwtAudience": AUDIENCE, "PublicUrl": it.webhook_url}
        it.stack = stack.deploy(it.aws, it.template, parameters)
        endpoints = {"AWS_ENDPOINT_URL": it.aws.url, "TWILIO_API_BASE": it.twilio_url}
        for logical, function in it.stack.functions.items():
            bootstrap = f"{build}/{emulator.kebab_case(logical)}/bootstrap"
            run = emulator.emulated(logical, function, bootstrap, endpoints, folder)
            it.emulators[logical] = ends.enter_context(run)
        yield it


class Installation:
    def __init__(self):
        self.emulators = {}
        self.account_sid = None
        # What went wrong where nobody but the caller would hear of it.
        self.failures = []
        # Texts that neither the table nor a line may show.
        self.private = []

    def answer_api(self, request):
        return bridge.http_api(request, self.template.routes, self.invoke, ISSUER, AUDIENCE)

    def answer_webhook(self, request):
        [function] = self.template.open_urls
        return bridge.function_url(request, function, self.invoke)

    def invoke(self, logical, kind, event):
        return self.emulators[logical].invoke(kind, event)

    # The API

    def ask(self, claims, method, path, body=None, key=None):
        """A request to the API with such a token: its status, and the JSON of its answer."""
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        if claims:
            whole = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, **claims}
            headers["Authorization"] = f"Bearer {bridge.token(whole)}"
        if key:
            headers["Idempotency-Key"] = key
        return request(method, self.api_url + path, None if body is None else json.dumps(body).encode(), headers)

    # Twilio

    def post_form(self, path, form, headers):
        """Posts to the webhook, as Twilio does or not."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return request("POST", self.webhook_url + path, form, headers)

    def at_twilio(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        status, answer = request(method, f"{self.twilio_url}/_local/{path}", data, {"Content-Type": "application/json"})
        if status >= 300:
            raise ConnectionError(f"the local Twilio answered {status} to {path}: {answer}")
        return answer

    def ledger(self):
        """Every message that Twilio has accepted of the school's account, in order."""
        return [entry for entry in self.at_twilio("GET", "ledger") if entry["account_sid"] == self.account_sid]

    def callbacks(self):
        """Every try of Twilio's to call the webhook."""
        return [each for each in self.at_twilio("GET", "callbacks") if each["url"].startswith(self.webhook_url)]

    # EventBridge

    def call_on_schedule(self, rule, now=None):
        """Calls a function as its rule does at its time."""
        schedule = self.stack.schedules[rule]
        if schedule.input:
            return self.invoke(schedule.function, f"the input {schedule.input}", json.loads(schedule.input))
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": bridge.ACCOUNT,
            "time": instant(now or dt.datetime.now(dt.timezone.utc)),
            "region": aws.REGION,
            "resources": [schedule.arn],
            "detail": {},
        }
        return self.invoke(schedule.function, "a scheduled event", event)

    def put_event(self, source, detail_type, detail):
        """Puts an event on the bus, and calls the functions of the rules that it fits. What they answer."""
        said = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
        put = self.aws.client("events").put_events(Entries=[{"EventBusName": self.stack.bus, **said}])
        if put["FailedEntryCount"]:
            raise ConnectionError(f"the bus did not take an event: {put['Entries']}")
        answers = []
        for queue, logical in self.stack.told.items():
            for message in self.aws.take(queue):
                event = {"account": bridge.ACCOUNT, **json.loads(message["Body"])}
                answers.append(self.invoke(logical, f"the event {event['detail-type']}", event))
                self.aws.delete(queue, message)
        return answers

    def events_out(self):
        """The events of ours that the rule out has kept: names and details."""
        lines = [json.loads(line) for group in self.stack.log_groups for line in self.aws.lines(group)]
        return [(event["detail-type"], event["detail"]) for event in lines if event["source"] == "carillon"]

    # SQS

    def poll(self):
        """Hands what lies in the queue to its function, as Lambda does; answers the messages that it has dealt with."""
        poller, dealt_with = self.stack.poller, []
        while messages := self.aws.take(poller.queue, poller.batch):
            records = [record(message, poller.arn) for message in messages]
            answer = self.invoke(poller.function, "messages of the queue", {"Records": records})
            failures = answer["batchItemFailures"] if poller.reports_failures else []
            failed = {failure["itemIdentifier"] for failure in failures}
            for message in messages:
                if message["MessageId"] not in failed:
                    self.aws.delete(poller.queue, message)
                    dealt_with.append(message)
        return dealt_with


def record(message, queue_arn):
    """A message of a queue, as Lambda gives it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": message.get("MessageAttributes", {}),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": aws.REGION,
    }


def instant(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def request(method, url, data, headers):
    asked = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_SECS) as answer:
            return answer.status, parsed(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, parsed(refused.read())


def parsed(content):
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
