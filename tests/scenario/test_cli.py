"""The ownhouse command without a running system: help, completion, exit codes, JSON, terminals, man pages."""
import json
import os
import pathlib
import pty
import re
import socket
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build"))
OWNHOUSE = BUILD / "src/cli/ownhouse"


def run(*words, home=None, **kwargs):
    env = {k: v for k, v in os.environ.items() if k not in ("XDG_DATA_HOME", "NO_COLOR")}
    env.update(kwargs.pop("env", {}))
    argv = [str(OWNHOUSE), *words] + (["--home", str(home)] if home else [])
    return subprocess.run(argv, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=60, **kwargs)


def tree(path=()):
    """Every command as the program itself lists them: (words, options)."""
    answer = json.loads(run("help", *path, "--json").stdout)
    yield path, answer["options"]
    for name in answer["commands"]:
        yield from tree((*path, name))


COMMANDS = list(tree())


def test_commands_of_the_issue_are_there():
    words = {" ".join(path) for path, _ in COMMANDS}
    for wanted in ("up", "down", "status", "services list", "services create", "services show", "services start",
                   "services stop", "services wake", "services rename", "services password", "services delete", "plan show", "plan apply",
                   "plan destroy", "logs", "bench", "version"):
        assert wanted in words


@pytest.mark.parametrize("path,options", COMMANDS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_help_names_every_option(path, options):
    result = run(*path, "--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for option in [*options, "home", "json", "help"]:
        assert f"--{option}" in result.stdout


@pytest.mark.parametrize("path,options", COMMANDS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_man_page_names_every_option(path, options):
    name = "ownhouse" + (f"-{path[0]}" if path else "")
    text = (TOP / "docs/man" / f"{name}.1.scd").read_text()
    for option in options:
        assert re.search(rf"\*--{option}\*", text), f"{name}(1) does not tell of --{option}"
    for word in path[1:]:
        assert re.search(rf"[ |]?\*?{word}\*?", text), f"{name}(1) does not tell of {word}"


@pytest.mark.parametrize("page,source", [("control.conf.5", "src/control/config.c"),
                                         ("ownhouse-clickhouse.conf.5", "src/clickhouse/config.c"),
                                         ("agent.conf.5", "src/agent/config.c")])
def test_man_page_names_every_setting(page, source):
    code = (TOP / source).read_text()
    keys = set(re.findall(r'\bKEY\((\w+), CONF_', code)) | set(re.findall(r'\{"(\w+)", CONF_', code))
    assert len(keys) > 5
    told = set(re.findall(r"^\*(\w+)\*", (TOP / "docs/man" / f"{page}.scd").read_text(), re.M))
    assert keys == told


def test_completion_is_valid_bash_and_knows_the_commands():
    script = run("completion", "bash").stdout
    ask = script + '\nCOMP_WORDS=(ownhouse services d); COMP_CWORD=2; _ownhouse; echo "${COMPREPLY[@]}"'
    assert subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout.strip() == "delete"
    ask = script + '\nCOMP_WORDS=(ownhouse down --p); COMP_CWORD=2; _ownhouse; echo "${COMPREPLY[@]}"'
    assert subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout.strip() == "--purge"


@pytest.mark.parametrize("words", [["nothing"], [], ["plan"], ["services", "create"], ["up", "--port", "0"],
                                   ["up", "--port", "65536"], ["up", "extra"], ["up", "--service-ports", "9-1"],
                                   ["up", "--service-ports", "8400-8450"], ["up", "--port", "8444"], ["logs"],
                                   ["up", "--service-ports", "x"],
                                   ["down", "--yes"], ["services", "create", "a", "--timeout", "soon"]])
def test_wrong_calls_exit_with_2_and_change_nothing(words, tmp_path):
    result = run(*words, home=tmp_path / "home")
    assert result.returncode == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("ownhouse: ") and lines[1].startswith("try: ownhouse")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["status"], ["services"], ["services", "list"], ["services", "create", "x"], ["plan", "show"],
                                   ["plan", "destroy", "--yes"], ["logs", "demo"]])
def test_without_installation_exit_is_3(words, tmp_path):
    result = run(*words, "--json", home=tmp_path / "home")
    assert result.returncode == 3
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "notFound" and error["exit"] == 3
    assert result.stderr.strip() == "ownhouse: " + error["message"]
    assert not (tmp_path / "home").exists()


def test_down_without_installation_is_fine(tmp_path):
    result = run("down", home=tmp_path / "home")
    assert result.returncode == 0 and "Nothing is installed" in result.stdout
    result = run("down", "--purge", "--yes", "--json", home=tmp_path / "home")
    assert json.loads(result.stdout) == {"stopped": 0, "purged": False}


def test_purge_is_refused_when_nobody_can_be_asked(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    result = run("down", "--purge", home=tmp_path)
    assert result.returncode == 4
    assert "nothing was deleted" in result.stderr
    assert (tmp_path / "settings.json").exists()


def installed(folder, port=1):
    """A home folder as `up` leaves it, with a control plane that does not run."""
    (folder / "settings.json").write_text(json.dumps({"port": port}))
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps({"organizationId": "o", "keyId": "k", "keySecret": "SECRETSECRET"}))
    credentials.chmod(0o600)
    (folder / "control/keys").mkdir(parents=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=test", "-keyout", "/dev/null", "-out", str(folder / "control/keys/edge-ca.pem")],
                   check=True, capture_output=True)
    return credentials


def test_unreachable_control_plane_exits_with_5(tmp_path):
    installed(tmp_path)
    for words in (["services", "list"], ["status"], ["plan", "show"]):
        result = run(*words, "--json", home=tmp_path)
        assert result.returncode == 5, result.stderr
        assert json.loads(result.stdout)["error"]["code"] == "unreachable"
        assert "ownhouse up" in result.stderr


def test_readable_credentials_are_refused(tmp_path):
    installed(tmp_path).chmod(0o644)
    result = run("services", "list", home=tmp_path)
    assert result.returncode == 4
    assert "chmod 600" in result.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keyId": 1}', '{"keyId": "k", "keyId": "k"}',
                                  '{"keyId":"k","keySecret":"SECRETSECRET"}'])
def test_damaged_credentials_are_named_and_never_shown(text, tmp_path):
    installed(tmp_path).write_text(text)
    result = run("services", "list", home=tmp_path)
    assert result.returncode == 1
    assert "credentials.json is damaged" in result.stderr and "SECRETSECRET" not in result.stderr


@pytest.mark.parametrize("text", ["{", '{"port": 0}', '{"port": "8443"}', '{"engineLibrary": 3}'])
def test_damaged_settings_are_named(text, tmp_path):
    (tmp_path / "settings.json").write_text(text)
    result = run("status", home=tmp_path)
    assert result.returncode == 1
    assert f"{tmp_path}/settings.json is damaged" in result.stderr


def test_unreadable_certificate_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        installed(tmp_path, server.getsockname()[1])
        ca = tmp_path / "control/keys/edge-ca.pem"
        ca.write_text("not a certificate")
        result = run("services", "list", home=tmp_path)
    assert result.returncode in (1, 4)
    assert str(ca) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def on_a_terminal(*words, env=None):
    """Runs the command on a pseudo-terminal and returns what it wrote."""
    argv = [str(OWNHOUSE), *words]
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
        os.execv(argv[0], argv)
    out = b""
    while True:
        try:
            chunk = os.read(fd, 4096)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    os.waitpid(pid, 0)
    return out.decode()


def test_no_control_codes_without_a_terminal(tmp_path):
    (tmp_path / "bench").mkdir()
    for words in (["up", "--clickhouse", "/nonexistent"], ["bench"]):
        result = run(*words, home=tmp_path / "home", env={"OWNHOUSE_BENCH": str(tmp_path / "bench")})
        assert "\033" not in result.stdout + result.stderr and "\r" not in result.stdout


def test_no_color_is_honoured(tmp_path):
    installed(tmp_path)
    plain = on_a_terminal("logs", "control", "--home", str(tmp_path), env={"NO_COLOR": "1"})
    assert "\033[3" not in plain


def test_logs_of_control_are_shown_safely(tmp_path):
    installed(tmp_path)
    log = tmp_path / "control/log/control.log"
    log.parent.mkdir()
    log.write_bytes(b"".join(b"line %d \x1b[31m\n" % n for n in range(300)))
    result = run("logs", "control", "-n", "5", home=tmp_path)
    assert result.returncode == 0
    assert result.stdout.splitlines() == [f"line {n} ?[31m" for n in range(295, 300)]
    assert len(run("logs", "control", home=tmp_path).stdout.splitlines()) == 100
    assert json.loads(run("logs", "control", "--json", home=tmp_path).stdout)["files"] == [str(log)]
    result = run("logs", "nothing", home=tmp_path)
    assert result.returncode == 3 and "there is control" in result.stderr


def test_logs_follow_over_a_rotation(tmp_path):
    installed(tmp_path)
    log = tmp_path / "control/log/control.log"
    log.parent.mkdir()
    log.write_text("one\n")
    follower = subprocess.Popen([str(OWNHOUSE), "logs", "control", "-f", "--home", str(tmp_path)], text=True,
                                stdout=subprocess.PIPE)
    try:
        assert follower.stdout.readline() == "one\n"
        with log.open("a") as f:
            f.write("two\n")
        assert follower.stdout.readline() == "two\n"
        log.rename(log.with_suffix(".log.1"))
        log.write_text("three\n")
        assert follower.stdout.readline() == "three\n"
    finally:
        follower.kill()
        follower.wait()


def test_truncated_engine_library_is_named(tmp_path):
    short = tmp_path / "libchdb.so"
    short.write_bytes(b"\x7fELF" + b"\0" * 1000)
    result = run("up", "--engine-library", str(short), home=tmp_path / "home")
    assert result.returncode == 1
    assert "cut short" in result.stderr and "fetch-chdb" in result.stderr
