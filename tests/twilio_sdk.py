"""Twilio's own SDK signs, the webhook believes: python3 twilio_sdk.py BINARY TARGET

    cargo build
    python3 tests/twilio_sdk.py target/debug/carillon target

Starts BINARY with its state in a temporary folder, takes the sample's account from there, and posts to the
webhook what Twilio posts: texts, status callbacks and calls, given ones and random ones. The Python SDK
(installed below TARGET, cargo's target directory) signs them. Fails if one is not accepted, if one that was
forged in any of a few ways is not refused, if the SDK itself judges otherwise, and on any error in the
server's log. Takes ten seconds or so; the seed is fixed.
"""

import datetime as dt
import glob
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as xml
from typing import NamedTuple

from packages import installed
from running import logged_errors, read, running

TWILIO = "9.13.0"

SEED = 7
RANDOM_FORMS = 200
ANSWER_SECS = 30

TENANT = "sample"
STATUS, INBOUND, VOICE, VOICE_STATUS = (
    f"/twilio/{TENANT}/{name}" for name in ("status", "inbound", "voice", "voice/status")
)
# Of the sample: a contact's number, and the number that sends.
CONTACT = "+15550100201"
SENDER = "+15005550006"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, target = (os.path.abspath(path) for path in sys.argv[1:])
    # Ends by an exception, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    sys.path.insert(0, install(target))
    with tempfile.TemporaryDirectory(prefix="carillon-sdk-") as folder:
        state = os.path.join(folder, "state")
        with running(binary, ["--state", state], folder) as (server, said):
            account, token = credentials(state)
            twilio = Twilio(account, random.Random(SEED))
            cases = given(twilio, scheduled_message(said)) + [random_form(twilio) for _ in range(RANDOM_FORMS)]
            wrong, forgeries = check(cases, said["webhook"], token, twilio.rng)
            if server.poll() is not None:
                wrong.append(f"the server ended with {server.returncode}")
        wrong += logged_errors(folder)
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"twilio {TWILIO}: {len(cases)} genuine requests, {forgeries} forged ones, {len(wrong)} wrong.")
    if wrong:
        sys.exit(1)


def install(target):
    """Installs the SDK once, and answers the folder that it is imported from."""
    # Signatures take nothing but the standard library.
    venv = installed(target, [f"twilio=={TWILIO}"], ["--no-deps"])
    return glob.glob(f"{glob.escape(venv)}/lib/python*/site-packages")[0]


# The server


def credentials(state):
    """The sample's account, and the token that signs for it."""
    secrets = json.loads(read(os.path.join(state, "secrets.json")))
    versions = secrets[f"carillon/tenants/{TENANT}/twilio"]
    current = next(version for version in versions if "AWSCURRENT" in version["stages"])
    secret = json.loads(current["string"])
    return secret["accountSid"], secret["authToken"]


def scheduled_message(said):
    """The id of a message that is not sent for now, so that no one else reports on it."""
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(30)
    body = json.dumps({"to": CONTACT, "body": "Next month.", "sendAt": later.strftime("%Y-%m-%dT%H:%M:%SZ")})
    headers = {"Authorization": f"Bearer {said['token']}", "Content-Type": "application/json"}
    status, _, answer = post(f"{said['API']}/v1/tenants/{TENANT}/messages", body, headers)
    if status != 202:
        sys.exit(f"a message could not be scheduled: {status} {answer}")
    return json.loads(answer)["id"]


def post(url, body, headers):
    """Posts to exactly this URL, past any proxy; answers status, content type and text."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_SECS)
    try:
        connection.request("POST", url[url.index(parts.netloc) + len(parts.netloc) :], body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer from {url} to {body}: {error!r}")
    finally:
        connection.close()


# What Twilio posts


class Case(NamedTuple):
    what: str
    path: str
    pairs: list
    query: str = ""
    is_json: bool = False
    # As the header of signatures has it; without one it is SHA-1.
    algorithm: str = ""
    # Some of Twilio's products sign a URL without its port.
    signs_port: bool = True
    # How a space is written in a form.
    quoted_by: object = urllib.parse.quote_plus


class Twilio:
    """Makes the parameters of requests of one account."""

    def __init__(self, account, rng):
        self.account = account
        self.rng = rng

    def sid(self, prefix):
        return f"{prefix}{self.rng.getrandbits(128):032x}"

    def text(self, body="Hello", more=(), sender=CONTACT, to=SENDER, files=0):
        sid = self.sid("MM" if files else "SM")
        return [
            ("ToCountry", "US"),
            ("SmsMessageSid", sid),
            ("NumMedia", str(files)),
            ("SmsSid", sid),
            ("SmsStatus", "received"),
            ("Body", body),
            ("To", to),
            ("NumSegments", "1"),
            ("MessageSid", sid),
            ("AccountSid", self.account),
            ("From", sender),
            ("ApiVersion", "2010-04-01"),
            *more,
        ]

    def status(self, word, more=(), sid=None):
        sid = sid or self.sid("SM")
        return [
            ("SmsSid", sid),
            ("SmsStatus", word),
            ("MessageStatus", word),
            ("To", CONTACT),
            ("MessageSid", sid),
            ("AccountSid", self.account),
            ("From", SENDER),
            ("ApiVersion", "2010-04-01"),
            *more,
        ]

    def call(self, word, more=(), direction="inbound"):
        return [
            ("Called", SENDER),
            ("Caller", CONTACT),
            ("CallStatus", word),
            ("CallSid", self.sid("CA")),
            ("To", SENDER),
            ("From", CONTACT),
            ("Direction", direction),
            ("AccountSid", self.account),
            ("ApiVersion", "2010-04-01"),
            *more,
        ]

    def message(self):
        """The id of a message of ours that there is not."""
        return f"msg_{self.rng.getrandbits(128):032x}"


def given(twilio, known):
    """What is worth a look. `known` is the id of a message that there is."""
    text, status, call = twilio.text, twilio.status, twilio.call
    unknown = f"message={twilio.message()}"
    # With two, it would have been sent twice.
    sid = twilio.sid("SM")
    file = "https://api.twilio.com/2010-04-01/Accounts/AC0/Messages/MM0/Media/ME0?a=b&c=%2B"
    media = [("MediaUrl0", file), ("MediaContentType0", "image/jpeg"), ("MediaUrl1", file), ("MediaContentType1", "")]
    whatsapp = [
        ("ProfileName", "Zoë 🎻 O'Neil"),
        ("WaId", CONTACT[1:]),
        ("MessageType", "button"),
        ("ButtonText", "Yes, I'll come!"),
        ("ButtonPayload", "yes+come%20"),
        ("OriginalRepliedMessageSid", twilio.sid("SM")),
    ]
    # UTF-16 has the first two the other way round.
    out_of_order = ["\U0001f3bb", "\uff21", "é", "z", "b", "Z", "Ba", "BA", "B", "9", "10"]
    place = [("Latitude", "60.1699"), ("Longitude", "24.9384"), ("Address", "Lindengasse 5, 1070 Wien"), ("Label", "")]
    digits = [("Digits", "9"), ("msg", "Gather End"), ("FinishedOnKey", "")]
    failed = [("ErrorCode", "30003"), ("ErrorMessage", "Unreachable destination handset")]
    unsubscribed = [("ErrorCode", "21610"), ("ErrorMessage", "")]
    answered = [("AnsweredBy", "human")]
    ended = [("CallDuration", "12"), ("Duration", "1"), ("Timestamp", "Sat, 21 Nov 2026 12:00:00 +0000")]

    cases = [
        Case("a text", INBOUND, text()),
        Case("unicode", INBOUND, text("Grüße, žluťoučký kůň, 你好, שלום, नमस्ते, e\u0301")),
        Case("emoji", INBOUND, text("🎻👩🏽‍🎤🇫🇮❤️ \U0001f3bc")),
        Case("a plus", INBOUND, text("1+1 = 2, a++b, +")),
        Case("percents", INBOUND, text("100% %20 %2B %252B %zz %")),
        Case("spaces", INBOUND, text("  two  before, between and after  ")),
        Case("spaces as %20", INBOUND, text("  a + b  ", [("Friendly Name", "a b")]), quoted_by=urllib.parse.quote),
        Case("newlines", INBOUND, text("one\ntwo\r\nthree\n\n\tfour\r")),
        Case("what forms are made of", INBOUND, text("a=b&c=d;e#f?g/h\\i\"j'k<l>m~n*o")),
        Case("control characters", INBOUND, text("\x00\x01\x1f\x7f\u0085\u2028\ufeff")),
        Case("a long text", INBOUND, text("Lorem ipsum 🎼 " * 107)),
        Case("a text that looks like parameters", INBOUND, text("AccountSid=AC0&MessageSid=SM0")),
        Case("an empty text", INBOUND, text("")),
        Case("empty values", INBOUND, text("", [("FromCity", ""), ("FromZip", ""), ("Empty", "")])),
        Case("repeated parameters", INBOUND, text("x", [("Tag", "b"), ("Tag", "a"), ("Tag", ""), ("Tag", "A")])),
        Case("a repeated pair", INBOUND, text("x", [("Tag", "same"), ("Tag", "same"), ("Tag", "other")])),
        Case("a repeated text", INBOUND, text("first", [("Body", "second"), ("Body", "a third")])),
        Case("unknown parameters", INBOUND, text("x", [("NewThing", "yes"), ("new_thing", "{}"), ("Größe 🎻+%", "m")])),
        Case("names out of order", INBOUND, text("x", [(name, "1") for name in out_of_order])),
        Case("values out of order", INBOUND, text("x", [("Tag", value) for value in out_of_order])),
        Case("an opt-out", INBOUND, text("STOP", [("OptOutType", "STOP")])),
        Case("media", INBOUND, text("", media, files=2)),
        Case("WhatsApp", INBOUND, text("Yes", whatsapp, f"whatsapp:{CONTACT}", f"whatsapp:{SENDER}")),
        Case("a place", INBOUND, text("", place, f"whatsapp:{CONTACT}", f"whatsapp:{SENDER}")),
        Case("a short code", INBOUND, text("Hi", sender="12345")),
        Case("a name", INBOUND, text("Hi", sender="Café & Co")),
        Case("a query", INBOUND, text(), "a=b%20c+d%2Be&f=%25%32%35&%C3%A9=%f0%9f%8e%bb&g&h="),
        Case("a query with the names of parameters", INBOUND, text(), "Body=Bye&AccountSid=AC0"),
        Case("sent", STATUS, status("sent", sid=sid), f"message={known}"),
        Case("delivered", STATUS, status("delivered", [("RawDlrDoneDate", "2611211200")], sid), f"message={known}"),
        Case("of an unknown message", STATUS, status("delivered"), unknown),
        Case("failed", STATUS, status("undelivered", failed), unknown),
        Case("unsubscribed", STATUS, status("failed", unsubscribed), unknown),
        Case("an unknown word", STATUS, status("pondered+%"), unknown),
        Case("of no message", STATUS, status("sent")),
        Case("of what is no message", STATUS, status("sent"), "message=%6dsg_%C3%A9%20+&x=%2F%3F%26"),
        Case("a message's id in percents", STATUS, status("read"), unknown.replace("msg_", "%6Dsg%5f")),
        Case("a call", VOICE, call("ringing", [("CallerCity", ""), ("StirVerstat", "TN-Validation-Passed-A")])),
        Case("a call with a key", VOICE, call("in-progress", digits)),
        Case("a call with other keys", VOICE, call("in-progress", [("Digits", "*#1")])),
        Case("a call of ours with a key", VOICE, call("in-progress", digits, "outbound-api")),
        Case("a call that ended", VOICE_STATUS, call("completed", ended)),
        Case("a call of ours", VOICE_STATUS, call("completed", ended + answered, "outbound-api"), unknown),
    ]
    # Each path, signed in each other way.
    for path, pairs in [
        (INBOUND, lambda: text("Grüße +1% 🎻\n")),
        (STATUS, lambda: status("sent")),
        (VOICE, lambda: call("ringing")),
        (VOICE_STATUS, lambda: call("completed", ended)),
    ]:
        query = unknown if path in (STATUS, VOICE_STATUS) else ""
        cases += [
            Case("without its port", path, pairs(), query, signs_port=False),
            Case("SHA-256", path, pairs(), query, algorithm="HMAC_SHA256"),
            Case("SHA-1 by name", path, pairs(), query, algorithm="HMAC_SHA1"),
            Case("JSON", path, pairs(), query, is_json=True),
            Case("JSON without its port", path, pairs(), query, is_json=True, signs_port=False),
            Case("JSON, SHA-256", path, pairs(), f"a=%20+%2B&{unknown}", is_json=True, algorithm="HMAC_SHA256"),
        ]
    return cases


ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "+%&=;#?/\\\"'<>~*!()[]{}|^`$@:,._- ",
    " \t\r\n",
    "%0123456789abcdefABCDEF",
    "äöüßéèçñøåžłαβγдежقكل你好世界ありがとう한국",
    "\u0301\u200d\ufe0f\u00a0\u2028\ue000\uff21\uffee",
    "🎻🎼😀👍🏽🇫🇮❤𝄞\U0010fffd",
]
NAMES = ["Body", "FromCity", "NumSegments", "ProfileName", "ErrorCode", "Digits", "Price", "MediaUrl0", "NumMedia"]


def random_form(twilio):
    rng = twilio.rng

    def characters(most):
        alphabets = rng.sample(ALPHABETS, rng.randint(1, 3))
        return "".join(rng.choice(rng.choice(alphabets)) for _ in range(rng.randint(0, most)))

    path = rng.choice([INBOUND, INBOUND, STATUS, VOICE, VOICE_STATUS])
    if path == INBOUND:
        pairs = twilio.text(characters(160))
    elif path == STATUS:
        pairs = twilio.status(rng.choice(["queued", "sent", "delivered", "undelivered", "failed", "read"]))
    else:
        pairs = twilio.call(rng.choice(["ringing", "in-progress", "completed", "busy"]))
    for _ in range(rng.randint(0, 12)):
        name = rng.choice(NAMES) if rng.random() < 0.4 else f"X{characters(12)}"
        pairs += [(name, characters(60)) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    rng.shuffle(pairs)
    query = [f"message={twilio.message()}"] if path in (STATUS, VOICE_STATUS) and rng.random() < 0.8 else []
    query += [urllib.parse.urlencode({characters(8): characters(20)}) for _ in range(rng.choice([0, 0, 1, 2]))]
    quoted_by = rng.choice([urllib.parse.quote_plus, urllib.parse.quote])
    return Case("random", path, pairs, "&".join(query), quoted_by=quoted_by)


# What the SDK makes of it

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Repeated(dict):
    """Parameters of which a name has more than one, as the SDK takes them: like Django's QueryDict."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs

    def getlist(self, name):
        return [value for known, value in self.pairs if known == name]


class Sent(NamedTuple):
    """A request, and what the SDK judges it by."""

    url: str
    params: object
    body: str
    headers: dict
    algorithm: object
    signature: str


def sent(case, webhook, validator):
    """`case` as the SDK signs it."""
    from twilio.request_validator import SIGNATURE_SETTINGS_HEADER, remove_port

    url = f"{webhook}{case.path}{'?' if case.query else ''}{case.query}"
    if case.is_json:
        params = body = json.dumps(dict(case.pairs), ensure_ascii=False)
        url += f"{'&' if case.query else '?'}bodySHA256={validator.compute_hash(body)}"
        headers = {"Content-Type": "application/json"}
    else:
        plain = dict(case.pairs)
        params = plain if len(plain) == len(case.pairs) else Repeated(case.pairs)
        body = urllib.parse.urlencode(case.pairs, quote_via=case.quoted_by)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    if case.algorithm:
        headers[SIGNATURE_SETTINGS_HEADER] = f"key=webhooks_sharedkey_0,algorithm={case.algorithm}"
    algorithm = case.algorithm or None
    signed_url = url if case.signs_port else remove_port(urllib.parse.urlparse(url))
    signature = validator.compute_signature(signed_url, {} if case.is_json else params, algorithm)
    return Sent(url, params, body, headers, algorithm, signature)


def forged(case, rng, sent_by, token):
    """What is wrong with it, and the request."""
    genuine = sent_by(case, token)
    at = rng.randrange(len(genuine.signature))
    other = rng.choice([character for character in BASE64 if character != genuine.signature[at]])
    changed = genuine.signature[:at] + other + genuine.signature[at + 1 :]
    more = sent_by(case._replace(pairs=[*case.pairs, ("Added", "1")]), token)
    paths = [path for path in (STATUS, INBOUND, VOICE, VOICE_STATUS) if path != case.path]
    path = rng.choice([*paths, case.path.replace(f"/{TENANT}/", "/other/")])
    yield "a character of the signature changed", genuine._replace(signature=changed)
    yield "another token", sent_by(case, f"{token[:-1]}{'1' if token[-1] == '0' else '0'}")
    yield "a parameter added", genuine._replace(params=more.params, body=more.body)
    yield f"posted to {path}", genuine._replace(url=genuine.url.replace(case.path, path, 1))
    if case.is_json:
        yield "a parameter added, and the hash changed", more._replace(signature=genuine.signature)


def check(cases, webhook, token, rng):
    """Posts each case and what is forged of it. Answers what is wrong, and how many were forged."""
    from twilio.request_validator import SIGNATURE_HEADER, RequestValidator

    def sent_by(case, token):
        return sent(case, webhook, RequestValidator(token))

    def answer(request):
        return post(request.url, request.body, {**request.headers, SIGNATURE_HEADER: request.signature})

    def is_valid(request):
        return RequestValidator(token).validate(request.url, request.params, request.signature, request.algorithm)

    wrong, forgeries = [], 0
    for case in cases:
        # Forged ones come first: that their like was accepted before must not help them.
        for what, request in forged(case, rng, sent_by, token):
            forgeries += 1
            status = answer(request)[0]
            if status != 403:
                wrong.append(f"{case.what}, {what}: {status} for {request}")
            if is_valid(request):
                wrong.append(f"{case.what}, {what}: the SDK believes {request}")
        request = sent_by(case, token)
        status, kind, text = answer(request)
        if not 200 <= status < 300:
            wrong.append(f"{case.what}: {status} {text} for {request}")
        elif case.path in (INBOUND, VOICE) and not (kind.startswith("text/xml") and is_twiml(text)):
            wrong.append(f"{case.what}: no TwiML but {kind} {text} for {request}")
        if not is_valid(request):
            wrong.append(f"{case.what}: the SDK does not believe {request}")
    return wrong, forgeries


def is_twiml(text):
    try:
        return xml.fromstring(text).tag == "Response"
    except xml.ParseError:
        return False


if __name__ == "__main__":
    main()
