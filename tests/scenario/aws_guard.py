"""Route 53 as an account's IAM lets one principal reach it: each request is judged by a policy before moto carries it out, and what it
changes is also told to a real name server, so that somebody else can look the names up."""
import http.client
import http.server
import re
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ET

import aws_peer

sys.path.insert(0, str(aws_peer.HERE / "aws"))
from simulation import says  # noqa: E402

TYPES = "route53:ChangeResourceRecordSetsRecordTypes"


def as_iam_sees(method, path, body):
    """(action, resource, the types of its record sets) of a request to Route 53."""
    place = path.split("?")[0].removeprefix("/2013-04-01/")
    if place.startswith("change/"):
        return "route53:GetChange", f"arn:aws:route53:::{place}", ()
    zone = re.fullmatch("(hostedzone/[^/]+)/rrset/?", place)
    assert zone and method in ("GET", "POST"), (method, path)
    action = "ListResourceRecordSets" if method == "GET" else "ChangeResourceRecordSets"
    return f"route53:{action}", f"arn:aws:route53:::{zone[1]}", tuple(sorted(set(re.findall("<Type>([A-Z]+)</Type>", body))))


def text(element, name):
    return next(e.text for e in element.iter() if e.tag.endswith("}" + name))


def changes_of(body):
    """(action, name, type, element) of each change of a batch."""
    for change in (e for e in ET.fromstring(body).iter() if e.tag.endswith("}Change")):
        yield text(change, "Action"), text(change, "Name").rstrip(".") + ".", text(change, "Type"), change


def as_updates(body):
    """The lines of a dynamic update that say the same as a change batch."""
    for action, name, kind, change in changes_of(body):
        if action != "CREATE":
            yield f"del {name} {kind}"
        if action != "DELETE":
            for value in (e.text for e in change.iter() if e.tag.endswith("}Value")):
                yield f"add {name} {text(change, 'TTL')} {kind} {value}"


class Guard:
    """In front of `moto`: .asked and .denied are sets of what as_iam_sees gives; `namespace` is the session's tag."""

    def __init__(self, moto, policy, knot=None, namespace="ownhouse"):
        self.target, self.policy, self.knot, self.namespace = urllib.parse.urlsplit(moto.url), policy, knot, namespace
        self.asked, self.denied, self.there = set(), set(), set()
        guard = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, data = guard.answer(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_any

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, method, path, headers, body):
        action, resource, types = seen = as_iam_sees(method, path, body.decode())
        self.asked.add(seen)
        context = {"aws:PrincipalTag/kubernetes-namespace": [self.namespace], **({TYPES: list(types)} if types else {})}
        if says([self.policy], action, resource, context) != "allowed":
            self.denied.add(seen)
            return 403, (f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: {action} on {resource}"
                         "</Message></Error></ErrorResponse>").encode()
        there = set(self.there)
        if method == "POST":
            for change, name, kind, _ in changes_of(body.decode()):
                if change == "CREATE" and (name, kind) in there:
                    return 400, b"<ErrorResponse><Error><Code>InvalidChangeBatch</Code><Message>it already exists</Message></Error></ErrorResponse>"
                (there.discard if change == "DELETE" else there.add)((name, kind))
            # moto takes what was created, deleted and is created again for what is there still.
            body = body.replace(b"<Action>CREATE<", b"<Action>UPSERT<")
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=120)
        connection.request(method, path, body=body or None, headers={k: v for k, v in headers.items() if k.lower() not in (
            "connection", "content-length")})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if method == "POST" and answer.status == 200:
            self.there = there
            if self.knot:
                self.knot.update(*as_updates(body.decode()))
        return answer.status, data

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
