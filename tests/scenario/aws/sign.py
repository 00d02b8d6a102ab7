"""Random requests and botocore's signature of each, as JSON lines: {"request": ..., "authorization": ...}."""
import hashlib
import json
import random
import sys
import urllib.parse
from unittest import mock
import datetime

from botocore import auth, awsrequest, credentials

seed, count = int(sys.argv[1]), int(sys.argv[2])
pick = random.Random(seed)
ALPHABET = "abcXYZ019-._~ !*'()%/+=&?#:;,@$[]{}|\\^`\"<>éü漢😀"
NOW = datetime.datetime(2026, 11, 23, 3, 0, 0)


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=tz)


def word(low=1, high=12, alphabet=ALPHABET):
    return "".join(pick.choice(alphabet) for _ in range(pick.randint(low, high)))


def encode(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


for _ in range(count):
    service = pick.choice(["s3", "eks", "iam", "route53", "ec2", "kms"])
    segments = [word().replace("/", "_").replace(".", "_") for _ in range(pick.randint(0, 4))]
    path = "/" + "/".join(segments)
    query = [[word(1, 8), word(0, 10)] for _ in range(pick.randint(0, 5))]
    if query and pick.random() < 0.3:
        query.append([query[0][0], word(0, 4)])
    headers = [["x-amz-meta-" + word(1, 6, "abc-"), word(1, 12, "abc XYZ  019;:")] for _ in range(pick.randint(0, 3))]
    if pick.random() < 0.3:
        headers += [["x-amz-server-side-encryption", "aws:kms"], ["x-amz-server-side-encryption-aws-kms-key-id", "k"]]
    headers = list({name: [name, value] for name, value in headers}.values())
    method = pick.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])
    body = word(0, 40).encode() if method in ("PUT", "POST") else b""
    token = word(20, 40, "abcXYZ019/+=") if pick.random() < 0.5 else None
    host = pick.choice(["example.com", "127.0.0.1:5000", "bucket.s3.us-east-1.amazonaws.com"])
    keys = credentials.Credentials("AKIA" + word(8, 8, "ABCD"), word(20, 30, "abcXYZ019/+"), token)
    url = f"https://{host}{encode(path, '/')}"
    if query:
        url += "?" + "&".join(f"{encode(k)}={encode(v)}" for k, v in query)
    request = awsrequest.AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    request.context["payload_signing_enabled"] = True
    region = pick.choice(["us-east-1", "eu-central-1"])
    signer = (auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth)(keys, service, region)
    targets = [name for name in ("get_current_datetime",) if hasattr(auth, name)]
    patch = (mock.patch.object(auth, targets[0], lambda *a, **k: NOW) if targets
             else mock.patch.object(auth.datetime, "datetime", Clock))
    with patch:
        signer.add_auth(request)
    stamp = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp())
    print(json.dumps({"request": {
        "method": method, "host": host, "path": path, "query": query, "headers": headers, "service": service,
        "payload": hashlib.sha256(body).hexdigest(), "region": region, "time": stamp, "id": keys.access_key,
        "secret": keys.secret_key, "token": token}, "authorization": request.headers["Authorization"]}))
