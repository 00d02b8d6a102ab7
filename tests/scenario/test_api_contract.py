"""api/openapi.json against the published API: what both have is the same, and api/differences.md lists exactly what is not.

tests/data/clickhouse-cloud-api-facts.json is the published description without its prose."""
import json
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
OURS = json.loads((TOP / "api/openapi.json").read_text())
THEIRS = json.loads((TOP / "tests/data/clickhouse-cloud-api-facts.json").read_text())
METHODS = ("get", "put", "post", "patch", "delete")
RULES = ("format", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems",
         "x-exclusive", "x-together", "x-ordered", "deprecated")


def operations(document):
    return {(m, p): op for p, item in document["paths"].items() for m, op in item.items() if m in METHODS}


def resolve(document, node):
    """The node itself, with the name of the schema it was found under."""
    name = None
    while "$ref" in node:
        _, part, name = node["$ref"].rsplit("/", 2)
        node = document["components"][part][name]
    return node, name


def types(node):
    t = node.get("type")
    if t is None:
        return {"object"} if "properties" in node else set()
    return set(t) if isinstance(t, list) else {t}


class Comparison:
    def __init__(self, ours=OURS, theirs=THEIRS):
        self.ours, self.theirs = ours, theirs
        self.differences, self.seen = set(), set()

    def note(self, where, what):
        self.differences.add(f"{where}: {what}")

    def schemas(self, where, a, b):
        a, a_name = resolve(self.ours, a)
        b, b_name = resolve(self.theirs, b)
        where = b_name or where
        if (where, a_name) in self.seen and b_name:
            return
        self.seen.add((where, a_name))
        if types(a) != types(b):
            self.note(where, f"type {sorted(types(a))} instead of {sorted(types(b))}")
        self.enums(where, a.get("enum"), b.get("enum"))
        for rule in RULES:
            if a.get(rule) != b.get(rule):
                self.note(where, f"{rule}" if b.get(rule) is None else f"another {rule}")
        for name in sorted(set(a.get("required", [])) - set(b.get("required", []))):
            self.note(f"{where}.{name}", "required")
        for name in sorted(set(b.get("required", [])) - set(a.get("required", []))):
            self.note(f"{where}.{name}", "not required")
        self.properties(where, a.get("properties", {}), b.get("properties", {}))
        if "items" in b:
            self.schemas(f"{where}[]", a.get("items", {}), b["items"])
        if "oneOf" in b and len(a.get("oneOf", [])) != len(b["oneOf"]):
            self.note(where, "another number of forms")
        for one, other in zip(a.get("oneOf", []), b.get("oneOf", [])):
            self.schemas(where, one, other)

    def enums(self, where, a, b):
        if a == b:
            return
        for value in sorted(set(a or []) - set(b or []), key=str):
            self.note(where, f"value {value}")
        for value in sorted(set(b or []) - set(a or []), key=str):
            self.note(where, f"no value {value}")

    def properties(self, where, a, b):
        for name in sorted(set(a) - set(b)):
            self.note(f"{where}.{name}", "field")
        for name in sorted(set(b) - set(a)):
            self.note(f"{where}.{name}", "no field")
        for name in sorted(set(a) & set(b)):
            self.schemas(f"{where}.{name}", a[name], b[name])

    def parameters(self, a, b):
        where = b["operationId"]
        ours = {(p["in"], p["name"]): p for p in (resolve(self.ours, p)[0] for p in a.get("parameters", []))}
        theirs = {(p["in"], p["name"]): p for p in b.get("parameters", [])}
        for key in sorted(set(ours) - set(theirs)):
            self.note(where, f"{key[0]} parameter {key[1]}")
        for key in sorted(set(theirs) - set(ours)):
            self.note(where, f"no {key[0]} parameter {key[1]}")
        for key in sorted(set(theirs) & set(ours)):
            if bool(ours[key].get("required")) != bool(theirs[key].get("required")):
                self.note(where, f"parameter {key[1]} required")
            self.schemas(f"{where} {key[1]}", ours[key]["schema"], theirs[key]["schema"])

    def operation(self, a, b):
        where = b["operationId"]
        if a["operationId"] != where:
            self.note(where, "another operationId")
        self.parameters(a, b)
        body_a, body_b = a.get("requestBody"), b.get("requestBody")
        if bool(body_a) != bool(body_b):
            self.note(where, "body")
        elif body_b:
            self.schemas(where, *(x["content"]["application/json"]["schema"] for x in (body_a, body_b)))
        for status in sorted(set(b["responses"]) - set(a["responses"])):
            self.note(where, f"no status {status}")
        for status in sorted(set(a["responses"]) - set(b["responses"])):
            self.note("every operation", f"status {status}")
        (kind_a, answer_a), (kind_b, answer_b) = (next(iter(x["responses"]["200"]["content"].items())) for x in (a, b))
        if kind_a != kind_b:
            return self.note(where, f"answer {kind_a} instead of {kind_b}")
        if kind_b == "text/plain":
            return self.schemas(f"{where} answer", answer_a["schema"], answer_b["schema"])
        result_a, result_b = answer_a["schema"]["properties"], answer_b["schema"]["properties"]
        self.properties(f"{where} answer", result_a, result_b)

    def run(self):
        ours, theirs = operations(self.ours), operations(self.theirs)
        for key in sorted(set(ours) - set(theirs)):
            self.note(ours[key]["operationId"], "operation")
        for key in sorted(set(theirs) - set(ours)):
            self.note(theirs[key]["operationId"], "no operation")
        for key in sorted(set(ours) & set(theirs)):
            self.operation(ours[key], theirs[key])
        return self.differences


def listed():
    text = (TOP / "api/differences.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.M)
    return {word: reason for left, reason in rows for word in re.findall(r"`([^`]+)`", left)}


def test_differences_are_listed_and_no_others():
    found, written = Comparison().run(), listed()
    assert sorted(found - set(written)) == [] and sorted(set(written) - found) == []
    assert all(len(reason) > 10 for reason in written.values())


@pytest.mark.parametrize("change", [
    lambda o: o["components"]["schemas"]["Service"]["properties"].pop("tags"),
    lambda o: o["components"]["schemas"]["ServiceState"]["enum"].remove("idle"),
    lambda o: o["components"]["schemas"]["ApiKey"]["properties"]["name"].update(type="integer"),
    lambda o: o["components"]["schemas"]["Service"]["properties"]["numReplicas"].update(maximum=21),
    lambda o: o["components"]["schemas"]["GcpBackupBucketPostRequestV1"]["properties"].pop("secretAccessKey"),
    lambda o: o["components"]["schemas"]["BackupBucket"]["oneOf"].pop(),
    lambda o: o["paths"]["/v1/organizations"].pop("get"),
    lambda o: o["paths"]["/v1/organizations"]["get"]["responses"].pop("400"),
    lambda o: o["paths"]["/v1/organizations/{organizationId}/services"]["get"]["parameters"].pop(),
])
def test_the_comparison_notices(change):
    changed = json.loads(json.dumps(OURS))
    change(changed)
    assert Comparison(changed).run() != Comparison().run()


def test_every_operation_and_field_is_described():
    def walk(node, where):
        if isinstance(node, dict):
            for name, field in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
                assert "$ref" in field or field.get("description") or where.startswith("paths"), f"{where}.{name}"
            for key, value in node.items():
                walk(value, f"{where}.{key}")
        elif isinstance(node, list):
            for i, value in enumerate(node):
                walk(value, f"{where}[{i}]")
    for _, op in operations(OURS).items():
        assert op["summary"] and op["tags"] and (op.get("security") == [] or op["x-permission"])
    walk(OURS["components"]["schemas"], "schemas")


def test_every_operation_is_in_the_guide():
    guide = (TOP / "docs/api.md").read_text()
    for (method, path), op in operations(OURS).items():
        assert f"`{method.upper()} {path}`" in guide, f"{op['operationId']} is not in docs/api.md"
