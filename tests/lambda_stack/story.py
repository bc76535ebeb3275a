"""What happens to a music school in a few minutes, from its making on. Each step is held against the API's answers, the
table and Twilio's ledger. It is about noon where the school is, whenever this runs.
"""

import base64
import datetime as dt
import json
import os
import re
import subprocess
import time
from typing import NamedTuple

from .emulator import kebab_case
from .installation import instant
from .steps import expect, expect_that, wait_for

SCHOOL = "school"
NUMBER = "+12065550101"
ANA, BEN = "+15550100201", "+15550100202"
STRANGERS = ["+15550100301", "+15550100302", "+15550100303"]
AT_SCHOOL = f"/v1/tenants/{SCHOOL}"

PLATFORM = {"role": "platform", "sub": "ops-1"}
ADMIN = {"role": "admin", "sub": "admin-1", "tenant": SCHOOL}
STAFF = {"role": "staff", "sub": "staff-1", "tenant": SCHOOL}
VIEWER = {"role": "viewer", "sub": "viewer-1", "tenant": SCHOOL}

# What shared/src/config.rs cannot do without. The template sets the first four, Lambda the others.
REQUIRED = ["TABLE_NAME", "QUEUE_URL", "EVENT_BUS", "PUBLIC_URL"]
REQUIRED += ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]

# provided.al2023 has it.
GLIBC = (2, 34)

# The reminders of a lesson of all students that is near, by when they are due.
ORCHESTRA = [(offset, contact) for offset in ("24h", "1h") for contact in ("ana", "ben")]

# So soon after a lesson is saved its reminder is due: time enough to plan it, which it is not once it is past.
REMINDER_SECS = 5

# What of it nobody may find in the table or in a line.
PRIVATE = [number[1:] for number in (ANA, BEN, *STRANGERS)]
PRIVATE += ["violin is ready", "The hall is", "Which room", "In room 4", "You have Violin"]


class Sent(NamedTuple):
    """What Twilio must have in the end: each once, and nothing else."""

    to: str
    # What its text begins with.
    body: str


def play(it, build, step):
    """Answers what Twilio must have been sent."""
    began = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    with step(f"each function needs glibc {GLIBC[0]}.{GLIBC[1]} at most, which Amazon Linux 2023 has"):
        for logical in it.stack.functions:
            needs_no_later_glibc(f"{build}/{kebab_case(logical)}/bootstrap")
    with step("each function without any variable ends, and names all that are missing"):
        for logical in it.stack.functions:
            names_what_is_missing(f"{build}/{kebab_case(logical)}/bootstrap")
    with step("the data keys are put into the secret of the template"):
        put_data_keys(it)
    with step("the API takes no request without a token, but for its description"):
        expect("without a token", it.ask(None, "GET", f"{AT_SCHOOL}/settings")[0], 401)
        expect("with a token that is over", it.ask({**ADMIN, "exp": 1}, "GET", f"{AT_SCHOOL}/settings")[0], 401)
        status, description = it.ask(None, "GET", "/v1/openapi.json")
        expect_that(status == 200 and "paths" in description, f"the description: {status} {str(description)[:200]}")
    with step("the platform makes the school"):
        make_school(it, began)
    with step("the school's admin connects its account at Twilio and buys a number"):
        connect(it)
    with step("contacts, a payment and two lessons are saved, and what is near is planned"):
        save_records(it, began)
    with step("a message is sent once, however often its key asks"):
        violin = send(it)
    with step("its receipts come through the function URL, and it is delivered"):
        delivered(it, violin)
    with step("a call of the webhook that Twilio did not sign is refused"):
        forge(it)
    with step("the daily jobs plan what is due within 48 hours of them, once"):
        plan(it, began)
    with step("the school moves a lesson: its event comes over the bus, reminders are planned anew"):
        move(it, began)
    with step("the students hear of it by a hint of the queue"):
        # By the group SQS is fair to others.
        expect("the groups of the messages in the queue", groups(it.poll()), [SCHOOL])
        changes = kinds(it, "schedule_change")
        expect("who hears of it", [change["contact"] for change in changes], ["ana", "ben"])
        for change in changes:
            delivered(it, change["id"])
    with step("a list goes through the queue, and its rest by the minute tick"):
        send_list(it)
    with step("somebody writes: it is in the inbox, and told on the bus"):
        conversation = hear(it)
    with step("an answer from the inbox is sent"):
        answer(it, conversation)
    with step("STOP is an opt-out, told on the bus, and nothing more goes to that number"):
        stop(it)
    with step("a lesson is saved, whose reminder goes by the minute tick when it is due, and not by the next"):
        remind(it)
    with step("the hourly and nightly tasks run"):
        for rule, schedule in it.stack.schedules.items():
            if schedule.input:
                it.call_on_schedule(rule)
    return [
        Sent(ANA, "Your violin is ready."),
        Sent(ANA, "Important: "),
        Sent(BEN, "Important: "),
        *(Sent(stranger, "The hall is closed") for stranger in STRANGERS),
        Sent(BEN, "In room 4."),
        Sent(ANA, "Hi Ana Ruiz, reminder: You have Violin lesson"),
    ]


def needs_no_later_glibc(bootstrap):
    with open(bootstrap, "rb") as file:
        versions = {tuple(map(int, version)) for version in re.findall(rb"GLIBC_(\d+)\.(\d+)", file.read())}
    expect_that(versions and max(versions) <= GLIBC, f"{bootstrap} needs glibc {max(versions, default='of no version')}")


def names_what_is_missing(bootstrap):
    ended = subprocess.run([bootstrap], env={}, capture_output=True, text=True, timeout=10)
    said = ended.stdout + ended.stderr
    names_all = any(all(name in line for name in REQUIRED) for line in said.splitlines())
    expect_that(ended.returncode != 0, f"{bootstrap} ended well without any variable: {said}")
    expect_that(names_all, f"{bootstrap} did not name all of {', '.join(REQUIRED)} in a line: {said}")


def put_data_keys(it):
    def key():
        return base64.b64encode(os.urandom(32)).decode()

    [name] = it.stack.secrets.values()
    secrets = it.aws.client("secretsmanager")
    # As CloudFormation makes it: without a value.
    secrets.create_secret(Name=name)
    keys = {"current": "k1", "keys": {"k1": key()}, "hash": key()}
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps(keys))


def asked(it, claims, method, path, body=None, wanted=200, key=None):
    status, answer = it.ask(claims, method, AT_SCHOOL + path, body, key)
    expect_that(status == wanted, f"{method} {path} was answered {status}, and not {wanted}: {answer}")
    return answer


def zone_of_noon(now):
    """Of the zones of whole hours the one where it is between noon and one."""
    return dt.timezone(dt.timedelta(hours=12 - now.hour))


def name_of_zone_of_noon(now):
    """In IANA's list, which counts as POSIX does: Etc/GMT+5 is five hours behind."""
    hours = now.hour - 12
    return f"Etc/GMT{hours:+d}" if hours else "Etc/GMT"


def make_school(it, now):
    school = {"id": SCHOOL, "name": "Linden Street", "timeZone": name_of_zone_of_noon(now), "defaultRegion": "US"}
    status, made = it.ask(PLATFORM, "POST", "/v1/tenants", school)
    expect("the answer", (status, made.get("state")), (201, "active"))
    expect("the same again", it.ask(PLATFORM, "POST", "/v1/tenants", school)[0], 409)
    settings = {"budget": {"monthlyLimit": "50.00"}, "types": {"lesson_reminder": {"offsets": ["24h", "1h"]}}}
    changed = asked(it, ADMIN, "PATCH", "/settings", settings)
    expect("the limit", changed["budget"]["monthlyLimit"], "50.00")
    expect("another's settings", it.ask({**ADMIN, "tenant": "other"}, "GET", f"{AT_SCHOOL}/settings")[0], 404)


def connect(it):
    account = it.at_twilio("POST", "account")
    it.account_sid = account["accountSid"]
    it.private += [account["authToken"], *PRIVATE]
    wrong = {**account, "authToken": "0" * 32}
    expect("with a wrong token", it.ask(ADMIN, "PUT", f"{AT_SCHOOL}/twilio", wrong)[0], 422)
    connected = asked(it, ADMIN, "PUT", "/twilio", account)
    expect("what is connected", (connected["connected"], connected["authToken"]), (True, "Configured"))
    inbound = f"{it.webhook_url}/twilio/{SCHOOL}/inbound"
    expect("where texts go", without_fragment(connected["webhooks"]["smsUrl"]), inbound)
    for _ in range(2):
        bought = asked(it, ADMIN, "POST", "/phone-numbers", {"phoneNumber": NUMBER}, 201, "number-1")
        expect("the number", (bought["phoneNumber"], bought["wired"], bought["senderOf"]), (NUMBER, True, ["sms"]))


def without_fragment(url):
    """Behind the # stands how often Twilio is to try."""
    return url.split("#")[0]


def save_records(it, now):
    for contact, name, phone in [("ana", "Ana Ruiz", ANA), ("ben", "Ben Osei", BEN)]:
        asked(it, STAFF, "PUT", f"/contacts/{contact}", {"name": name, "phone": phone, "groups": ["Strings"]}, 201)
    save_lesson(it, "moving", "Orchestra", now + dt.timedelta(hours=30), ["Strings"])
    save_lesson(it, "later", "Theory", now + dt.timedelta(days=4), ["Strings"])
    # Three days and one day before it, at 10:00: not within 48 hours of now.
    due_date = (now + dt.timedelta(days=6)).astimezone(zone_of_noon(now)).strftime("%Y-%m-%d")
    payment = {"contactId": "ana", "amount": "150.00", "dueDate": due_date, "course": "Violin"}
    asked(it, STAFF, "PUT", "/payments/fee", payment)
    expect("planned of the lesson tomorrow", planned(it, "lessons/moving"), ORCHESTRA)
    expect("planned of the lesson in four days", planned(it, "lessons/later"), [])
    expect("planned of the payment", planned(it, "payments/fee"), [])


def save_lesson(it, lesson, subject, start, students):
    body = {"subject": subject, "teacher": "Ms. Lee", "startsAt": instant(start), "students": students}
    asked(it, STAFF, "PUT", f"/lessons/{lesson}", body)


def planned(it, record):
    """The reminders of a lesson or payment that wait: offset and contact, the earliest first."""
    waiting = asked(it, VIEWER, "GET", f"/{record}")["planned"]
    return [(reminder["offset"], reminder["contact"]) for reminder in waiting]


def message(it, id):
    return asked(it, VIEWER, "GET", f"/messages/{id}")


def messages(it, query):
    return asked(it, VIEWER, "GET", f"/messages?limit=200&{query}")["items"]


def kinds(it, kind, status=None):
    """The messages of a type, by contact."""
    found = messages(it, f"type={kind}" + (f"&status={status}" if status else ""))
    return sorted(found, key=lambda each: (each["contact"] or "", each["dueAt"]))


def to_twilio(it, to, beginning):
    return [entry for entry in it.ledger() if entry["to"] == to and entry["body"].startswith(beginning)]


def send(it):
    body = {"contactId": "ana", "body": "Your violin is ready."}
    first, second = (asked(it, STAFF, "POST", "/messages", body, 202, "violin") for _ in range(2))
    expect("the answer to the same key", second, first)
    other = {**body, "body": "No."}
    expect("the key with another body", it.ask(STAFF, "POST", f"{AT_SCHOOL}/messages", other, "violin")[0], 409)
    [entry] = to_twilio(it, ANA, body["body"])
    callback = f"{it.webhook_url}/twilio/{SCHOOL}/status?message={first['id']}"
    expect("where its receipts go", without_fragment(entry["status_callback"]), callback)
    return first["id"]


def delivered(it, id):
    got = wait_for("a receipt", lambda: message(it, id), lambda seen: seen["status"] == "delivered")
    expect("its state", (got["state"], got["segments"], got["simulated"]), ("Delivered", 1, False))
    return got


def forge(it):
    before = len(it.aws.items(it.stack.table))
    form = f"AccountSid={it.account_sid}&MessageSid=SM{'0' * 32}&MessageStatus=failed".encode()
    for headers in ({}, {"X-Twilio-Signature": base64.b64encode(bytes(20)).decode()}):
        status, _ = it.post_form(f"/twilio/{SCHOOL}/status?message=msg_{'0' * 32}", form, headers)
        expect("the answer", status, 403)
    expect("the table has grown by", len(it.aws.items(it.stack.table)) - before, 0)


def plan(it, now):
    """The jobs of the day after tomorrow, to which other reminders are near than those that saving has planned."""
    then = now + dt.timedelta(hours=36)
    for wanted in (2, 0):
        expect("lesson reminders", it.call_on_schedule("ScheduleLessonRemindersDaily", then), {"planned": wanted})
    for wanted in (1, 0):
        expect("payment reminders", it.call_on_schedule("SchedulePaymentRemindersDaily", then), {"planned": wanted})
    expect("planned of the lesson in four days", planned(it, "lessons/later"), [("24h", "ana"), ("24h", "ben")])
    expect("planned of the payment", planned(it, "payments/fee"), [("3d", "ana")])
    # What the table has of it: a row each, in the index of what is due.
    waiting = [item for item in it.aws.items(it.stack.table) if item["sk"]["S"] == "MESSAGE" and "due_sk" in item]
    expect("rows that wait", len(waiting), len(ORCHESTRA) + 2 + 1)


def move(it, now):
    start = instant(now + dt.timedelta(hours=31))
    before = kinds(it, "lesson_reminder", "scheduled")
    event = {"tenant": SCHOOL, "lesson": "moving", "startsAt": start}
    expect("the function's answer", it.put_event("school", "lesson.moved", event), [{"messages": 2}])
    expect("the lesson starts", asked(it, VIEWER, "GET", "/lessons/moving")["startsAt"], start)
    expect("planned of it", planned(it, "lessons/moving"), ORCHESTRA)
    canceled = kinds(it, "lesson_reminder", "canceled")
    old = [each["id"] for each in before if each["subject"] == "moving"]
    expect("the reminders of before", sorted(each["id"] for each in canceled), sorted(old))
    expect("why they do not go", {each["reason"] for each in canceled}, {"moved"})
    # The same again tells nobody again: an event may come twice.
    expect("repeated", it.put_event("school", "lesson.moved", event), [{"messages": 0}])
    expect("an event of others", it.put_event("other", "lesson.moved", event), [])


def groups(messages):
    return [message["Attributes"].get("MessageGroupId") for message in messages]


def send_list(it):
    body = {"recipients": ", ".join(STRANGERS), "body": "The hall is closed today."}
    receipt, again = (asked(it, STAFF, "POST", "/messages/bulk", body, 202, "hall") for _ in range(2))
    expect("the answer to the same key", again, receipt)
    expect("accepted", (receipt["accepted"], receipt["refused"]), (3, 0))
    ids = [row["id"] for row in receipt["rows"]]
    expect("the groups of the messages in the queue", groups(it.poll()), [SCHOOL])
    expect_that(to_twilio(it, STRANGERS[0], body["body"]), "what of the list was due at once did not go")
    slots = [dt.datetime.fromisoformat(message(it, id)["dueAt"]) for id in ids]
    wait_until(max(slots))
    it.call_on_schedule("DispatchMessagesEveryMinute")
    for id in ids:
        delivered(it, id)


def wait_until(due):
    time.sleep(max(0, (due - dt.datetime.now(dt.timezone.utc)).total_seconds()) + 0.1)


def remind(it):
    due = dt.datetime.now(dt.timezone.utc).replace(microsecond=0) + dt.timedelta(seconds=REMINDER_SECS)
    save_lesson(it, "tomorrow", "Violin", due + dt.timedelta(days=1), ["ana"])
    expect("planned of it", planned(it, "lessons/tomorrow"), [("24h", "ana"), ("1h", "ana")])
    [waiting] = [each for each in kinds(it, "lesson_reminder", "scheduled") if each["dueAt"] == instant(due)]
    expect("the tick before", it.call_on_schedule("DispatchMessagesEveryMinute"), {"dispatched": 0})
    wait_until(due)
    expect("the tick", it.call_on_schedule("DispatchMessagesEveryMinute"), {"dispatched": 1})
    expect("the next", it.call_on_schedule("DispatchMessagesEveryMinute"), {"dispatched": 0})
    got = delivered(it, waiting["id"])
    expect_that("tomorrow" in got["body"], f"its text: {got['body']}")


def hear(it):
    """Answers the conversation's id."""
    answered = it.at_twilio("POST", "inbound", {"from": BEN, "to": NUMBER, "body": "Which room is it?"})
    expect("the webhook's answer", (answered["status"], answered["contentType"]), (200, "text/xml"))
    [conversation] = asked(it, VIEWER, "GET", "/conversations")["items"]
    seen = (conversation["peer"], conversation["unread"], conversation["lastText"])
    expect("the inbox", seen, (BEN, 1, "Which room is it?"))
    [(name, detail)] = it.events_out()
    said = (name, detail["contact"], detail["conversation"])
    expect("the event", said, ("message.received", "ben", conversation["id"]))
    told = [secret for secret in it.private if secret in json.dumps(detail)]
    expect("what the event tells of what is private", told, [])
    return conversation["id"]


def answer(it, conversation):
    receipt = asked(it, STAFF, "POST", f"/conversations/{conversation}/reply", {"body": "In room 4."}, 202, "room")
    delivered(it, receipt["id"])


def stop(it):
    it.at_twilio("POST", "inbound", {"from": BEN, "to": NUMBER, "body": "STOP"})
    standing = asked(it, VIEWER, "GET", f"/opt-outs/{BEN}")
    expect("how the number stands", (standing["optedOut"], len(standing["history"])), (True, 1))
    names = [name for name, _ in it.events_out()]
    expect("the events", sorted(names), ["message.received", "message.received", "opt_out.recorded"])
    receipt = asked(it, STAFF, "POST", "/messages", {"contactId": "ben", "body": "Are you there?"}, 202, "there")
    skipped = message(it, receipt["id"])
    expect("what is sent to it", (skipped["status"], skipped["reason"]), ("skipped", "opted_out"))
