"""docs/security.md names a test for each property: each must be there, and nothing may turn off what it promises."""
import pathlib
import re

from full_system import TOP

PAGE = (TOP / "docs/security.md").read_text()


def named():
    return sorted(set(re.findall(r"`(tests/[a-z_/]+\.(?:py|c))(?:::([a-z_0-9]+))?`", PAGE)))


def test_each_test_that_the_page_names_is_there():
    assert len(named()) > 50
    missing = []
    for path, function in named():
        file = TOP / path
        text = file.read_text() if file.is_file() else ""
        pattern = rf"^def {function}\(" if path.endswith(".py") else rf"^static void {function}\("
        if not text or (function and not re.search(pattern, text, re.M)):
            missing.append(f"{path}::{function}")
    assert missing == []


def test_each_test_of_the_lessons_is_there():
    lessons = PAGE[PAGE.index("| lesson | test |"):PAGE.index("## Each property")]
    sources = "".join(path.read_text() for path in (TOP / "tests").rglob("*.py"))
    names = re.findall(r"`(test_[a-z_0-9…]+)`", lessons)
    assert len(names) > 15
    assert [name for name in names if f"def {name.split('…')[0]}" not in sources] == []


def test_nothing_turns_verification_off():
    """No program has a switch for it, and no file sets a library's."""
    found = []
    for path in [*(TOP / "src").rglob("*.c"), *(TOP / "src").rglob("*.h")]:
        text = path.read_text()
        for bad in (r"CURLOPT_SSL_VERIFY(PEER|HOST),\s*0", r"--insecure", r'"insecure"', r"no-verify"):
            if re.search(bad, text, re.I):
                found.append(f"{pathlib.Path(path).relative_to(TOP)}: {bad}")
    assert found == []
