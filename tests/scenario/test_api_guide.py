"""docs/api.md, pasted: every line of its bash blocks runs, in order, against an api role with a stand-in controller that
proposes, applies and removes as rows say."""
import json
import re
import subprocess
import threading
import time
import uuid

import pytest

from api_role import TOP, ApiRole


class Controller(threading.Thread):
    """Moves rows as the controller does, without a cloud behind it."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.ended = api, threading.Event()

    def run(self):
        while not self.ended.wait(0.05):
            for infra, want, state in self.api.sql("SELECT id, want, state FROM infrastructure"):
                self.look(infra, want, state)

    def look(self, infra, want, state):
        sql = self.api.sql
        last = sql("SELECT id, kind, state FROM plan WHERE infrastructure_id = ? ORDER BY created_at DESC LIMIT 1", infra)
        kind = "apply" if want == "present" else "destroy"
        if last and last[0][2] == "approved":
            sql("UPDATE plan SET state = 'applied' WHERE id = ?", last[0][0])
            if last[0][1] == "apply":
                sql("UPDATE infrastructure SET state = 'infra-ready' WHERE id = ?", infra)
                self.api.enrol_agent(infra)
            else:
                sql("DELETE FROM service WHERE infrastructure_id = ?", infra)
                sql("UPDATE infrastructure SET state = 'infra-terminated' WHERE id = ?", infra)
        elif state != "infra-terminated" and (kind == "destroy" or state == "infra-provisioning") and not (
                last and last[0][1:] == (kind, "proposed")):
            sql("INSERT INTO plan (id, infrastructure_id, kind, state, digest, document, created_at) VALUES "
                "(?, ?, ?, 'proposed', ?, ?, ?)", str(uuid.uuid4()), infra, kind, uuid.uuid4().hex * 2,
                json.dumps({"summary": {}}), int(time.time() * 1000))


@pytest.fixture
def api():
    role = ApiRole()
    controller = Controller(role)
    controller.start()
    yield role
    controller.ended.set()
    controller.join()
    role.close()


def test_every_line_works_when_pasted(api, tmp_path):
    (api.folder / "accounts/laptop/customer").mkdir(parents=True)
    blocks = re.findall(r"^```bash\n(.*?)^```$", (TOP / "docs/api.md").read_text(), re.M | re.S)
    assert len(blocks) > 30
    shim = tmp_path / "bin/curl"
    shim.parent.mkdir()
    shim.write_text(f"#!/bin/bash\nexec /usr/bin/curl --fail-with-body --unix-socket {api.socket} \"${{@/https:/http:}}\"\n")
    shim.chmod(0o755)
    script = tmp_path / "guide.bash"
    script.write_text("set -euo pipefail\n" + "\n".join(blocks))
    done = subprocess.run(["timeout", "300", "bash", script], capture_output=True, text=True, env={
        "PATH": f"{shim.parent}:/usr/bin:/bin", "OWNHOUSE_HOME": str(api.folder), "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    routes = {json.loads(line).get("route") for line in api.log.read_text().splitlines()}
    for path in json.loads((TOP / "api/openapi.json").read_text())["paths"]:
        assert path in routes, f"{path} was not called"
