"""A door in front of an AWS server: writes down each request, and hurts calls on purpose.

usage: door.py PORT TARGET LOG [strict]    (TARGET http://host:port; LOG gets a JSON line a request; strict: strict.py)
FAULTS: JSON {"before": N} stops the world before the N-th call is passed on (kills PID), {"after": N} after its answer came,
{"lose": N} passes it on and drops the answer, {"status": S, "from": N, "to": M, "code": C} answers S itself.
PUT /door sets faults {"pid": PID, ...} and begins counting anew; GET /door says how many calls there were."""
import http.client
import http.server
import json
import os
import re
import signal
import sys
import threading
import urllib.parse

port, target, log_path = int(sys.argv[1]), urllib.parse.urlsplit(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
strict_lock = threading.RLock()
state = {"n": 0, "faults": {}}
log = open(log_path, "a", buffering=1)


def forward(method, path, headers, body):
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=120)
    kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "content-length")}
    connection.request(method, path, body=body or None, headers=kept)
    response = connection.getresponse()
    data = response.read()
    out = [(k, v) for k, v in response.getheaders() if k.lower() not in ("content-length", "transfer-encoding", "connection")]
    connection.close()
    return response.status, data, out


strict = None
if sys.argv[4:] == ["strict"]:
    from strict import Strict
    strict = Strict(forward)


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def own(self, body):
        with lock:
            if self.command == "PUT":
                state.update(n=0, faults=json.loads(body or b"{}"))
            out = json.dumps({"calls": state["n"]}).encode()
        self.answer(200, out)

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
        if self.path == "/door":
            return self.own(body)
        with lock:
            state["n"] += 1
            n, faults = state["n"], dict(state["faults"])
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
        if faults.get("lose") == n:
            self.close_connection = True
            self.connection.close()
            return None
        return self.answer(status, data, kept)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_any


http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", port), Door).serve_forever()
