"""The AWS peers: moto's server, botocore in its own Python, the aws command line; and a recording door in front."""
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

from peers import peer

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        "AWS_DEFAULT_REGION": "us-east-1"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tool(name):
    """A program of the peer's environment."""
    return peer("moto").parent / name


def environment(**more):
    keep = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return {**keep, **KEYS, "AWS_EC2_METADATA_DISABLED": "true", **more}


def wait_http(url, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class Process:
    """A server of ours or a peer's, on a port of its own, ended with the test."""

    def __init__(self, arguments, port, log, ready="/"):
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(log, "ab")
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, env=environment(
            MOTO_IAM_LOAD_MANAGED_POLICIES="true"), start_new_session=True)
        try:
            wait_http(self.url + ready)
        except OSError:
            self.close()
            raise

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Moto(Process):
    def __init__(self, folder):
        port = free_port()
        super().__init__([tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port, folder / "moto.log",
                         "/moto-api/data.json")
        try:
            self.warm()
        except OSError:
            self.close()
            raise

    def warm(self):
        """What moto knows of AWS's policies and instances it reads at the first call of IAM and of EC2, and all other calls wait for
        that: 50 s on a machine with other work, and longer when many threads wait."""
        for service, action in (("iam", "ListRoles&Version=2010-05-08"), ("ec2", "DescribeVpcs&Version=2016-11-15")):
            scope = f"AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
            urllib.request.urlopen(urllib.request.Request(self.url, f"Action={action}".encode(), {"Authorization": scope}),
                                   timeout=300).read()

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.url + "/moto-api/reset", method="POST"), timeout=30).read()
        self.warm()


def aws(url, *arguments, **more):
    """The aws command line's JSON answer."""
    done = subprocess.run([tool("aws"), "--endpoint-url", url, "--region", "us-east-1", "--output", "json", *arguments],
                          env=environment(**more), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


class Calls:
    """botocore, kept running, for what a test only sets up or looks at: a call is a hundred times faster than the command line's."""

    def __init__(self, url):
        self.process = subprocess.Popen([tool("python"), HERE / "aws/calls.py", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment())

    def __call__(self, service, operation, **arguments):
        self.process.stdin.write(json.dumps({"service": service, "operation": operation, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "botocore's process has ended"
        said = json.loads(line)
        assert "error" not in said, (operation, arguments, said["error"])
        return said["answer"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def python(script, *arguments, data=None, timeout=300):
    """Runs a script of this folder with the peer's Python (botocore, boto3); its standard output."""
    done = subprocess.run([tool("python"), HERE / script, *map(str, arguments)], input=data, capture_output=True, text=True,
                          env=environment(), timeout=timeout)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
