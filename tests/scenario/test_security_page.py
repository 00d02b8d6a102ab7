"""docs/security.md names a test for each property: each must be there, and nothing may turn off what it promises."""
import pathlib
import re

from full_system import TOP

PAGE = (TOP / "docs/security.md").read_text()
LESSONS = (TOP / "docs/security-lessons.md").read_text()


def named(text=PAGE + LESSONS):
    return sorted(set(re.findall(r"`(tests/[a-z_/]+\.(?:py|c))(?:::([a-z_0-9]+))?`", text)))


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


# What can be made here in no place, and why, is said on the page itself.
NOT_HERE = {"CVE-2022-36633", "CVE-2022-41925"}


def test_each_lesson_has_its_test():
    rows = [row.split(" | ") for row in LESSONS.splitlines() if re.match(r"\| (CVE|TS|Teleport)", row)]
    assert len(rows) >= 32
    assert len({row[0] for row in rows}) == len(rows)
    assert {row[0].strip("| ") for row in rows if not any(function for _, function in named(row[3]))} == NOT_HERE


def test_nothing_turns_verification_off():
    """No program has a switch for it, and no file sets a library's."""
    found = []
    for path in [*(TOP / "src").rglob("*.c"), *(TOP / "src").rglob("*.h")]:
        text = path.read_text()
        for bad in (r"CURLOPT_SSL_VERIFY(PEER|HOST),\s*0", r"--insecure", r'"insecure"', r"no-verify"):
            if re.search(bad, text, re.I):
                found.append(f"{pathlib.Path(path).relative_to(TOP)}: {bad}")
    assert found == []
