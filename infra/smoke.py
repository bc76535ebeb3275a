"""Proves that a stack works, the deployed one or one machine's: python3 smoke.py API [more]

    export CARILLON_TOKEN="$(…)" CARILLON_PLATFORM_TOKEN="$(…)"    # what fetches a token from your issuer
    python3 infra/smoke.py https://….execute-api.….amazonaws.com --webhook https://….lambda-url.….on.aws

On one machine, while `cargo run` serves in another terminal, with the addresses that it prints (and, as it was started,
with the same `--state`):

    export CARILLON_TOKEN="$(target/debug/carillon token --tenant smoke)"
    export CARILLON_PLATFORM_TOKEN="$(target/debug/carillon token --role platform)"
    python3 infra/smoke.py http://127.0.0.1:8787 --webhook http://127.0.0.1:8788

CARILLON_TOKEN is an admin's of the tenant that is to send; which tenant that is, the token says. One that does not
exist is made with CARILLON_PLATFORM_TOKEN, and stays for the next time: it has no Twilio account, so what it sends is
simulated, and nothing leaves the stack. If the tenant has an account, nothing is sent unless --to names a number of
your own: three texts go there, and cost what three texts cost. Otherwise they go to numbers that nobody can have.
--token and --platform-token take tokens too, but then they stand in the list of processes and in the shell's history.

Each line says what was looked at, and what is wrong and where to look next. The exit status is 0 only if all of it
held. What was scheduled is taken back; the messages that went stay in the tenant's log as long as it keeps them.
Takes python3 alone; on AWS two or three minutes, most of it waiting for the minute tick, locally twenty seconds.
"""

import argparse
import base64
import binascii
import contextlib
import datetime as dt
import json
import os
import secrets
import signal
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# Ofcom keeps 07700 900000 to 900999 for drama: nobody will ever have one.
NOBODY = ["+447700900001", "+447700900002", "+447700900003"]
SENDER = "+447700900000"
# What a tenant of ours is set to: it sends at any hour, without waiting between texts, and keeps little.
SETTINGS = {
    "quietHours": None,
    "senders": {"sms": SENDER},
    "pacing": {"sms": 100},
    "retention": {"messagesDays": 7, "auditDays": 7},
    "alerts": {"failurePercent": None, "slowSeconds": None, "lowBalance": None},
}

# Lambda's first answer after a while takes longer than others.
ANSWER_SECS = 40
# A message for the tick is due so long after it was asked for.
AHEAD_SECS = 8
# The tick comes each minute, and does other things first.
LATEST_SECS = 90
# The queue is faster than the tick, which has just been.
QUEUE_SECS = 30
# The index that the log is read from may be a moment behind.
LOG_SECS = 20


def main():
    # Ends by an exception, so that what was scheduled is taken back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    asked = arguments()
    stack = Stack(asked)
    wrong = 0
    print(f"{stack.api}, tenant {stack.tenant}, run {stack.run}")
    try:
        for check in CHECKS:
            try:
                print(f"ok     {check(stack)}", flush=True)
            except Skipped as skipped:
                print(f"-      {skipped}", flush=True)
            except Wrong as found:
                wrong += 1
                print(f"WRONG  {found}", flush=True)
                if found.is_end:
                    break
            except (LookupError, TypeError, ValueError) as found:
                wrong += 1
                look = "whether this script and the stack are of one version"
                print(f"WRONG  {check.__name__}: an answer is not as described: {found!r}. Look at: {look}", flush=True)
                break
    except KeyboardInterrupt:
        sys.exit("stopped")
    finally:
        take_back(stack)
    if stack.sent:
        print(f"left: {stack.sent} messages in the log of {stack.tenant}: reference {stack.run}, or of its list.")
    print("All is well." if wrong == 0 else f"{wrong} wrong. See infra/RUNBOOK.md.")
    sys.exit(1 if wrong else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("api", metavar="API", help="the API's address: the stack's output ApiUrl")
    parser.add_argument("--token", help="an admin's, of the tenant that sends, in place of CARILLON_TOKEN")
    what = "makes the tenant if it does not exist, in place of CARILLON_PLATFORM_TOKEN"
    parser.add_argument("--platform-token", metavar="TOKEN", help=what)
    parser.add_argument("--webhook", metavar="URL", help="the webhook's address, as Twilio calls it: looked at too")
    parser.add_argument("--to", metavar="NUMBER", help="your own number, as +15551234567: takes three texts")
    parser.add_argument(
        "--timeout", metavar="SECS", type=int, default=180, help="how long a message may take to its end (180)"
    )
    asked = parser.parse_args()
    asked.token = given(asked.token, "CARILLON_TOKEN")
    asked.platform_token = given(asked.platform_token, "CARILLON_PLATFORM_TOKEN")
    if asked.token is None:
        parser.error("there is no token: set CARILLON_TOKEN")
    return asked


def given(token, variable):
    """The argument, or what the environment has. None if neither was meant to be."""
    token = os.environ.get(variable) if token is None else token
    if token is not None and not token.strip():
        sys.exit(f"the token is empty (or {variable} is): {PRINTED}")
    return token and token.strip()


class Wrong(Exception):
    """Something did not hold. With `is_end` nothing after it can, or may be tried."""

    def __init__(self, problem, look, is_end=False):
        super().__init__(f"{problem}. Look at: {look}")
        self.is_end = is_end


class Skipped(Exception):
    """Something was not looked at, as the arguments have it."""


class Stack:
    """Where it is, who asks, and what was found out so far."""

    def __init__(self, asked):
        self.api = asked.api.rstrip("/")
        self.webhook = asked.webhook and asked.webhook.rstrip("/")
        self.token, self.platform_token = asked.token, asked.platform_token
        self.to, self.timeout = asked.to, asked.timeout
        claims = claims_of(self.token, "the token", "admin")
        self.tenant = claims.get("tenant") or sys.exit("the token is for no tenant: its claim `tenant` is missing")
        if self.platform_token:
            claims_of(self.platform_token, "the platform's token", "platform")
        # Names this run in the log, and makes its keys and texts different from those of others.
        self.run = f"smoke-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        self.path = f"/v1/tenants/{self.tenant}"
        self.is_simulated = True
        self.category = None
        # By the stack's clock, which the others are compared with: ours may be wrong.
        self.clock = None
        self.first = None
        self.messages, self.batch, self.rows, self.waiting, self.sent = [], None, [], [], 0

    def recipients(self):
        return [self.to] if self.to else NOBODY

    def text(self, what):
        # Names its sender, and no word that carriers take for spam.
        return f"Carillon: {what} of {self.run}."

    def now(self):
        return self.clock[0] + dt.timedelta(seconds=time.monotonic() - self.clock[1])


PRINTED = "did the command that should print it fail? Run it by itself, and look at what it says"


def claims_of(token, which, role):
    """What a JWT says, if it is one of that role. Whether it is true is the gateway's to find out."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        sys.exit(f"{which} is no JWT, which is three parts with dots between them: {PRINTED}")
    if not isinstance(claims, dict):
        sys.exit(f"{which} is no JWT: its second part is no JSON object")
    if claims.get("exp", time.time() + 1) <= time.time():
        sys.exit(f"{which} has expired")
    if claims.get("role") != role:
        sys.exit(f"{which} has the role {claims.get('role')!r}: this takes one of the role '{role}'")
    return claims


# What is looked at, in order


def description_is_open(stack):
    what = "the API's description is open to everybody"
    answer = ask(stack.api, "GET", "/v1/openapi.json")
    want(answer, 200, what, "the output ApiUrl; the routes of manageTenant in template.yaml")
    if not str(json_of(answer, what).get("openapi", "")).startswith("3."):
        raise Wrong(f"{what}, but it is none", "whether API is the stack's output ApiUrl", is_end=True)
    return what


def docs_are_open(stack):
    what = "the documentation is open to everybody"
    want(ask(stack.api, "GET", "/docs"), 200, what, "the routes of manageTenant in template.yaml")
    return what


def strangers_are_refused(stack):
    what = "without a token, and with a forged one, the API answers 401"
    look = "the authorizer of Api in template.yaml. Take the API off the net until it is found"
    head, payload, signature = (stack.token.split(".") + ["", ""])[:3]
    forged = ".".join([head, payload, ("B" if signature[:1] == "A" else "A") + signature[1:]])
    for token in (None, forged):
        want(ask(stack.api, "GET", f"{stack.path}/settings", token=token), 401, what, look)
    return what


def others_are_404(stack):
    what = "another tenant's path is 404"
    other = f"{stack.tenant[:50]}-other"
    answer = ask(stack.api, "GET", f"/v1/tenants/{other}/settings", token=stack.token)
    if answer.status == 401:
        look = "the parameters JwtIssuer and JwtAudience against the token's `iss` and `aud`; RUNBOOK, Token rotation"
        raise Wrong(f"{what}, but the token is not believed: {answer.told()}", look, is_end=True)
    want(answer, 404, what, "shared/src/api/access.rs")
    return what


def tenant_is_there(stack):
    what = f"the tenant {stack.tenant} is there"
    answer = ask(stack.api, "GET", f"{stack.path}/settings", token=stack.token)
    if answer.status == 404 and stack.platform_token:
        return made_tenant(stack)
    if answer.status == 404:
        raise Wrong(f"{what}, but it is not", "the token's tenant, or CARILLON_PLATFORM_TOKEN, which makes it", is_end=True)
    want(answer, 200, what, "RUNBOOK, First deploy: the data keys; then Functions fail or are throttled", is_end=True)
    settings = json_of(answer, what)
    if not settings["enabled"] or settings.get("suspended"):
        raise Wrong(f"{what}, but it is switched off", "its settings: enabled, suspended", is_end=True)
    return f"{what}, and its settings can be read"


def made_tenant(stack):
    what = f"the tenant {stack.tenant} is made, and its settings can be put and read"
    asked = {"id": stack.tenant, "name": "Smoke test", "timeZone": "UTC", "defaultRegion": "GB"}
    answer = ask(stack.api, "POST", "/v1/tenants", asked, stack.platform_token)
    if answer.status == 409:
        raise Wrong(f"{what}, but it was deleted once: {answer.told()}", "a token of another tenant", is_end=True)
    want(answer, 201, what, "the platform token's role; RUNBOOK, First deploy: the data keys", is_end=True)
    known = ask(stack.api, "GET", f"{stack.path}/settings", token=stack.token)
    want(known, 200, what, "shared/src/api/settings.rs", is_end=True)
    put = ask(stack.api, "PUT", f"{stack.path}/settings", {**json_of(known, what), **SETTINGS}, stack.token)
    want(put, 200, what, "what it says of the field", is_end=True)
    again = ask(stack.api, "GET", f"{stack.path}/settings", token=stack.token)
    want(again, 200, what, "shared/src/api/settings.rs", is_end=True)
    if json_of(again, what)["senders"].get("sms") != SENDER:
        raise Wrong(f"{what}, but they are not what was put", "shared/src/api/settings.rs", is_end=True)
    return what


def account_may_send(stack):
    """Before anything is sent: whether it would leave, and whether that is meant."""
    what = "what is sent"
    answer = ask(stack.api, "GET", f"{stack.path}/twilio", token=stack.token)
    want(answer, 200, what, "Secrets Manager, and manageTenant's policy", is_end=True)
    account = json_of(answer, what)
    stack.is_simulated = account["simulated"] is True
    if not stack.is_simulated and not stack.to:
        problem = f"{stack.tenant} has a Twilio account: its texts would leave, and nothing was sent"
        raise Wrong(problem, "--to with a number of your own, or a token of a tenant without an account", is_end=True)
    if stack.webhook and not account["webhooks"]["smsUrl"].startswith(f"{stack.webhook}/twilio/"):
        told = account["webhooks"]["smsUrl"]
        problem = f"the stack believes that Twilio calls {told}, which is not at {stack.webhook}"
        raise Wrong(problem, "the parameter PublicUrl; RUNBOOK, First deploy")
    if stack.is_simulated:
        return "the tenant has no Twilio account: what is sent is simulated, and nothing leaves"
    return f"the tenant has a Twilio account: three texts go to {stack.to}, as you asked"


def preview_is_right(stack):
    what = "a preview says what a text would be"
    body = {"to": stack.recipients()[0], "body": stack.text("the preview")}
    answer = ask(stack.api, "POST", f"{stack.path}/messages/preview", body, stack.token)
    want(answer, 200, what, "sendMessage's log", is_end=True)
    preview = json_of(answer, what)
    if preview["simulated"] is not stack.is_simulated:
        # A process believes an account for a minute.
        problem = f"{what}, but not of the account that the tenant has: it was connected or disconnected this minute"
        raise Wrong(problem, "the same again in two minutes", is_end=True)
    if preview["verdict"] == "skip":
        problem = f"{what}, and it would not go: {preview['reason']}"
        raise Wrong(problem, "the tenant's settings (senders, doNotCall), or another --to", is_end=True)
    if preview["segments"] < 1 or not preview["channels"]:
        raise Wrong(f"{what}, but it has no segment or no channel", "the tenant's senders.sms", is_end=True)
    if preview["verdict"] == "defer":
        # What authenticates may go at any hour.
        stack.category = "authentication"
        return f"{what}; it is quiet hours there, so what follows goes as an authentication code"
    return f"{what}: {preview['segments']} segment, {preview['cost']} {preview['currency']}"


def text_is_accepted(stack):
    what = "a text is accepted"
    receipt = sent(stack, "text", {"body": stack.text("the text")}, what)
    stack.first = receipt
    stack.clock = (instant(receipt["askedAt"]), time.monotonic())
    if receipt["reason"]:
        look = "POST …/messages/explain for that number"
        raise Wrong(f"{what}, but decided against: {receipt['reason']}", look, is_end=True)
    return f"{what}: {receipt['id']}"


def key_answers_once(stack):
    what = "the same key answers the same, and another text under it is 409"
    again = sent(stack, "text", {"body": stack.text("the text")}, what)
    look = "shared/src/usecases/send_message.rs. Send nothing more: texts may go twice"
    if again != stack.first:
        raise Wrong(f"{what}, but the second answer is {again}", look, is_end=True)
    other = post_message(stack, "text", {"body": stack.text("another text")})
    want(other, 409, what, look, is_end=True)
    return what


def text_arrives(stack):
    what = "the text reaches its end"
    message = ended(stack, stack.first["id"], what)
    is_complete(stack, message)
    took = last(message) - instant(stack.first["askedAt"])
    return f"{what}: {message['state']} after {seconds(took)}, {story(message)}"


def later_can_be_taken_back(stack):
    what = "a text for tomorrow waits, and can be taken back"
    at = stack.now() + dt.timedelta(days=1)
    receipt = sent(stack, "tomorrow", {"body": stack.text("tomorrow's text"), "sendAt": written(at)}, what)
    stack.waiting.append(receipt["id"])
    message = fetched(stack, receipt["id"], what)
    look = "shared/src/usecases/send_message.rs"
    if message["status"] != "scheduled":
        raise Wrong(f"{what}, but it is {message['status']}", look)
    canceled = ask(stack.api, "POST", f"{stack.path}/messages/{receipt['id']}/cancel", {}, stack.token)
    want(canceled, 200, what, look)
    message = fetched(stack, receipt["id"], what)
    if json_of(canceled, what)["canceled"] != 1 or message["status"] != "canceled":
        raise Wrong(f"{what}, but it is {message['status']}", look)
    stack.waiting.remove(receipt["id"])
    return what


def tick_runs(stack):
    what = "the minute tick sends what is due"
    at = stack.now() + dt.timedelta(seconds=AHEAD_SECS)
    receipt = sent(stack, "tick", {"body": stack.text("the tick's text"), "sendAt": written(at)}, what)
    stack.waiting.append(receipt["id"])
    if instant(receipt["askedAt"]) >= instant(receipt["dueAt"]):
        raise Wrong(f"{what}, but it was due before it was asked for", "sendMessage's duration: it answers too slowly")
    message = ended(stack, receipt["id"], what)
    stack.waiting.remove(receipt["id"])
    is_complete(stack, message)
    late = step(message, "claimed") - instant(receipt["dueAt"])
    if late.total_seconds() > LATEST_SECS:
        raise Wrong(f"{what}, but {seconds(late)} late", "LateSeconds; RUNBOOK, Messages are stuck or late")
    return f"{what}: {seconds(late)} after it was due"


def list_goes_through_the_queue(stack):
    """Right after the tick, so that the next is far: what goes now, the queue has told of."""
    what = "a list goes through the queue"
    rows = [{"to": number} for number in stack.recipients()]
    body = {"recipients": rows, "body": stack.text("the list"), **category(stack)}
    answer = ask(stack.api, "POST", f"{stack.path}/messages/bulk", body, stack.token, key=f"{stack.run}-list")
    want(answer, 202, what, "sendMessage's log")
    receipt = json_of(answer, what)
    stack.batch = receipt["id"]
    stack.waiting.append(stack.batch)
    if receipt["accepted"] != len(rows):
        problem = f"{what}, but of {len(rows)} rows {receipt['accepted']} were accepted"
        raise Wrong(problem, f"what is said of the rows: {receipt['rows']}")
    stack.rows = [row["id"] for row in receipt["rows"]]
    stack.sent += len(stack.rows)
    messages = [ended(stack, id, what) for id in stack.rows]
    stack.waiting.remove(stack.batch)
    for message in messages:
        is_complete(stack, message)
    took = min(step(message, "claimed") - step(message, "asked") for message in messages)
    if took.total_seconds() > QUEUE_SECS:
        problem = f"{what}, but its first row was taken after {seconds(took)}: by the minute tick, it seems"
        look = "the event source mapping of dispatchMessages and its throttles; RUNBOOK, Dead letters"
        raise Wrong(problem, look)
    whole = max(last(message) - step(message, "asked") for message in messages)
    return f"{what}: the first of {len(rows)} taken after {seconds(took)}, the last at its end after {seconds(whole)}"


def log_lists_all(stack):
    what = "the log lists what was sent"
    span = {"from": written(stack.now() - dt.timedelta(hours=1)), "to": written(stack.now() + dt.timedelta(days=2))}
    wanted = {**dict.fromkeys(stack.messages, "reference"), **dict.fromkeys(stack.rows, "campaign")}
    asked = {"reference": stack.run, **({"campaign": stack.batch} if stack.batch else {})}
    until = time.monotonic() + LOG_SECS
    while True:
        found = set()
        for name, value in asked.items():
            query = urllib.parse.urlencode({**span, name: value, "limit": 200})
            answer = ask(stack.api, "GET", f"{stack.path}/messages?{query}", token=stack.token)
            want(answer, 200, what, "manageTenant's log")
            found |= {message["id"] for message in json_of(answer, what)["items"]}
        missing = [id for id in wanted if id not in found]
        if not missing:
            return f"{what}: {len(wanted)} messages"
        if time.monotonic() > until:
            raise Wrong(f"{what}, but not {', '.join(missing)}", "the index `time` of the table")
        time.sleep(1)


def webhook_is_closed(stack):
    if not stack.webhook:
        raise Skipped("the webhook was not looked at: --webhook names it")
    what = "the webhook refuses what Twilio has not signed, and knows no other path"
    form = b"MessageSid=SM00000000000000000000000000000000&MessageStatus=delivered"
    # First, since AWS itself answers 403 where a function URL lacks a permission.
    look = "whether --webhook is the stack's output WebhookUrl; the permissions of twilioWebhook's function URL"
    want(ask(stack.webhook, "POST", "/nothing/here", form), 404, what, look)
    look = "shared/src/api/webhook.rs. Take the function URL away until it is found"
    for path in ("status", "inbound", "voice", "voice/status"):
        answer = ask(stack.webhook, "POST", f"/twilio/{stack.tenant}/{path}", form)
        want(answer, 403, f"{what} ({path})", look)
    return what


CHECKS = [
    description_is_open,
    docs_are_open,
    strangers_are_refused,
    others_are_404,
    tenant_is_there,
    account_may_send,
    preview_is_right,
    text_is_accepted,
    key_answers_once,
    text_arrives,
    later_can_be_taken_back,
    tick_runs,
    list_goes_through_the_queue,
    log_lists_all,
    webhook_is_closed,
]


# Messages


def category(stack):
    return {"category": stack.category} if stack.category else {}


def post_message(stack, name, body):
    body = {"to": stack.recipients()[0], "reference": stack.run, **category(stack), **body}
    return ask(stack.api, "POST", f"{stack.path}/messages", body, stack.token, key=f"{stack.run}-{name}")


def sent(stack, name, body, what):
    """Asks for a message under a key of its own, and answers the receipt."""
    answer = post_message(stack, name, body)
    want(answer, 202, what, "what it says of the field; sendMessage's log", is_end=name == "text")
    receipt = json_of(answer, what)
    if receipt["id"] not in stack.messages:
        stack.messages.append(receipt["id"])
        stack.sent += 1
    return receipt


def fetched(stack, id, what):
    answer = ask(stack.api, "GET", f"{stack.path}/messages/{id}", token=stack.token)
    want(answer, 200, what, "manageTenant's log")
    return json_of(answer, what)


def ended(stack, id, what):
    """Waits for a message's end, and answers it as it is then. Fails unless it was delivered."""
    until = time.monotonic() + stack.timeout
    while True:
        message = fetched(stack, id, what)
        if message["simulated"] is not stack.is_simulated and message["status"] not in ("scheduled", "sending"):
            problem = f"{what}, but it was {'' if message['simulated'] else 'not '}simulated"
            raise Wrong(problem, "whether somebody connected or disconnected the account meanwhile", is_end=True)
        if message["state"] == "Delivered":
            return message
        if message["state"] in ("Failed", "Skipped"):
            error = message["error"] or {}
            why = message["errorCode"] or message["reason"]
            advice = error.get("advice") or message["advice"] or "RUNBOOK, Many messages fail"
            raise Wrong(f"{what}, but it is {message['status']}: {why}; {story(message)}", advice)
        if time.monotonic() > until:
            problem = f"{what}, but {id} is still {message['status']} after {stack.timeout} s; {story(message)}"
            raise Wrong(problem, hint_for(message))
        time.sleep(1)


def hint_for(message):
    """Where to look, by how far a message got."""
    if message["status"] == "scheduled":
        return "dispatchMessages: does it run each minute? RUNBOOK, Messages are stuck or late"
    if message["status"] == "sending":
        return "the same message in six minutes: by then it is found out. RUNBOOK, Messages are stuck or late"
    return "Twilio has it and told no end: PublicUrl, twilioWebhook's log, and Twilio's own log of that SID"


def is_complete(stack, message):
    """Fails unless the story has every step, in order; of what left, also what Twilio called back, early or late."""
    steps = [line["step"] for line in message["timeline"]]
    at = -1
    for name in ("asked", "claimed", "accepted"):
        if name not in steps[at + 1 :]:
            problem = f"the story of {message['id']} lacks '{name}': {story(message)}"
            raise Wrong(problem, "the log lines of that message")
        at = steps.index(name, at + 1)
    if not stack.is_simulated and "callback" not in steps:
        problem = f"the story of {message['id']} has no callback of Twilio's: {story(message)}"
        raise Wrong(problem, "the parameter PublicUrl, and twilioWebhook's log")


def story(message):
    return " → ".join(line["step"] for line in message["timeline"] or [])


def step(message, name):
    return instant(next(line["at"] for line in message["timeline"] if line["step"] == name))


def last(message):
    return max(instant(line["at"]) for line in message["timeline"])


def take_back(stack):
    """Cancels what waits still. Nobody else will."""
    for id in stack.waiting:
        with contextlib.suppress(Wrong):
            answer = ask(stack.api, "POST", f"{stack.path}/messages/{id}/cancel", {}, stack.token)
            print(f"taken back: {id}" if answer.status == 200 else f"not taken back: {id}: {answer.told()}")


# Instants


def instant(text):
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))


def written(at):
    return at.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(span):
    return f"{max(span.total_seconds(), 0):.1f} s"


# HTTP


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def told(self):
        """What it says, in one short line, with what finds it in the logs."""
        text = self.body.decode("utf-8", "replace")
        try:
            problem = json.loads(text)
            text = problem.get("detail") or problem.get("message") or text
            text += "".join(f"; {error['field']}: {error['reason']}" for error in problem.get("errors") or [])
        except (ValueError, AttributeError, KeyError, TypeError):
            pass
        ids = [self.headers.get(name) for name in ("apigw-requestid", "x-amzn-requestid")]
        requests = "".join(f", request {id}" for id in ids if id)
        return f"{self.status} {' '.join(text.split())[:300]}{requests}"


def want(answer, status, what, look, is_end=False):
    if answer.status == status:
        return
    if answer.status == 403 and status < 300:
        look = f"the token's role, then {look}"
    elif answer.status == 429:
        look = "the tenant's requestsPerMinute and the throttling of Api"
    elif answer.status >= 500:
        look = f"the function's log by that request; RUNBOOK, Functions fail or are throttled, then {look}"
    raise Wrong(f"{what}, but {status} was expected and it answered {answer.told()}", look, is_end)


def json_of(answer, what):
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        problem = f"{what}, but the answer is no JSON object: {answer.told()}"
        raise Wrong(problem, "whether API is the stack's output ApiUrl", is_end=True)
    return document


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes where it was meant to, and nowhere else."""

    def redirect_request(self, *_):
        return None


def opener(url):
    """Past any proxy if the stack is on this machine."""
    handlers = [NoRedirect()]
    if urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def ask(base, method, path, body=None, token=None, key=None):
    """One request: `body` as JSON, or bytes as a form. Waits once if there were too many."""
    headers = {"Accept": "application/json", "User-Agent": "carillon-smoke"}
    if isinstance(body, bytes):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif body is not None:
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    answer = asked_once(base, method, path, body, headers)
    if answer.status == 429:
        wait = answer.headers.get("retry-after", "")
        time.sleep(min(int(wait), 60) if wait.isdigit() else 2)
        answer = asked_once(base, method, path, body, headers)
    return answer


def asked_once(base, method, path, body, headers):
    request = urllib.request.Request(f"{base}{path}", data=body, headers=headers, method=method)
    try:
        with opener(base).open(request, timeout=ANSWER_SECS) as answer:
            return Answer(answer.status, lowered(answer.headers), answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return Answer(answer.code, lowered(answer.headers), answer.read())
    except ssl.SSLError as error:
        raise Wrong(f"{base} has no certificate that is believed: {error}", "the address", is_end=True) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Wrong(f"no answer from {base}: {reason}", "the address, and whether it runs", is_end=True) from None


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


if __name__ == "__main__":
    main()
