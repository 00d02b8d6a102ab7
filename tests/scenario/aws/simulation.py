"""iam:SimulatePrincipalPolicy, which moto lacks: a role's attached and own policies and its boundary, read from moto, and the
organization's denials that a test sets, evaluated by IAM's published rules. Written from AWS's reference of policy evaluation."""
import fnmatch
import json
import re
import urllib.parse


def listed(value):
    return value if isinstance(value, list) else [value]


def like(pattern, text):
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def local(tag):
    return tag.split("}")[-1]


def meets(condition, context):
    for op, keys in condition.items():
        for key, values in keys.items():
            values, have = [str(v) for v in listed(values)], context.get(key)
            if have is None and (op.endswith("IfExists") or op.startswith("ForAllValues:")):
                continue
            if op.startswith("ForAllValues:"):
                if not all(h in values for h in have):
                    return False
                continue
            op = op.removesuffix("IfExists")
            if op == "Null":
                good = (have is None) == (values[0] == "true")
            elif op in ("StringEquals", "Bool"):
                good = have is not None and any(h in values for h in have)
            elif op in ("StringLike", "ArnEquals", "ArnLike"):
                good = have is not None and any(like(v, h) for v in values for h in have)
            else:
                raise NotImplementedError(op)
            if not good:
                return False
    return True


def says(documents, action, resource, context):
    """explicitDeny, allowed or implicitDeny."""
    found = "implicitDeny"
    for document in documents:
        for s in listed(document["Statement"]):
            if (any(like(a.lower(), action.lower()) for a in listed(s["Action"]))
                    and any(like(r, resource) for r in listed(s["Resource"])) and meets(s.get("Condition", {}), context)):
                if s["Effect"] == "Deny":
                    return "explicitDeny"
                found = "allowed"
    return found


class Simulation:
    """`ask(form) -> (status, root)` asks moto's IAM; `denied`: what the organization denies, patterns of actions."""

    def __init__(self, ask):
        self.ask, self.denied = ask, []

    def document(self, action, **form):
        _, root = self.ask({"Action": action, "Version": "2010-05-08", **form})
        text = next(e.text for e in root.iter() if local(e.tag) in ("Document", "PolicyDocument"))
        return json.loads(urllib.parse.unquote(text))

    def policy(self, arn):
        _, root = self.ask({"Action": "GetPolicy", "Version": "2010-05-08", "PolicyArn": arn})
        version = next(e.text for e in root.iter() if local(e.tag) == "DefaultVersionId")
        return self.document("GetPolicyVersion", PolicyArn=arn, VersionId=version)

    def of_role(self, name):
        """Its policies and its boundary (None: none); None if there is no such role."""
        status, root = self.ask({"Action": "GetRole", "Version": "2010-05-08", "RoleName": name})
        if status != 200:
            return None
        boundary = next((e.text for e in root.iter() if local(e.tag) == "PermissionsBoundaryArn"), None)
        _, attached = self.ask({"Action": "ListAttachedRolePolicies", "Version": "2010-05-08", "RoleName": name})
        _, own = self.ask({"Action": "ListRolePolicies", "Version": "2010-05-08", "RoleName": name})
        policies = [self.policy(e.text) for e in attached.iter() if local(e.tag) == "PolicyArn"]
        policies += [self.document("GetRolePolicy", RoleName=name, PolicyName=e.text) for e in own.iter() if local(e.tag) == "member"]
        return policies, self.policy(boundary) if boundary else None

    def answer(self, form, roles):
        """The XML's result part, or None if there is no such role. `roles` remembers what was read."""
        name = form["PolicySourceArn"].rsplit("/", 1)[-1]
        if name not in roles:
            roles[name] = self.of_role(name)
        if roles[name] is None:
            return None
        policies, boundary = roles[name]
        context = {}
        for key, value in form.items():
            entry = re.fullmatch(r"ContextEntries\.member\.(\d+)\.ContextKeyValues\.member\.\d+", key)
            if entry:
                context.setdefault(form[f"ContextEntries.member.{entry[1]}.ContextKeyName"], []).append(value)
        out = ""
        for action in [v for k, v in form.items() if k.startswith("ActionNames.member.")]:
            resource = form.get("ResourceArns.member.1", "*")
            organization = not any(like(d, action) for d in self.denied)
            fenced = boundary is None or says([boundary], action, resource, context) == "allowed"
            decision = says(policies, action, resource, context)
            if decision == "allowed" and not (organization and fenced):
                decision = "implicitDeny"
            out += (f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
                    f"<EvalDecision>{decision}</EvalDecision><OrganizationsDecisionDetail><AllowedByOrganizations>"
                    f"{str(organization).lower()}</AllowedByOrganizations></OrganizationsDecisionDetail>"
                    + (f"<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>{str(fenced).lower()}"
                       "</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>" if boundary else "") + "</member>")
        return f"<EvaluationResults>{out}</EvaluationResults><IsTruncated>false</IsTruncated>"
