"""deploy/images/build: the same packages and programs give the same image, byte for byte, and its programs start. Needs no cluster."""
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from cluster import BUILD, TOP

pytestmark = pytest.mark.skipif(not os.environ.get("OWNHOUSE_TEST_LONG"), reason="skipped: minutes; with --long")


def build(name, out):
    if not shutil.which("mmdebstrap"):
        pytest.skip("skipped: mmdebstrap not available")
    r = subprocess.run([TOP / "deploy/images/build", name, out], capture_output=True, text=True, timeout=600,
                       env=dict(os.environ, OWNHOUSE_BUILD=str(BUILD), SOURCE_DATE_EPOCH="1790000000"))
    assert r.returncode == 0, r.stderr
    return r.stdout.strip()


@pytest.mark.parametrize("name, program, says", [("haproxy", "usr/sbin/haproxy -v", "HAProxy version"),
                                                 ("agent", "usr/bin/ownhouse-agent --version", "ownhouse-agent")])
def test_images_are_the_same_twice_and_run(name, program, says, tmp_path):
    assert build(name, tmp_path / "one.tar") == build(name, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    layout, root = tmp_path / "layout", tmp_path / "root"
    with tarfile.open(tmp_path / "one.tar") as t:
        t.extractall(layout)
    blob = lambda d: layout / "blobs/sha256" / d["digest"].split(":")[1]
    manifest = json.loads(blob(json.loads((layout / "index.json").read_text())["manifests"][0]).read_text())
    assert json.loads(blob(manifest["config"]).read_text())["config"]["User"] == "101:101"
    subprocess.run(["mkdir", root], check=True)
    subprocess.run(["tar", "-C", root, "-xzf", blob(manifest["layers"][0])], check=True)
    if os.geteuid() == 0:
        r = subprocess.run(["chroot", root, *("/" + program).split()], capture_output=True, text=True)
        assert says in r.stdout, r.stderr
