"""Hurts a controller at each call that it makes: strict.py and moto in one process, which forks a copy of the whole cloud for each trial.

usage: every_call.py SPEC FOLDER OUT
SPEC: JSON file {"program", "verb": apply|purge, "kind": kill|lose|late|error|error-after|throttle, "account": {...},
  "whole": {...}, "nothing": {...}, "steady": {...}, "at": [[WHEN, N], ...] or absent, "kinds": BOOL, "part": [K, OF],
  "each": N, "jobs": J (1)}
OUT gets a JSON line a trial, and at the end {"calls": N, "trials": T, "wrong": [...], ...}.

kill: at each call of one whole run the controller is stopped, its folder copied and the cloud forked: what a kill -9 at that instant
leaves, before the call is carried out and once more after it. In the copy a new controller goes on (resume), and the end must be the
same as without any kill: what there is by tags, what there is in all, and a plan with nothing to do. Two instants between which
neither the cloud nor the folder changed are one trial ("at" takes them one by one). "kinds" tries of each kind of call that writes (an action, or
a method and what kind of path) one instant before and one after, beside those of "at". Up to "jobs" trials run side by side.
Others: runs in which every "each"-th call is hurt, as many as it takes for each place to have had its turn.

Time in this cloud goes by calls (a call is CALL seconds), so that states last as long on a loaded machine as on a quiet one."""
import collections
import gc
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boto3
import botocore.awsrequest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

import strict as strict_module
import there as looks

CALL, SETTLE, STATE = 0.02, 0.05, 0.08
LATE = 2.5  # seconds; the controller's patience is 2
IDENT = "5c0ffee0-0000-4000-8000-0000005c0ffe"


class Calls:
    """The time by which strict.py goes."""
    now = 1000.0

    def monotonic(self):
        return self.now


clock = Calls()
strict_module.time = clock
application = DomainDispatcherApplication(create_backend_app)


def moto(method, path, headers, body):
    """moto's own application, called without a network."""
    kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "content-length")}
    with Client(application).open(path, base_url="http://127.0.0.1/", method=method, headers=kept, data=body) as answer:
        out = [(k, v) for k, v in answer.headers.items() if k.lower() not in ("content-length", "transfer-encoding", "connection")]
        return answer.status_code, answer.get_data(), out


def direct(request, **_):
    """boto3's requests go to moto directly, too."""
    split = urllib.parse.urlsplit(request.url)
    path = split.path + ("?" + split.query if split.query else "")
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
    body = request.body or b""
    status, data, kept = moto(request.method, path, headers, body.encode() if isinstance(body, str) else body)

    class Raw:
        def stream(self, *_, **__):
            yield data

        def read(self, *_, **__):
            return data
    return botocore.awsrequest.AWSResponse(request.url, status, dict(kept), Raw())


def no_socket(url, service):
    if (url, service) not in no_socket.made:
        made = boto3.client(service, endpoint_url=url, region_name="us-east-1")
        made.meta.events.register("before-send", direct)
        no_socket.made[(url, service)] = made
    return no_socket.made[(url, service)]


no_socket.made = {}
looks.client = no_socket
URL = "http://127.0.0.1:1"


def everything():
    """What there is in all, whoever's it is and whatever its tags."""
    ec2, count = no_socket(URL, "ec2"), {}
    # moto keeps the interfaces of gateways that it has deleted; they have no description
    count["NetworkInterfaces"] = sum(bool(i.get("Description"))
                                     for i in ec2.describe_network_interfaces()["NetworkInterfaces"])
    for call, key in ((ec2.describe_vpcs, "Vpcs"), (ec2.describe_subnets, "Subnets"), (ec2.describe_route_tables, "RouteTables"),
                      (ec2.describe_internet_gateways, "InternetGateways"), (ec2.describe_addresses, "Addresses"),
                      (ec2.describe_security_groups, "SecurityGroups"),
                      (ec2.describe_nat_gateways, "NatGateways"), (ec2.describe_vpc_endpoints, "VpcEndpoints"),
                      (ec2.describe_flow_logs, "FlowLogs"), (ec2.describe_vpc_endpoint_service_configurations, "ServiceConfigurations"),
                      (ec2.describe_vpc_peering_connections, "VpcPeeringConnections")):
        count[key] = sum(str(i.get("State", i.get("Status", {}).get("Code") if isinstance(i.get("Status"), dict) else "")).lower()
                         not in ("deleted", "deleting") for i in call()[key])
    iam = no_socket(URL, "iam")
    count["Roles"] = len(iam.list_roles(MaxItems=1000)["Roles"])
    count["Policies"] = len(iam.list_policies(Scope="Local", MaxItems=1000)["Policies"])
    count["Profiles"] = len(iam.list_instance_profiles(MaxItems=1000)["InstanceProfiles"])
    count["Providers"] = len(iam.list_open_id_connect_providers()["OpenIDConnectProviderList"])
    count["Buckets"] = len(no_socket(URL, "s3").list_buckets()["Buckets"])
    count["LogGroups"] = len(no_socket(URL, "logs").describe_log_groups()["logGroups"])
    kms = no_socket(URL, "kms")
    count["Keys"] = sum(kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled" for k in kms.list_keys(Limit=1000)["Keys"])
    count["Aliases"] = len(kms.list_aliases()["Aliases"])
    count["Zones"] = len(no_socket(URL, "route53").list_hosted_zones()["HostedZones"])
    return count


READS = ("Describe", "Get", "List", "Simulate", "AssumeRole")


def named(method, path, headers, body):
    """What is asked and of what: an action, or a method and a path."""
    action = re.search(rb"(?:^|&)Action=(\w+)", body[:2000])
    target = next((v for k, v in headers.items() if k.lower() == "x-amz-target"), "")
    name = action[1].decode() if action else target.rsplit(".", 1)[-1]
    about = re.search(rb"ownhouse%3Aresource&[^&]*Value=([^&]*)", body) or re.search(rb"(?:Id|Name|Arn)(?:\.1)?=([^&]*)", body)
    return (name, about[1].decode() if about else "") if name else (f"{method}", path.split("?")[0])


def reads(action):
    return action.startswith(READS) or action in ("GET", "HEAD")


def kind_of(method, path, headers, body):
    """The same for all calls that differ only in what they are about."""
    name, rest = named(method, path, headers, body)
    if name != method:
        return name
    split = urllib.parse.urlsplit(path)
    bare = re.sub(r"/(node-groups|addons|pod-identity-associations|access-entries|tags)/[^/]+", r"/\1/N", split.path)
    bare = re.sub(f"oh-{IDENT[:8]}[^/]*|[A-Z0-9]{{12,}}|a-[0-9a-f]{{16}}", "N", bare)
    return f"{method} {bare}?{split.query.split('=')[0]}"


class Cloud:
    """strict.py on a port, with what is done to each call."""

    def __init__(self):
        self.strict = strict_module.Strict(moto)
        self.strict.settle, self.strict.state = SETTLE, STATE
        self.lock = threading.Lock()
        self.n = self.changes = 0
        self.around = None  # called with (when, n, kind) around each call, under the lock
        self.fault = None  # called with n, says how this call is hurt
        self.hurt = collections.Counter()
        self.children = set()
        self.serve()

    def serve(self):
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm, wbufsize = True, -1  # an answer is one packet, or each waits 40 ms for the one before

            def log_message(self, *_):
                pass

            def handle_any(self):
                cloud.handle(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # whoever asked is dead

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def fork(self, jobs=1):
        """A copy of the cloud as it is now, in a process of its own. True there. Returns here when fewer than `jobs` are at work."""
        sys.stdout.flush()
        child = os.fork()
        if child:
            self.children.add(child)
            self.join(jobs - 1)
            return False
        self.children = set()
        self.server.socket.close()
        self.lock = threading.Lock()
        self.around = self.fault = None
        self.n = 0
        self.hurt = collections.Counter()
        self.serve()
        return True

    def join(self, most=0):
        """Waits until at most so many copies are at work."""
        while True:
            self.children -= {c for c in self.children if os.waitpid(c, os.WNOHANG)[0]}
            if len(self.children) <= most:
                return
            time.sleep(0.02)

    def carry_out(self, method, path, headers, body):
        clock.now += CALL
        answer = self.strict.handle(method, path, headers, body)
        self.changes += not reads(named(method, path, headers, body)[0])
        return answer

    def handle(self, h, body):
        headers = dict(h.headers.items())
        with self.lock:
            self.n += 1
            n = self.n
            how = self.fault(n) if self.fault else None
            if how:
                self.hurt[named(h.command, h.path, headers, body)] += 1
            if how in ("error", "throttle"):
                answer = refusal(how, headers)
            else:
                kind = self.around and kind_of(h.command, h.path, headers, body)
                if self.around:
                    self.around("before", n, kind)
                answer = self.carry_out(h.command, h.path, headers, body)
                if self.around:
                    self.around("after", n, kind)
        if how == "late":
            time.sleep(LATE)
        if how == "lose":
            h.close_connection = True
            h.connection.close()
            return
        status, data, kept = refusal("error", headers) if how == "error-after" else answer
        try:
            h.send_response(status)
            for name, value in kept:
                h.send_header(name, value)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            if h.command != "HEAD":
                h.wfile.write(data)
        except OSError:
            h.close_connection = True


def refusal(how, headers):
    service = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", headers.get("Authorization", headers.get("authorization", "")))[1]
    code = {"error": "InternalError", "throttle": {"ec2": "RequestLimitExceeded", "s3": "SlowDown"}.get(service, "ThrottlingException")}[how]
    status = 500 if how == "error" else {"ec2": 503, "s3": 503, "eks": 429}.get(service, 400)
    if service in ("eks", "kms", "logs", "tagging", "servicequotas"):
        return status, json.dumps({"__type": code, "message": code}).encode(), [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
    if service == "ec2":
        return strict_module.ec2_error(code, code, status)
    return status, f"<ErrorResponse><Error><Code>{code}</Code><Message>{code}</Message></Error></ErrorResponse>".encode(), [("Content-Type", "text/xml")]


class Trials:
    def __init__(self, spec, folder, out):
        self.spec, self.folder, self.out = spec, pathlib.Path(folder), out
        self.cloud = Cloud()
        self.base = self.folder / "base"
        self.base.mkdir()
        others = looks.others(URL)
        account = json.loads(json.dumps(spec["account"]))
        account["peering"]["vpcId"], account["privateLink"]["loadBalancer"] = others["peer"], others["balancer"]
        self.env = {"account": account, "pauseMs": 20, "pollMs": 20, "settleMs": 300, "threads": spec.get("threads", 0),
                    "infrastructure": {"id": IDENT, "name": "prod", "region": "us-east-1", "cidr": "10.41.0.0/16",
                                       "domain": "oh.example.com"}}
        self.before = everything()
        self.goal = None  # what there is in all after a run that nothing hurt

    def start(self, verb, folder, timeout_ms=600000, **more):
        (folder / "env.json").write_text(json.dumps({**self.env, "endpoints": {"*": self.cloud.url}, "timeoutMs": timeout_ms, **more}))
        return subprocess.Popen([self.spec["program"], verb, folder], stdout=subprocess.PIPE, stderr=open(folder / "said", "ab"), text=True)

    def run(self, verb, folder, **more):
        process = self.start(verb, folder, **more)
        out, _ = process.communicate(timeout=900)
        return process.returncode == 0, json.loads(out) if out.strip() else None

    def finished(self, folder):
        """Empty when the end is as it should be, else what is wrong."""
        apply = self.spec["verb"] == "apply"
        is_, in_all = looks.there(URL, IDENT), everything()
        is_.update(self.cloud.strict.there(f"oh-{IDENT[:8]}"))
        want = self.spec["whole" if apply else "nothing"]
        if is_ != want:
            return {"there": {k: [v, want.get(k)] for k, v in is_.items() if v != want.get(k)}}
        if in_all != (self.goal or in_all):
            return {"in all": {k: [v, self.goal[k]] for k, v in in_all.items() if v != self.goal[k]}}
        if apply:
            good, plan = self.run("plan", folder)
            if not good or plan["summary"] != self.spec["steady"]:
                return {"plan": plan and [c for c in plan["changes"] if c["action"] != "none"], "summary": plan and plan["summary"]}
        return {}

    def settle(self):
        clock.now += 10 * (SETTLE + STATE)  # a controller's restart takes longer than this

    def judge(self, folder):
        """In a copy of the cloud, after a kill: goes on as the next controller does."""
        self.settle()
        verb = self.spec["verb"]
        if (folder / "plan.json").exists():
            self.run("resume", folder)
        wrong = self.finished(folder)
        if wrong:  # whoever resumes may be told to plan again, and does
            self.run(verb, folder)
            wrong = self.finished(folder)
        return wrong

    def note(self, **said):
        with open(self.out, "a") as f:
            f.write(json.dumps(said) + "\n")

    def kill_at_each(self):
        verb, spec = self.spec["verb"], self.spec
        seen, points, kinds = set(), collections.Counter(), set()
        work = self.folder / "run"
        shutil.copytree(self.base, work)
        part, of = spec.get("part", [0, 1])
        process = None

        def same(folder):
            h = hashlib.sha256(str(self.cloud.changes).encode())
            for name in ("state.json", "plan.json"):
                h.update((folder / name).read_bytes() if (folder / name).exists() else b"-")
            return h.hexdigest()

        def around(when, n, kind):
            points["all"] += 1
            new = (when, kind) not in kinds and not reads(kind.split()[0])
            kinds.add((when, kind))
            chosen = [when, n] in spec.get("at", [])
            if n % of != part or ("at" in spec and not chosen and not (new and spec.get("kinds"))):
                return
            stop(process)
            try:
                key = same(work)
                if key in seen and not chosen:
                    points["same"] += 1
                    return
                seen.add(key)
                points["trials"] += 1
                copy = self.folder / f"{when}-{n}"
                shutil.copytree(work, copy)
                if self.cloud.fork(spec.get("jobs", 1)):
                    try:
                        wrong = self.judge(copy)
                    except BaseException as e:
                        wrong = {"broke": repr(e)}
                    self.note(when=when, n=n, call=kind, wrong=wrong)
                    if not wrong:
                        shutil.rmtree(copy)
                    os._exit(0)
            finally:
                os.kill(process.pid, signal.SIGCONT)

        self.cloud.n = 0
        self.cloud.around = around
        self.cloud.lock.acquire()  # it cannot make a call before we know its pid
        process = self.start(verb, work, retryMs=86400000)  # which go by while it is stopped, too
        self.cloud.lock.release()
        out, _ = process.communicate(timeout=36000)
        self.cloud.around = None
        self.cloud.join()
        self.note(calls=self.cloud.n, good=process.returncode == 0, points=points["all"], trials=points["trials"], same=points["same"],
                  kinds=sorted({kind for _, kind in kinds}))

    def hurt_each(self):
        """Every `each`-th call of a run, in `each` runs that begin one later."""
        kind, each = self.spec["kind"], self.spec["each"]
        part, of = self.spec.get("part", [0, 1])
        for first in range(part, each, of):
            if not self.cloud.fork():
                continue
            try:
                copy = self.folder / f"{kind}-{first}"
                shutil.copytree(self.base, copy)
                self.cloud.fault = lambda n: kind if n % each == first else None
                good, _ = self.run(self.spec["verb"], copy, timeout_ms=2000 if kind == "late" else 60000)
                calls, hurt, self.cloud.fault = self.cloud.n, self.cloud.hurt, None
                wrong = self.judge(copy) if not good else self.finished(copy)
                self.note(first=first, calls=calls, hurt=sorted(map(list, hurt)), good=good, wrong=wrong)
                if not wrong:
                    shutil.rmtree(copy)
            except BaseException as e:
                self.note(first=first, wrong={"broke": repr(e)})
            os._exit(0)

    def go(self):
        if self.spec["verb"] == "purge":
            good, _ = self.run("apply", self.base)
            assert good, (self.base / "said").read_text()[-2000:]
            self.goal = self.before
        else:
            # The goal comes from a copy in which nothing is hurt.
            goal = self.folder / "goal.json"
            if self.cloud.fork():
                copy = self.folder / "unhurt"
                shutil.copytree(self.base, copy)
                good, _ = self.run("apply", copy)
                if good and not self.finished(copy):
                    goal.write_text(json.dumps(everything()))
                os._exit(0)
            self.goal = json.loads(goal.read_text())
        if self.spec["kind"] == "kill":
            self.kill_at_each()
        else:
            self.hurt_each()


def stop(process):
    os.kill(process.pid, signal.SIGSTOP)
    while pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "TZ":
        time.sleep(0.001)


if __name__ == "__main__":
    gc.disable()  # a collection writes to all of moto's pages, which each copy would then have to copy
    Trials(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3]).go()
