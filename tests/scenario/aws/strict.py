"""What AWS does and moto does not, put in front of moto: external ids, asynchronous states, eventual consistency, throttling,
client tokens, dependency violations, leaked interfaces, and all of EKS.

`Strict(forward)` answers a request itself or passes it on with forward(method, path, headers, body) -> (status, body, headers)."""
import ipaddress
import json
import re
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as ET

from simulation import Simulation

SETTLE = 0.3  # seconds until what was made is seen
STATE = 0.4  # seconds that a state on the way lasts; both can be set through the door
THROTTLE_EVERY = 11
ACCOUNT, REGION = "123456789012", "us-east-1"

MADE = {"CreateVpc": "vpcId", "CreateSubnet": "subnetId", "CreateInternetGateway": "internetGatewayId",
        "CreateRouteTable": "routeTableId", "CreateSecurityGroup": "groupId", "CreateNatGateway": "natGatewayId",
        "AllocateAddress": "allocationId", "CreateVpcEndpoint": "vpcEndpointId",
        "CreateVpcPeeringConnection": "vpcPeeringConnectionId", "CreateVpcEndpointServiceConfiguration": "serviceId",
        "CreateFlowLogs": "item"}
SEEN = {"DescribeVpcs": ("vpcSet", "vpcId"), "DescribeSubnets": ("subnetSet", "subnetId"),
        "DescribeInternetGateways": ("internetGatewaySet", "internetGatewayId"),
        "DescribeRouteTables": ("routeTableSet", "routeTableId"), "DescribeSecurityGroups": ("securityGroupInfo", "groupId"),
        "DescribeNatGateways": ("natGatewaySet", "natGatewayId"), "DescribeAddresses": ("addressesSet", "allocationId"),
        "DescribeVpcEndpoints": ("vpcEndpointSet", "vpcEndpointId"),
        "DescribeVpcPeeringConnections": ("vpcPeeringConnectionSet", "vpcPeeringConnectionId"),
        "DescribeVpcEndpointServiceConfigurations": ("serviceConfigurationSet", "serviceId"),
        "DescribeFlowLogs": ("flowLogSet", "flowLogId")}
XML = [("Content-Type", "text/xml")]
JSON = [("Content-Type", "application/json")]


def ec2_error(code, message="", status=400):
    return status, (f"<Response><Errors><Error><Code>{code}</Code><Message>{message or code}</Message></Error></Errors>"
                    "<RequestID>r</RequestID></Response>").encode(), XML


def eks_error(status, code, message):
    return status, json.dumps({"__type": code, "message": message}).encode(), [*JSON, ("x-amzn-ErrorType", code)]


def local(tag):
    return tag.split("}")[-1]


def minor(version):
    return int(version.split(".")[1])


class Strict:
    def __init__(self, forward):
        self.forward = forward
        self.calls = 0
        self.hidden = {}  # id -> until when nobody sees it
        self.tokens = {}  # (action, client token) -> (form, answer)
        self.nats = {}  # id -> (state, until)
        self.clusters = {}
        self.groups = {}  # (cluster, kind, name) -> object: node groups, add-ons, associations, entries
        self.instances = {}  # id -> since
        self.keys = {}
        self.peerings = {}  # id -> [(state, from when), ...]
        self.services = {}  # endpoint service -> [endpoint, state]
        self.settle, self.state = SETTLE, STATE
        self.organization = []  # actions that the account's organization denies, as patterns; set through the door
        self.forbidden = []  # [method or action, part of host and path]: refused, as if a policy denied it; set through the door
        self.simulates = True  # whether the account lets anybody simulate; set through the door
        self.simulation = Simulation(lambda form: self.ask(form, "iam"))
        self.simulated = (0, {})  # until when, what roles may do
        self.quotas = {}  # code -> value: what Service Quotas says beside moto; set through the door
        self.waits = {}  # how long AWS takes, by what is waited for; state where it is not named

    def handle(self, method, path, headers, body):
        self.calls += 1
        self.headers = {k: v for k, v in headers.items()}
        signed = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers.get("Authorization", self.headers.get("authorization", "")))
        service = signed[1] if signed else ""
        if not signed:
            return 403, b"<ErrorResponse><Error><Code>MissingAuthenticationToken</Code></Error></ErrorResponse>", XML
        if any(f"Action={what}&" in body.decode("utf-8", "replace") + "&" or (method == what and part in self.where(path))
               for what, part in self.forbidden):
            return (ec2_error("UnauthorizedOperation", "denied by a policy", 403) if service == "ec2" else
                    (403, b"<Error><Code>AccessDenied</Code><Message>denied by a policy</Message></Error>", XML))
        if service == "eks":
            if self.calls % THROTTLE_EVERY == 0:
                return eks_error(429, "TooManyRequestsException", "slow down")
            return self.eks(method, path, body)
        if service == "ec2":
            if self.calls % THROTTLE_EVERY == 0:
                return ec2_error("RequestLimitExceeded", "Request limit exceeded.", 503)
            return self.ec2(method, path, body)
        if service == "sts":
            return self.sts(method, path, body)
        if service == "servicequotas" and json.loads(body).get("QuotaCode") in self.quotas:
            asked = json.loads(body)
            return 200, json.dumps({"Quota": {**asked, "Value": float(self.quotas[asked["QuotaCode"]])}}).encode(), JSON
        if service == "iam" and b"Action=SimulatePrincipalPolicy" in body:
            return self.simulate(dict(urllib.parse.parse_qsl(body.decode())))
        return self.forward(method, path, self.headers, body)

    def where(self, path):
        return self.headers.get("Host", "") + path.split("?")[0]

    def simulate(self, form):
        now = time.monotonic()
        if now >= self.simulated[0]:
            self.simulated = (now + 1, {})
        self.simulation.denied = self.organization
        result = self.simulation.answer(form, self.simulated[1]) if self.simulates else ""
        if not result:
            code, status = ("AccessDenied", 403) if result == "" else ("NoSuchEntity", 404)
            return status, f"<ErrorResponse><Error><Code>{code}</Code><Message>{code}</Message></Error></ErrorResponse>".encode(), XML
        return 200, (f"<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>{result}</SimulatePrincipalPolicyResult>"
                     "</SimulatePrincipalPolicyResponse>").encode(), XML

    def ask(self, service_body, service="ec2"):
        """A form of our own to moto."""
        headers = {"Content-Type": "application/x-www-form-urlencoded",
                   "Authorization": f"AWS4-HMAC-SHA256 Credential=A/20261123/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"}
        status, data, _ = self.forward("POST", "/", headers, urllib.parse.urlencode(service_body).encode())
        return status, ET.fromstring(data)

    def items(self, action, item_set, **form):
        _, root = self.ask({"Action": action, "Version": "2016-11-15", **form})
        return [i for s in root.iter() if local(s.tag) == item_set for i in s]

    # --- STS: no role without the external id that its trust asks for ---

    def sts(self, method, path, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form.get("Action") == "AssumeRole":
            name = form["RoleArn"].rsplit("/", 1)[-1]
            status, root = self.ask({"Action": "GetRole", "Version": "2010-05-08", "RoleName": name}, "iam")
            trust = next((e.text for e in root.iter() if local(e.tag) == "AssumeRolePolicyDocument"), None)
            wanted = []
            if status == 200 and trust:
                statements = json.loads(urllib.parse.unquote(trust))["Statement"]
                wanted = [s.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId") for s in statements]
            if not wanted or any(w is not None and w != form.get("ExternalId") for w in wanted):
                return 403, ("<ErrorResponse><Error><Code>AccessDenied</Code><Message>is not authorized to perform: "
                             "sts:AssumeRole</Message></Error></ErrorResponse>").encode(), XML
        return self.forward(method, path, self.headers, body)

    # --- EC2 ---

    def ec2(self, method, path, body):
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action, now = form.get("Action", ""), time.monotonic()
        token = form.get("ClientToken")
        if token and (action, token) in self.tokens:
            before, answer = self.tokens[(action, token)]
            return answer if before == body else ec2_error("IdempotentParameterMismatch")
        refused = self.refuse(action, form)
        if refused:
            return refused
        if action == "DeleteNatGateway":
            if form["NatGatewayId"] not in self.nats:
                return ec2_error("NatGatewayNotFound")
            self.nats[form["NatGatewayId"]] = ("deleting", now + self.wait("nat-delete"))
            return 200, b"<DeleteNatGatewayResponse/>", XML
        if action == "RunInstances":
            return self.run_instance(form, token, body)
        if action == "DescribeInstances":
            self.age_instances(now)
        if action in ("DescribeVpcEndpointConnections", "RejectVpcEndpointConnections"):
            return self.connections(action, form)
        if action == "CreateFlowLogs" and now - self.keys.setdefault(form["DeliverLogsPermissionArn"], now) < self.settle:
            return 200, ("<CreateFlowLogsResponse><flowLogIdSet/><unsuccessful><item><error><code>400</code><message>Unable to "
                         "assume given IAM role</message></error></item></unsuccessful></CreateFlowLogsResponse>").encode(), XML
        self.age_nats(now)
        if token and action == "CreateNatGateway":  # moto stumbles over a token, AWS does not
            body = urllib.parse.urlencode([(k, v) for k, v in urllib.parse.parse_qsl(body.decode()) if k != "ClientToken"]).encode()
        answer = self.forward(method, path, self.headers, body)
        if answer[0] == 200 and action in MADE:
            made = re.search(rb"<%s>([^<]+)<" % MADE[action].encode(), answer[1])
            self.hidden[made[1].decode()] = now + self.settle
            self.begin(action, made[1].decode(), answer[1], now)
        if answer[0] == 200 and token:
            self.tokens[(action, token)] = (urllib.parse.urlencode(sorted(form.items())).encode() and self.original(form), answer)
        if answer[0] == 200 and action == "AcceptVpcPeeringConnection":
            self.peerings[form["VpcPeeringConnectionId"]] = [("provisioning", 0), ("active", now + self.state)]
        if answer[0] == 200 and action == "DeleteVpcPeeringConnection":
            self.peerings.pop(form["VpcPeeringConnectionId"], None)
        if answer[0] == 200 and action in SEEN:
            return self.seen(action, form, answer, now)
        return answer

    def there(self, name):
        """What moto does not have of a cluster."""
        boots = sum(f"oh-{dict(i['tags']).get('ownhouse:infrastructure', '')[:8]}" == name for i in self.instances.values())
        return {"Clusters": int(name in self.clusters), "InCluster": sum(k[0] == name for k in self.groups),
                "SecondBootstraps": max(0, boots - 1)}

    def wait(self, what):
        return self.waits.get(what, self.state)

    def begin(self, action, ident, answer, now):
        """States that come after the answer."""
        if action == "CreateNatGateway":
            self.nats[ident] = ("pending", now + self.wait("nat"))
        if action == "CreateVpcEndpointServiceConfiguration":
            self.services[ident] = ["vpce-0123456789abcdef0", "available", now + self.state]
        if action == "CreateVpcPeeringConnection":
            ranges = [ipaddress.ip_network(c, False) for c in re.findall(r"<cidrBlock>([0-9./]+)<", answer.decode())]
            apart = len(ranges) < 2 or not ranges[0].overlaps(ranges[1])
            self.peerings[ident] = [("initiating-request", 0),
                                    ("pending-acceptance" if apart else "failed", now + self.state / 2)]

    def peering(self, ident, now):
        states = self.peerings.get(ident, [])
        return next((s for s, since in reversed(states) if now >= since), "")

    def connections(self, action, form):
        """An endpoint of somebody else hangs on each service."""
        ident = form.get("ServiceId") or form.get("Filter.1.Value.1")
        one = self.services.get(ident)
        if action == "RejectVpcEndpointConnections":
            one[1] = "rejected"
            return 200, b"<RejectVpcEndpointConnectionsResponse><unsuccessful/></RejectVpcEndpointConnectionsResponse>", XML
        item = (f"<item><serviceId>{ident}</serviceId><vpcEndpointId>{one[0]}</vpcEndpointId><vpcEndpointState>{one[1]}"
                "</vpcEndpointState></item>") if one else ""
        return 200, (f"<DescribeVpcEndpointConnectionsResponse><vpcEndpointConnectionSet>{item}</vpcEndpointConnectionSet>"
                     "</DescribeVpcEndpointConnectionsResponse>").encode(), XML

    def original(self, form):
        return urllib.parse.urlencode(list(form.items())).encode()

    def age_nats(self, now):
        for ident, (state, until) in list(self.nats.items()):
            if until and now >= until:
                if state == "deleting":
                    self.ask({"Action": "DeleteNatGateway", "Version": "2016-11-15", "NatGatewayId": ident})
                    del self.nats[ident]
                else:
                    self.nats[ident] = ("available", 0)

    def seen(self, action, form, answer, now):
        """What was just made is not seen yet; gateways are in the state that we say."""
        item_set, field = SEEN[action]
        root = ET.fromstring(answer[1])
        for s in [e for e in root.iter() if local(e.tag) == item_set]:
            for item in list(s):
                ident = next((c.text for c in item if local(c.tag) == field), "")
                if self.hidden.get(ident, 0) > now:
                    if any(v == ident for v in form.values()):
                        return ec2_error("Invalid" + field[0].upper() + field[1:] + ".NotFound", f"{ident} does not exist")
                    s.remove(item)
                for c in item:
                    if local(c.tag) == "state" and ident in self.nats:
                        c.text = self.nats[ident][0]
                    if local(c.tag) == "serviceState" and ident in self.services:
                        c.text = "Pending" if now < self.services[ident][2] else "Available"
                    if local(c.tag) == "status" and ident in self.peerings:
                        next(e for e in c if local(e.tag) == "code").text = self.peering(ident, now)
        return answer[0], ET.tostring(root), answer[2]

    def uses(self, action, item_set, field, value):
        return [i for i in self.items(action, item_set) if any(e.text == value for e in i.iter() if local(e.tag) == field)]

    def refuse(self, action, form):
        """Dependencies that moto does not know."""
        if action == "DeleteSubnet":
            subnet = form["SubnetId"]
            if self.uses("DescribeNatGateways", "natGatewaySet", "subnetId", subnet) and self.nat_in(subnet):
                return ec2_error("DependencyViolation", f"{subnet} has dependencies (a NAT gateway)")
            if [i for i in self.uses("DescribeNetworkInterfaces", "networkInterfaceSet", "subnetId", subnet)
                    if any(e.text == "leaked" for e in i.iter())]:
                return ec2_error("DependencyViolation", f"{subnet} has dependencies (an interface)")
        if action == "ReleaseAddress":
            self.age_nats(time.monotonic())
            if [n for n in self.uses("DescribeNatGateways", "natGatewaySet", "allocationId", form["AllocationId"])
                    if next((e.text for e in n if local(e.tag) == "natGatewayId"), "") in self.nats]:
                return ec2_error("InvalidIPAddress.InUse", "in use by a NAT gateway")
        if action == "DeleteInternetGateway":
            gateway = self.uses("DescribeInternetGateways", "internetGatewaySet", "internetGatewayId", form["InternetGatewayId"])
            if any(local(e.tag) == "vpcId" for g in gateway for e in g.iter()):
                return ec2_error("DependencyViolation", "attached")
        if action == "DetachInternetGateway" and self.nats:
            self.age_nats(time.monotonic())
            if self.nats:
                return ec2_error("DependencyViolation", "has mapped public addresses")
        now = time.monotonic()
        if action == "AcceptVpcPeeringConnection" and self.peering(form["VpcPeeringConnectionId"], now) != "pending-acceptance":
            return ec2_error("InvalidStateTransition", "not pending acceptance")
        if action == "ModifyVpcPeeringConnectionOptions" and self.peering(form["VpcPeeringConnectionId"], now) != "active":
            return ec2_error("OperationNotPermitted", "the peering is not active")
        if action == "DeleteVpcEndpointServiceConfigurations":
            if self.services.get(form["ServiceId.1"], ["", "rejected"])[1] != "rejected":
                return 200, ("<DeleteVpcEndpointServiceConfigurationsResponse><unsuccessful><item><error><code>"
                             "ExistingVpcEndpointConnections</code><message>has connections</message></error></item>"
                             "</unsuccessful></DeleteVpcEndpointServiceConfigurationsResponse>").encode(), XML
            self.services.pop(form["ServiceId.1"], None)
        if action == "DeleteVpc":
            vpc = form["VpcId"]
            if [e for e in self.uses("DescribeVpcEndpoints", "vpcEndpointSet", "vpcId", vpc)
                    if not any((c.text or "").lower() == "deleted" for c in e)]:
                return ec2_error("DependencyViolation", f"{vpc} has endpoints")
        return None

    def nat_in(self, subnet):
        return any(n for n in self.uses("DescribeNatGateways", "natGatewaySet", "subnetId", subnet)
                   if next((e.text for e in n if local(e.tag) == "natGatewayId"), "") in self.nats)

    def run_instance(self, form, token, body):
        tags = {k: v for k, v in form.items() if k.startswith("TagSpecification")}
        ident = f"i-{uuid.uuid4().hex[:17]}"
        pairs = [(form[f"TagSpecification.1.Tag.{i}.Key"], form[f"TagSpecification.1.Tag.{i}.Value"])
                 for i in range(1, 20) if f"TagSpecification.1.Tag.{i}.Key" in tags]
        self.instances[ident] = {"since": time.monotonic(), "tags": pairs, "subnet": form["SubnetId"], "state": "pending"}
        answer = 200, self.instance_xml("RunInstancesResponse", [ident]), XML
        if token:
            self.tokens[("RunInstances", token)] = (body, answer)
        return answer

    def instance_xml(self, root, idents):
        def one(ident):
            i = self.instances[ident]
            tags = "".join(f"<item><key>{k}</key><value>{v}</value></item>" for k, v in i["tags"])
            return (f"<item><instanceId>{ident}</instanceId><instanceState><name>{i['state']}</name></instanceState>"
                    f"<subnetId>{i['subnet']}</subnetId><tagSet>{tags}</tagSet></item>")
        return f"<{root}><instancesSet>{''.join(map(one, idents))}</instancesSet></{root}>".encode()

    def age_instances(self, now):
        """The bootstrap does its work and shuts itself down."""
        for i in self.instances.values():
            i["state"] = "running" if now - i["since"] < self.wait("bootstrap") else "terminated"

    # --- EKS, all of it ---

    def eks(self, method, path, body):
        split = urllib.parse.urlsplit(path)
        parts = [urllib.parse.unquote(p) for p in split.path.strip("/").split("/")]
        query = dict(urllib.parse.parse_qsl(split.query))
        data = json.loads(body) if body else {}
        now = time.monotonic()
        self.age(now)
        if parts[0] == "tags":
            return self.eks_tags(method, parts, split, data)
        token = data.get("clientRequestToken")
        if not token:
            return self.eks_call(method, parts, data, query, now)
        # A token is remembered longer than what was made with it: the same request has the same answer and does nothing.
        if (split.path, token) in self.tokens:
            before, answer = self.tokens[(split.path, token)]
            return answer if before == data else eks_error(
                400, "InvalidParameterException", "the client token was used with other parameters")
        answer = self.eks_call(method, parts, data, query, now)
        if answer[0] == 200:
            self.tokens[(split.path, token)] = (data, answer)
        return answer

    def eks_call(self, method, parts, data, query, now):
        if parts == ["clusters"]:
            if method == "GET":
                return 200, json.dumps({"clusters": sorted(self.clusters)}).encode(), JSON
            return self.create_cluster(data, now)
        name = parts[1]
        cluster = self.clusters.get(name)
        if cluster is None:
            return eks_error(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
        if len(parts) == 2:
            if method == "DELETE":
                if any(k[0] == name and k[1] == "node-groups" for k in self.groups):
                    return eks_error(409, "ResourceInUseException", "Cluster has nodegroups attached")
                cluster.update(status="DELETING", until=now + self.wait("cluster-delete"))
            return self.shown("cluster", cluster)
        if parts[2] in ("updates", "update-config"):
            return self.update_cluster(cluster, parts[2], data, now)
        return self.inside(method, name, cluster, parts[2:], data, query, now)

    def age(self, now):
        for name, c in list(self.clusters.items()):
            if c["until"] and now >= c["until"]:
                c["until"] = 0
                if c["status"] == "DELETING":
                    del self.clusters[name]
                    self.groups = {k: v for k, v in self.groups.items() if k[0] != name}
                else:
                    c["status"] = "ACTIVE"
        for key, g in list(self.groups.items()):
            if g.get("until") and now >= g["until"]:
                g["until"] = 0
                if g["status"] == "DELETING":
                    del self.groups[key]
                    if key[1] == "node-groups":
                        self.leak(key[0], g)
                else:
                    g["status"] = "ACTIVE"

    def leak(self, cluster, group):
        """The network plugin leaves an interface behind."""
        self.ask({"Action": "CreateNetworkInterface", "Version": "2016-11-15", "SubnetId": group["subnets"][0],
                  "Description": "leaked", "TagSpecification.1.ResourceType": "network-interface",
                  "TagSpecification.1.Tag.1.Key": "cluster.k8s.amazonaws.com/name", "TagSpecification.1.Tag.1.Value": cluster})

    def shown(self, name, thing):
        return 200, json.dumps({name: {k: v for k, v in thing.items() if k not in ("until", "clientRequestToken")}}).encode(), JSON

    def create_cluster(self, data, now):
        name = data["name"]
        if name in self.clusters:
            return eks_error(409, "ResourceInUseException", "already exists")
        role = data["roleArn"].rsplit("/", 1)[-1]
        since = self.keys.setdefault(role, now)
        if now - since < self.settle:
            return eks_error(400, "InvalidParameterException", f"The role {role} cannot be assumed by EKS")
        if data["accessConfig"]["bootstrapClusterCreatorAdminPermissions"] is not False:
            return eks_error(403, "AccessDeniedException", "creator admin")
        ident = uuid.uuid4().hex[:32].upper()
        net = dict(data["resourcesVpcConfig"], clusterSecurityGroupId="sg-" + ident[:17].lower())
        self.clusters[name] = dict(
            data, arn=f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}", status="CREATING", until=now + self.wait("cluster"),
            resourcesVpcConfig=net,
            identity={"oidc": {"issuer": f"https://oidc.eks.{REGION}.amazonaws.com/id/{ident}"}})
        return self.shown("cluster", self.clusters[name])

    def update_cluster(self, cluster, what, data, now):
        if cluster["status"] != "ACTIVE":
            return eks_error(409, "ResourceInUseException", "an update is under way")
        if what == "updates":
            if minor(data["version"]) - minor(cluster["version"]) != 1:
                return eks_error(400, "InvalidParameterException", "one minor version at a time")
            cluster["version"] = data["version"]
        for key in ("logging", "resourcesVpcConfig"):
            if key in data:
                cluster[key] = {**(cluster[key] if key != "logging" else {}), **data[key]}
        cluster.update(status="UPDATING", until=now + self.wait("update"))
        return 200, json.dumps({"update": {"id": str(uuid.uuid4()), "status": "InProgress"}}).encode(), JSON

    KINDS = {"node-groups": ("nodegroup", "nodegroupName"), "addons": ("addon", "addonName"),
             "pod-identity-associations": ("association", "associationId"), "access-entries": ("accessEntry", "principalArn")}

    def inside(self, method, cluster_name, cluster, parts, data, query, now):
        kind = parts[0]
        shape, id_field = self.KINDS[kind]
        mine = {k: v for k, v in self.groups.items() if k[0] == cluster_name and k[1] == kind}
        if len(parts) == 1 and method == "GET":
            wanted = {k: v for k, v in query.items() if k in ("namespace", "serviceAccount")}
            return self.listed(kind, {k: v for k, v in mine.items() if wanted.items() <= v.items()}, query)
        if len(parts) == 1:
            return self.create_inside(cluster_name, cluster, kind, data, mine, now)
        thing = mine.get((cluster_name, kind, parts[1]))
        if thing is None:
            return eks_error(404, "ResourceNotFoundException", f"No {shape} found for name: {parts[1]}")
        if len(parts) > 2 and parts[2] == "access-policies":
            if method == "POST":
                thing["policies"] = [data]
            return 200, json.dumps({"associatedAccessPolicies": thing.get("policies", [])}).encode(), JSON
        if len(parts) > 2:
            return self.update_inside(thing, parts[2], data, now)
        if method == "DELETE":
            if kind in ("node-groups", "addons"):
                thing.update(status="DELETING", until=now + self.wait(kind + "-delete"))
            else:
                del self.groups[(cluster_name, kind, parts[1])]
        return self.shown(shape, thing)

    def listed(self, kind, mine, query):
        """One a page, so that whoever lists must turn pages."""
        names = sorted(k[2] for k in mine)
        at = int(query.get("nextToken", "0"))
        page = names[at:at + 1]
        out = {"nextToken": str(at + 1)} if at + 1 < len(names) else {}
        if kind == "pod-identity-associations":
            out["associations"] = [{"associationId": n} for n in page]
        else:
            out[{"access-entries": "accessEntries", "node-groups": "nodegroups", "addons": "addons"}[kind]] = page
        return 200, json.dumps(out).encode(), JSON

    def create_inside(self, cluster_name, cluster, kind, data, mine, now):
        shape, id_field = self.KINDS[kind]
        if cluster["status"] != "ACTIVE":
            return eks_error(400, "InvalidRequestException", f"Cluster is {cluster['status']}")
        for thing in mine.values():
            same_pod = kind == "pod-identity-associations" and all(
                thing[k] == data[k] for k in ("namespace", "serviceAccount"))
            if same_pod or (id_field in data and thing.get(id_field) == data[id_field]):
                return eks_error(409, "ResourceInUseException", "already exists")
        ident = data.get(id_field) or f"a-{uuid.uuid4().hex[:16]}"
        busy = kind in ("node-groups", "addons")
        arn = {"node-groups": "nodegroupArn", "addons": "addonArn"}.get(kind, "associationArn")
        extra = {arn: f"arn:aws:eks:{REGION}:{ACCOUNT}:{shape}/{cluster_name}/{ident}/{uuid.uuid4()}"}
        if kind == "node-groups":
            extra["version"] = data.get("version", cluster["version"])
        if kind == "addons":
            extra["addonVersion"] = data.get("addonVersion", "v1.0.0-eksbuild.1")
        thing = dict(data, **extra, clusterName=cluster_name, status="CREATING" if busy else "ACTIVE",
                     until=now + self.wait(kind) if busy else 0)
        thing[id_field] = ident
        self.groups[(cluster_name, kind, ident)] = thing
        return self.shown(shape, thing)

    def update_inside(self, thing, what, data, now):
        if thing["status"] != "ACTIVE":
            return eks_error(409, "ResourceInUseException", "an update is under way")
        cluster = self.clusters[thing["clusterName"]]
        if what == "update-version" and minor(data["version"]) > minor(cluster["version"]):
            return eks_error(400, "InvalidParameterException", "nodes cannot be newer than their cluster")
        for key in ("version", "addonVersion", "configurationValues", "scalingConfig"):
            if key in data:
                thing[key] = {**thing[key], **data[key]} if isinstance(data[key], dict) else data[key]
        if "labels" in data:
            thing["labels"] = {**thing.get("labels", {}), **data["labels"].get("addOrUpdateLabels", {})}
        thing.update(status="UPDATING", until=now + self.wait("update"))
        return 200, json.dumps({"update": {"id": str(uuid.uuid4())}}).encode(), JSON

    def eks_tags(self, method, parts, split, data):
        name = parts[1].rsplit("/", 1)[-1]
        thing = self.clusters.get(name)
        if thing is None:
            return eks_error(404, "NotFoundException", "no such resource")
        if method == "POST":
            thing.setdefault("tags", {}).update(data["tags"])
        else:
            for _, key in urllib.parse.parse_qsl(split.query):
                thing.get("tags", {}).pop(key, None)
        return 200, b"{}", JSON
