"""One botocore for many calls, since each start of the aws command line takes a second: reads lines {"service", "operation",
"arguments"} from standard input and answers each with a line of JSON, {"answer"} or {"error"}.

usage: calls.py URL"""
import json
import sys

import botocore.session

session, clients = botocore.session.get_session(), {}
for line in sys.stdin:
    asked = json.loads(line)
    service = asked["service"]
    if service not in clients:
        clients[service] = session.create_client(service, endpoint_url=sys.argv[1], region_name="us-east-1")
    try:
        answer = getattr(clients[service], asked["operation"])(**asked["arguments"])
        answer.pop("ResponseMetadata", None)
        said = {"answer": answer}
    except Exception as e:  # noqa: BLE001 - the test that asked decides what it means
        said = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(said, default=str), flush=True)
