"""Holds recorded requests against botocore: each is taken apart by AWS's own models and built again by botocore's own serializers;
both must say the same. Prints {"calls": {"service Action": count}, "wrong": [...]}."""
import base64
import hashlib
import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ET

import botocore.loaders
import botocore.model
import botocore.serialize
import botocore.validate

loader = botocore.loaders.Loader()
models = {}


def model(name):
    if name not in models:
        models[name] = botocore.model.ServiceModel(loader.load_service_model(name, "service-2"))
    return models[name]


def scalar(shape, text):
    kind = shape.type_name
    if kind in ("integer", "long"):
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    return text


def unflatten(pairs):
    """a.b.1.c=v as nested dicts."""
    tree = {}
    for key, value in pairs:
        at = tree
        parts = key.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        assert parts[-1] not in at, f"{key} twice"
        at[parts[-1]] = value
    return tree


def wire_name(shape, member, name, protocol):
    """The name of a structure's member in a form."""
    if protocol == "ec2":
        if "queryName" in member.serialization:
            return member.serialization["queryName"]
        named = member.serialization.get("name", name)
        return named[0].upper() + named[1:]
    return member.serialization.get("name", name)


def from_form(shape, tree, protocol):
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(tree, dict), f"{shape.name}: is not a structure: {tree}"
        names = {wire_name(shape, m, n, protocol): n for n, m in shape.members.items()}
        unknown = set(tree) - set(names)
        assert not unknown, f"{shape.name} has no {sorted(unknown)}"
        return {names[k]: from_form(shape.members[names[k]], v, protocol) for k, v in tree.items()}
    if kind == "list":
        if protocol == "query" and not shape.serialization.get("flattened"):
            assert set(tree) == {shape.member.serialization.get("name", "member")}, f"{shape.name}: {tree}"
            tree = next(iter(tree.values()))
        assert sorted(tree, key=int) == [str(i + 1) for i in range(len(tree))], f"{shape.name}: {tree}"
        return [from_form(shape.member, tree[k], protocol) for k in sorted(tree, key=int)]
    return scalar(shape, tree)


def strip(tag):
    return tag.split("}")[-1]


def from_xml(shape, element):
    kind = shape.type_name
    if kind == "structure":
        names = {m.serialization.get("name", n): (n, m) for n, m in shape.members.items()}
        out = {}
        for child in element:
            tag = strip(child.tag)
            assert tag in names, f"{shape.name} has no {tag}"
            name, member = names[tag]
            if member.type_name == "list" and member.serialization.get("flattened"):
                out.setdefault(name, []).append(from_xml(member.member, child))
            else:
                out[name] = from_xml(member, child)
        return out
    if kind == "list":
        return [from_xml(shape.member, child) for child in element]
    return scalar(shape, element.text or "")


def from_json(shape, value):
    kind = shape.type_name
    if kind == "structure":
        names = {m.serialization.get("name", n): n for n, m in shape.members.items()}
        unknown = set(value) - set(names)
        assert not unknown, f"{shape.name} has no {sorted(unknown)}"
        return {names[k]: from_json(shape.members[names[k]], v) for k, v in value.items()}
    if kind == "list":
        return [from_json(shape.member, v) for v in value]
    return value


def service_of(request):
    found = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request["headers"].get("authorization", ""))
    assert found, "not signed"
    return {"elasticloadbalancing": "elbv2", "tagging": "resourcegroupstaggingapi",
            "servicequotas": "service-quotas"}.get(found[1], found[1])


def match_rest(service, request):
    """The operation whose URI this is, the most literal one."""
    split = urllib.parse.urlsplit(request["path"])
    query = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
    best = None
    for name in service.operation_names:
        op = service.operation_model(name)
        uri = urllib.parse.urlsplit(op.http["requestUri"].replace("/{Bucket}", "/{Bucket}"))
        if op.deprecated or op.http["method"] != request["method"]:
            continue
        want = urllib.parse.parse_qsl(uri.query, keep_blank_values=True)
        if any(pair not in query for pair in want):
            continue
        pattern = re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>[^/]+)", re.escape(uri.path).replace(r"\+", ""))
        found = re.fullmatch(pattern.rstrip("/") + "/?", split.path)
        if not found:
            continue
        literal = (len(want), len(re.sub(r"\{.*?\}", "", uri.path)))
        if best is None or literal > best[0]:
            best = (literal, op, found.groupdict(), [p for p in query if p not in want])
    assert best, f"{request['method']} {request['path']} is no operation of {service.service_name}"
    return best[1:]


def rest_arguments(service, request):
    op, labels, query = match_rest(service, request)
    shape, args = op.input_shape, {}
    body = None
    by_query = {}
    for name, value in query:
        by_query.setdefault(name, []).append(value)
    for name, member in (shape.members.items() if shape else ()):
        where, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if where == "uri":
            args[name] = urllib.parse.unquote(labels[wire])
        elif where == "querystring" and wire in by_query:
            values = by_query.pop(wire)
            args[name] = values if member.type_name == "list" else scalar(member, values[0])
    assert not by_query, f"{op.name} has no parameters {sorted(by_query)}"
    if request["body"] and service.metadata["protocol"] == "rest-json":
        inner = {n: m for n, m in shape.members.items() if "location" not in m.serialization}
        names = {m.serialization.get("name", n): n for n, m in inner.items()}
        for key, value in json.loads(request["body"]).items():
            assert key in names, f"{op.name} has no {key}"
            args[names[key]] = from_json(inner[names[key]], value)
    elif request["body"]:
        payload = shape.serialization.get("payload")
        element = ET.fromstring(request["body"])
        if payload:
            args[payload] = from_xml(shape.members[payload], element)
        else:
            body = {n: m for n, m in shape.members.items() if "location" not in m.serialization}
            for child in element:
                name = next(n for n, m in body.items() if m.serialization.get("name", n) == strip(child.tag))
                args[name] = from_xml(body[name], child)
    return op, args


def arguments(service, request):
    protocol = service.metadata["protocol"]
    if protocol in ("ec2", "query"):
        form = urllib.parse.parse_qsl(request["body"], keep_blank_values=True, strict_parsing=True)
        plain = dict(form)
        assert plain["Version"] == service.api_version, plain["Version"]
        op = service.operation_model(plain["Action"])
        tree = unflatten([p for p in form if p[0] not in ("Action", "Version")])
        return op, from_form(op.input_shape, tree, protocol) if op.input_shape else {}
    if protocol == "json":
        prefix, _, action = request["headers"]["x-amz-target"].partition(".")
        assert prefix == service.metadata["targetPrefix"]
        op = service.operation_model(action)
        return op, from_json(op.input_shape, json.loads(request["body"]))
    return rest_arguments(service, request)


def canonical_xml(text):
    return ET.canonicalize(text, strip_text=True) if text else ""


def order_free(text):
    """An XML tree whose structure members are in any order."""
    def walk(e):
        return (strip(e.tag), (e.text or "").strip(), sorted(walk(c) for c in e))
    return walk(ET.fromstring(text)) if text else None


def compare(service, op, args, request):
    errors = botocore.validate.ParamValidator().validate(args, op.input_shape).generate_report() if op.input_shape else ""
    assert not errors, errors
    built = botocore.serialize.create_serializer(service.metadata["protocol"], False).serialize_to_request(args, op)
    split = urllib.parse.urlsplit(request["path"])
    assert built["method"] == request["method"]
    theirs = urllib.parse.urlsplit(built["url_path"])
    ours_query = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
    want_query = urllib.parse.parse_qsl(theirs.query, keep_blank_values=True)
    for name, value in (built["query_string"] or {}).items():
        for one in value if isinstance(value, list) else [value]:
            want_query.append((name, {True: "true", False: "false"}.get(one, str(one)) if isinstance(one, bool) else str(one)))
    assert sorted(ours_query) == sorted(want_query), (ours_query, want_query)
    quoted = urllib.parse.quote(theirs.path, safe="/~%")
    assert split.path in (theirs.path, quoted), (split.path, theirs.path)
    body = built["body"]
    protocol = service.metadata["protocol"]
    if protocol in ("ec2", "query"):
        ours = sorted(urllib.parse.parse_qsl(request["body"], keep_blank_values=True))
        assert ours == sorted((k, str(v)) for k, v in body.items()), (ours, body)
    elif protocol in ("json", "rest-json"):
        assert (json.loads(request["body"]) if request["body"] else {}) == (json.loads(body) if body else {})
    else:
        assert order_free(request["body"]) == order_free(body), (request["body"], body)
    if op.http_checksum_required or op.http_checksum.get("requestChecksumRequired"):
        digest = base64.b64encode(hashlib.md5(request["body"].encode()).digest()).decode()
        assert request["headers"].get("content-md5") == digest, "S3 wants Content-MD5 here"


def main(path):
    calls, wrong = {}, []
    for line in open(path):
        request = json.loads(line)
        request["headers"] = {k.lower(): v for k, v in request["headers"].items()}
        try:
            service = model(service_of(request))
            op, args = arguments(service, request)
            calls[f"{service.service_name} {op.name}"] = calls.get(f"{service.service_name} {op.name}", 0) + 1
            compare(service, op, args, request)
        except (AssertionError, KeyError, StopIteration, ET.ParseError, ValueError) as e:
            wrong.append({"request": f"{request['method']} {request['path']} {request['body'][:300]}", "why": repr(e)[:600]})
    print(json.dumps({"calls": calls, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
