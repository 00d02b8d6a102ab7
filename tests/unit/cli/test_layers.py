#!/usr/bin/python3
"""tools/check-layers: passes the tree as it is, fails on each kind of planted violation."""
import pathlib
import subprocess
import sys
import tempfile

CASES = [
    ("base/a.c", '#include "net/b.h"\n', "base may not include"),
    ("net/a.c", '#include "control/b.h"\n', "net may not include"),
    ("store/a.c", '#include "plan/b.h"\n', "store may not include"),
    ("control/api/a.c", '#include "agent/b.h"\n', "control may not include"),
    ("agent/a.h", '  #  include "control/b.h"\n', "agent may not include"),
    ("cli/a.c", '#include "control/config.h"\n', "cli may not include"),
    ("clickhouse/a.c", '#include "net/b.h"\n', "clickhouse may not include"),
    ("plan/a.c", '#include "../control/b.h"\n', "layer/module.h"),
    ("elsewhere/a.c", "", "is not a layer"),
]


def run(tool, folder):
    return subprocess.run([sys.executable, tool, folder], capture_output=True, text=True)


def main():
    tool = sys.argv[1]
    for name, text, complaint in CASES:
        with tempfile.TemporaryDirectory() as folder:
            good = pathlib.Path(folder, "control/api/good.c")
            good.parent.mkdir(parents=True)
            good.write_text('#include "base/err.h"\n#include "plan/plan.h"\n#include "control/config.h"\n')
            assert run(tool, folder).returncode == 0, "a tree without violations must pass"
            planted = pathlib.Path(folder, name)
            planted.parent.mkdir(parents=True, exist_ok=True)
            planted.write_text("/* x */\n" + text)
            result = run(tool, folder)
            assert result.returncode == 1, f"{name}: {text!r} was not noticed"
            assert complaint in result.stdout, result.stdout
            assert name in result.stdout, result.stdout


if __name__ == "__main__":
    main()
