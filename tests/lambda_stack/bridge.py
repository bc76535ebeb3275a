"""API Gateway's HTTP API and a function URL: HTTP becomes the event that Lambda gets, and its answer HTTP again.

Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs" (payload format 2.0) and
"Routes for HTTP APIs"; Lambda Developer Guide, "Invoking Lambda function URLs".
"""

import base64
import contextlib
import json
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

ACCOUNT = "123456789012"
API_DOMAIN = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
URL_DOMAIN = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
# Everything else comes as base64, forms among it.
TEXT = ("application/json", "application/javascript", "application/xml", "text/")


class Request(NamedTuple):
    method: str
    path: str
    query: str
    # Names in lower case, values of one name joined.
    headers: dict
    body: bytes


class Response(NamedTuple):
    status: int
    headers: list
    body: bytes


def refusal(status, message):
    """What AWS itself answers, before or instead of a function."""
    return Response(status, [("content-type", "application/json")], json.dumps({"message": message}).encode())


@contextlib.contextmanager
def served(answer, failures):
    """Answers requests at a port of its own as long as the block lasts; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def play(self):
            path, _, query = self.path.partition("?")
            headers = {}
            for name, value in self.headers.items():
                known = headers.get(name.lower())
                headers[name.lower()] = f"{known},{value}" if known else value
            body = self.rfile.read(int(headers.get("content-length", 0)))
            try:
                response = answer(Request(self.command, path, query, headers, body))
            except Exception as error:  # whatever it is, the run is to fail of it and not the caller alone
                failures.append(f"{self.command} {path}: {error}")
                response = refusal(500, "Internal Server Error")
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = play

        def log_message(self, *_):
            """Who asks tells of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def http_api(request, routes, invoke, issuer, audience):
    """The API: the route decides which function is called, and whether the token is looked at before."""
    found = find_route(request, routes)
    if not found:
        return refusal(404, "Not Found")
    route, parameters = found
    authorizer = None
    if route.takes_token:
        claims = claims_of(request.headers.get("authorization", ""), issuer, audience)
        if claims is None:
            return refusal(401, "Unauthorized")
        authorizer = {"jwt": {"claims": claims, "scopes": None}}
    event = event_of(request, f"{route.method} {route.path}", API_DOMAIN, authorizer)
    if parameters:
        event["pathParameters"] = parameters
    return response_of(invoke(route.function, "a request", event))


def function_url(request, function, invoke):
    """A function URL that is open to everybody."""
    event = event_of(request, "$default", URL_DOMAIN, None)
    event["requestContext"]["accountId"] = "anonymous"
    return response_of(invoke(function, f"a call of {request.path.rsplit('/', 1)[1]}", event))


def find_route(request, routes):
    """The most specific route, as API Gateway chooses it, and its path parameters."""
    fitting = []
    for route in routes:
        parameters = fits(route.path, request.path)
        if parameters is not None and route.method in (request.method, "ANY"):
            fitting.append((is_less_specific(route), route, parameters))
    if not fitting:
        return None
    _, route, parameters = min(fitting, key=lambda each: each[0])
    return route, parameters


def fits(pattern, path):
    parameters = {}
    wanted, given = pattern.split("/"), path.split("/")
    for at, part in enumerate(wanted):
        if part.endswith("+}"):
            rest = "/".join(given[at:])
            return {**parameters, part[1:-2]: urllib.parse.unquote(rest)} if rest else None
        if at >= len(given):
            return None
        if part.startswith("{") and given[at]:
            parameters[part[1:-1]] = urllib.parse.unquote(given[at])
        elif part != given[at]:
            return None
    return parameters if len(wanted) == len(given) else None


def is_less_specific(route):
    """Sorts routes that fit: a word before a variable before whatever follows, and then a method before any."""
    parts = route.path.split("/")
    return [2 if part.endswith("+}") else int(part.startswith("{")) for part in parts], route.method == "ANY"


def token(claims):
    """A token that the authorizer here believes; nobody else would, for it is not signed."""
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def claims_of(header, issuer, audience):
    """What the authorizer passes on of a token: texts, whatever they were."""
    kind, _, text = header.partition(" ")
    if kind != "Bearer" or text.count(".") != 2:
        return None
    payload = text.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    is_ours = claims.get("iss") == issuer and claims.get("aud") == audience and claims.get("exp", 0) > time.time()
    return {name: str(value) for name, value in claims.items()} if is_ours else None


def event_of(request, route_key, domain, authorizer):
    now = time.time()
    content_type = request.headers.get("content-type", "")
    is_text = content_type.startswith(TEXT)
    context = {
        "accountId": ACCOUNT,
        "apiId": domain.split(".")[0],
        "domainName": domain,
        "domainPrefix": domain.split(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": route_key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }
    if authorizer:
        context["authorizer"] = authorizer
    headers = {
        **request.headers,
        "host": domain,
        "x-amzn-trace-id": f"Root=1-{int(now):08x}-{uuid.uuid4().hex[:24]}",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    event = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": bool(request.body) and not is_text,
    }
    if request.query:
        parameters = {}
        for name, value in urllib.parse.parse_qsl(request.query, keep_blank_values=True):
            parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
        event["queryStringParameters"] = parameters
    if request.body:
        event["body"] = request.body.decode() if is_text else base64.b64encode(request.body).decode()
    return event


def response_of(answer):
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    several = {name: ",".join(values) for name, values in answer.get("multiValueHeaders", {}).items()}
    headers = {**several, **answer.get("headers", {})}
    # It is counted anew.
    headers.pop("content-length", None)
    cookies = [("set-cookie", cookie) for cookie in answer.get("cookies", [])]
    return Response(answer["statusCode"], [*headers.items(), *cookies], content)
