"""A door in front of an AWS server: writes down each request, and hurts calls on purpose.

usage: door.py PORT TARGET LOG [strict]    (TARGET http://host:port; LOG gets a JSON line a request; strict: strict.py)
FAULTS: JSON {"before": N} stops the world before the N-th call is passed on (kills PID), {"after": N} after its answer came,
{"lose": N} passes it on and drops the answer, {"status": S, "from": N, "to": M, "code": C} answers S itself.
{"limit": K} lets only K requests a second of each service through (throttling), {"hang": N} answers the N-th call only after {"seconds"}.
PUT /door sets faults {"pid": PID, ...} and begins counting anew; {"pace": {"settle": S, "state": S, "waits": {...}}} sets how slow AWS is.
GET /door says how many calls there were and which the writes are; GET /door/there/IDENT counts what TARGET has of an
infrastructure (asked with boto3)."""
import collections
import http.client
import http.server
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse

port, target, log_path = int(sys.argv[1]), urllib.parse.urlsplit(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
strict_lock = threading.RLock()
state = {"n": 0, "faults": {}, "writes": []}
recent = collections.deque()
log = open(log_path, "a", buffering=1)


def forward(method, path, headers, body):
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=120)
    kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "content-length")}
    connection.request(method, path, body=body or None, headers=kept)
    response = connection.getresponse()
    data = response.read()
    ours = ("content-length", "transfer-encoding", "connection")[method == "HEAD":]  # there it is the object's length
    out = [(k, v) for k, v in response.getheaders() if k.lower() not in ours]
    connection.close()
    return response.status, data, out


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
strict = None
if sys.argv[4:] == ["strict"]:
    from strict import Strict
    strict = Strict(forward)


def there(url, ident):
    from there import there as count
    return count(url, ident)


def others(url):
    from there import others as make
    return make(url)


def reads(method, path, body, headers):
    """Only looks: killing a program there leaves the same world as killing it after the call before."""
    action = re.search(rb"(?:^|&)Action=(\w+)", body[:2000])
    named = action[1].decode() if action else headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
    if named:
        return named.startswith(("Describe", "Get", "List", "Simulate", "AssumeRole"))
    return method in ("GET", "HEAD")


def over(limit):
    """More than so many requests in the last second."""
    now = time.monotonic()
    with lock:
        while recent and recent[0] < now - 1:
            recent.popleft()
        if len(recent) >= limit:
            return True
        recent.append(now)
        return False


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm, wbufsize = True, -1  # an answer is one packet, or each waits 40 ms for the one before

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def own(self, body):
        if self.path.startswith("/door/there/"):
            ident = self.path.rsplit("/", 1)[-1]
            count = there(sys.argv[2], ident)
            if strict:
                count.update(strict.there(f"oh-{ident[:8]}"))
            return self.answer(200, json.dumps(count).encode())
        with lock:
            if self.command == "PUT":
                asked = json.loads(body or b"{}")
                if asked.pop("anew", False):
                    forward("POST", "/moto-api/reset", {}, b"")
                    strict.__init__(forward)
                    state["others"] = others(sys.argv[2])
                for name, value in asked.pop("pace", {}).items():
                    setattr(strict, name, value)
                state.update(n=0, faults=asked, writes=[])
            out = json.dumps({"calls": state["n"], "writes": state["writes"], **state.get("others", {})}).encode()
        return self.answer(200, out)

    def hurt(self, n, when):
        """Kills the program under test at this very call; it must not get an answer."""
        faults = state["faults"]
        if faults.get(when) == n:
            os.kill(faults["pid"], signal.SIGKILL)
            self.close_connection = True
            return True
        return False

    def forward(self, body):
        if strict is None:
            return forward(self.command, self.path, dict(self.headers.items()), body)
        with strict_lock:
            return strict.handle(self.command, self.path, dict(self.headers.items()), body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/door"):
            return self.own(body)
        with lock:
            state["n"] += 1
            n, faults = state["n"], dict(state["faults"])
            if not reads(self.command, self.path, body, self.headers):
                state["writes"].append(n)
        if "limit" in faults and over(faults["limit"]):
            return self.answer(503, b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow down</Message>"
                                    b"</Error></Errors></Response>")
        if self.hurt(n, "before"):
            return None
        if "status" in faults and faults["from"] <= n <= faults["to"]:
            code = faults["code"]
            text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{code}</Message></Error></ErrorResponse>".encode()
            return self.answer(faults["status"], text)
        status, data, kept = self.forward(body)
        made = re.search(rb"<AccessKeyId>([^<]+)<", data) if b"Action=AssumeRole" in body else None
        role = urllib.parse.parse_qs(body.decode("utf-8", "replace")).get("RoleArn", [""])[0]
        log.write(json.dumps({"n": n, "made": [made[1].decode(), role] if made else None, "method": self.command, "path": self.path, "headers": dict(self.headers.items()),
                              "body": body.decode("utf-8", "replace"), "status": status}) + "\n")
        if self.hurt(n, "after"):
            return None
        if faults.get("hang") == n:
            time.sleep(faults["seconds"])
        if faults.get("lose") == n:
            self.close_connection = True
            self.connection.close()
            return None
        return self.answer(status, data, kept)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_any


http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", port), Door).serve_forever()
