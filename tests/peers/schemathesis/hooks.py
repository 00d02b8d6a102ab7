"""Loaded into schemathesis: puts ids that exist in place of most drawn ones, so that requests get past "there is no such
thing", and keeps the run from cutting off the branch it sits on. What a request becomes depends on what was drawn alone, so
a seed says the same thing each time."""
import json
import os
import re
import urllib.parse
import uuid
import zlib

import schemathesis

KNOWN = json.loads(os.environ["OWNHOUSE_FUZZ_KNOWN"])  # ids and places of the system under test, see fuzz_api.py
NOBODY = "00000000-0000-4000-8000-000000000000"
SERVICES_MAX = 6  # each is a database on this machine
HARMLESS = {"organizationUpdate", "organizationByocInfrastructureUpdate"}
services_made = 0


def digest(drawn):
    return zlib.crc32(repr(drawn).encode())


def fits(name, drawn):
    """Only what is valid is replaced: drawn nonsense is meant to be refused."""
    if name == "quotaCode" or name == "activityId":
        return isinstance(drawn, str) and drawn.isalnum()
    try:
        return str(uuid.UUID(drawn)) == drawn.lower()
    except (ValueError, AttributeError, TypeError):
        return False


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    removes = ctx.operation.method.upper() == "DELETE"
    for name, drawn in (path_parameters or {}).items():
        ids = KNOWN["passing" if removes and name in KNOWN["passing"] else "lasting"].get(name)
        if ids and fits(name, drawn) and digest(drawn) % 16:
            path_parameters[name] = ids[digest(drawn) % len(ids)]
    return path_parameters


@schemathesis.hook
def filter_query(ctx, query):
    """Longer ones HAProxy refuses with its own page before there is a request; api/differences.md says so."""
    return len(urllib.parse.urlencode(query or {}, doseq=True)) < 12000


@schemathesis.hook
def map_body(ctx, body):
    global services_made
    if ctx.operation.definition.raw.get("operationId") != "instanceCreate" or not isinstance(body, dict):
        return body
    valid = body.get("provider") in ("aws", "gcp", "azure", "local") and re.fullmatch(
        "local|[a-z]+(-[a-z]+)*-?[0-9]?(-[0-9])?", str(body.get("region")))
    if valid and services_made < SERVICES_MAX and digest(body) % 4:
        services_made += 1
        return {**body, **KNOWN["place"]}
    return body


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """What was there before the run is only read, and what the run stands on is not deleted, whatever way its id came here
    (chained answers are one)."""
    operation = case.operation.definition.raw.get("operationId")
    if case.method.upper() == "GET" or operation in HARMLESS:
        return
    for name, value in (case.path_parameters or {}).items():
        if value in KNOWN["guarded"] or (value in KNOWN["kept"] and operation == "instanceDelete"):
            case.path_parameters[name] = NOBODY
