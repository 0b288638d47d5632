# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each proposed change is made, and the stack is checked again: it neither locks out nor opens."""

from __future__ import annotations

import pytest

from tests.pamcheck.hosts import Host, Judge, letters
from tests.pamcheck.test_mistakes import MISTAKES
from tools.pamcheck.check import Checked
from tools.pamcheck.finding import Finding, Severity
from tools.pamcheck.table import Who

pytestmark = pytest.mark.slow

FAILLOCK = (
    "auth required pam_faillock.so preauth\n"
    "auth sufficient pam_unix.so\n"
    "auth [default=die] pam_faillock.so authfail\n"
    "auth required pam_ukey.so\n"
)
RED_HAT = (
    "auth required pam_env.so\n"
    "auth [success=ok default=die] pam_unix.so\n"
    "auth sufficient pam_sss.so forward_pass\n"
    "auth required pam_ukey.so\n"
)
RED_HATS_OWN = (
    "auth required pam_env.so\n"
    "auth required pam_faillock.so preauth silent\n"
    "auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n"
    "auth [default=1 ignore=ignore success=ok] pam_localuser.so\n"
    "auth sufficient pam_unix.so nullok\n"
    "auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n"
    "auth sufficient pam_sss.so forward_pass\n"
    "auth required pam_faillock.so authfail\n"
    "auth required pam_ukey.so\n"
    "auth required pam_deny.so\n"
)
JUMPED_OVER = (
    "auth [success=2 default=ignore] pam_unix.so\n"
    "auth requisite pam_deny.so\n"
    "auth sufficient pam_permit.so\n"
    "auth [success=ok default=die] pam_ukey.so\n"
)
DIRECTORY_FIRST = (
    "auth sufficient pam_sss.so\nauth requisite pam_unix.so\nauth required pam_ukey.so\n"
)
STACKS = {
    **{mistake.name: (mistake.service, mistake.text) for mistake in MISTAKES},
    "faillock": ("login", FAILLOCK),
    "red-hat": ("sshd", RED_HAT),
    "red-hats-own": ("sshd", RED_HATS_OWN),
    "jumped-over": ("login", JUMPED_OVER),
    "directory-first": ("login", DIRECTORY_FIRST),
    "suffix-forgotten-first": ("login", "auth sufficient pam_unix\nauth required pam_ukey.so\n"),
    "nologin": (
        "login",
        "auth sufficient pam_nologin.so successok\nauth required pam_unix.so\n"
        "auth required pam_ukey.so\n",
    ),
}


def of_kind(place: Host, text: str, kind: str, service: str = "login") -> Finding:
    return next(each for each in place.check(service, text).findings if each.kind == kind)


def written(text: str, place: Host, finding: Finding, service: str) -> str | None:
    """The stack with what a finding proposes; None where that is no line of this file."""
    file, _colon, number = finding.place.rpartition(":")
    lines = text.splitlines()
    if file != str(place.pam_d / service) or finding.severity is Severity.NOTE:
        return None
    if finding.remedy == "write:":
        lines[int(number) - 1] = finding.line
    elif finding.remedy == "take the line out":
        del lines[int(number) - 1]
    elif "jumps over it" in finding.remedy:
        jumping = finding.remedy.split(f"{file}:")[1].split(",")[0]
        lines[int(jumping) - 1] = finding.line
        del lines[int(number) - 1]
    else:
        return None
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("name", STACKS)
def test_what_is_proposed_neither_locks_out_nor_opens(judge: Judge, name: str) -> None:
    service, text = STACKS[name]
    before = judge(service, text)
    tried: dict[str, Checked] = {}  # several findings may propose the same
    for finding in before.checked.findings:
        made = written(text, before.host, finding, service)
        if made is None or before.checked.table is None:
            continue
        if made not in tried:
            tried[made] = before.host.check(service, made)
        after = tried[made]
        assert after.table is not None
        old, new = before.letters, letters(after.table)
        if old[0] == "i":
            assert new[0] == "i", (finding, made)
        # No cell is further open than it was.
        order = "-?i"
        worse = [
            (was, now)
            for was, now in zip(old[1:], new[1:], strict=True)
            if was != " " and order.index(now) > order.index(was)
        ]
        assert not worse, (finding, made)
        same = [
            each
            for each in after.findings
            if (each.kind, each.text) == (finding.kind, finding.text)
        ]
        assert not same, (finding, made)


def test_a_count_of_failures_is_jumped_over(place: Host) -> None:
    """Strict, the password's line would run on to a line that nobody passes."""
    found = of_kind(place, FAILLOCK, "password-alone")
    assert found.line == "auth [success=1 default=ignore] pam_unix.so"
    assert place.letters("login", FAILLOCK.replace("auth sufficient pam_unix.so", found.line)) == (
        "i---- -----"
    )
    never = of_kind(place, FAILLOCK, "never-runs")
    assert "take the other out" not in never.remedy


def test_nothing_that_keeps_ordinary_people_out_is_proposed(place: Host) -> None:
    found = place.check("sshd", RED_HAT)
    assert all("pam_sss.so" not in each.line for each in found.findings)
    # And if somebody writes it, the report says that they are out.
    strict = RED_HAT.replace("sufficient pam_sss", "[success=ok default=die] pam_sss")
    kinds = {each.kind: each.severity for each in place.check("sshd", strict).findings}
    assert Severity.SHUT in (kinds.get("both-refused"), kinds.get("nobody"))


def test_only_a_directorys_users_get_in(place: Host) -> None:
    text = (
        "auth [success=1 default=ignore] pam_localuser.so\n"
        "auth [success=1 default=die] pam_sss.so\n"
        "auth [success=die default=die] pam_unix.so\n"
        "auth required pam_ukey.so\n"
    )
    assert place.letters("login", text) == "?---- -----"
    assert of_kind(place, text, "both-refused").severity is Severity.SHUT
    # If no line asks for a password of this host, it is meant so.
    text = "auth [success=ok default=die] pam_ldap.so\nauth required pam_ukey.so\n"
    assert "both-refused" not in place.kinds("login", text)
    # It is not wrong either to ask for something that nobody here knows.
    text = "auth [success=1 default=ignore] pam_oath.so\nauth requisite pam_deny.so\n"
    text += "auth required pam_unix.so\nauth required pam_ukey.so\n"
    assert place.letters("login", text) == "?---- -----"
    assert "both-refused" not in place.kinds("login", text)


@pytest.mark.parametrize("password", ["pam_unix", "pam_unix.so\r"])
def test_a_name_that_no_module_can_have_is_mended(place: Host, password: str) -> None:
    """Without the line, the ukey alone would be enough."""
    text = f"auth required {password}\nauth required pam_ukey.so\n"
    for finding in place.check("login", text).findings:
        assert "take the line out" not in finding.remedy
    found = of_kind(place, text, "module-missing")
    if "\r" in password:
        assert found.line == f"sed -i 's/\\r$//' {place.pam_d}/login"
    else:
        assert (found.remedy, found.line) == ("write:", "auth required pam_unix.so")


def test_a_line_is_taken_out_with_the_jump_over_it(place: Host) -> None:
    """Otherwise the jump would go over one line more: the ukey's."""
    text = (
        "auth [success=3 default=ignore] pam_unix.so\n"
        "auth sufficient pam_permit.so\n"
        "auth optional pam_warn.so\n"
        "auth requisite pam_deny.so\n"
        "auth [success=ok default=die] pam_ukey.so\n"
    )
    found = of_kind(place, text, "anybody")
    assert found.place.endswith("login:2")
    assert found.line == "auth [success=2 default=ignore] pam_unix.so"
    assert f"{place.pam_d}/login:1, which jumps over it" in found.remedy


def test_a_decoy_that_is_passed_over_is_named(place: Host) -> None:
    text = (
        "auth [success=ok default=die] pam_unix.so\n"
        "auth [default=ignore] pam_ukey.so decoy uniform\n"
        "auth optional pam_permit.so\n"
    )
    found = of_kind(place, text, "password-alone")
    assert found.place.endswith("login:2")
    assert found.remedy == "use one of pam.d-examples"


def test_break_glass_is_cured_by_the_lines_of_the_examples(place: Host) -> None:
    text = (
        "auth [success=ok default=die] pam_unix.so\n"
        "auth [success=1 default=ignore] pam_exec.so quiet seteuid /usr/libexec/ukey/breakglass\n"
        "auth [success=ok default=die] pam_ukey.so\n"
        "auth required pam_permit.so\n"
    )
    assert "both lines of the example" in of_kind(place, text, "break-glass-for-all").remedy


@pytest.mark.parametrize("text", ["auth required pam_unix.so \\\n", "auth required pam_unix.so "])
def test_a_ukeys_line_that_another_swallows_is_named(place: Host, text: str) -> None:
    found = of_kind(place, text + "auth required pam_ukey.so\n", "no-ukey")
    assert found.place.endswith("login:1")
    assert "pam_ukey.so is only a word of this line" in found.text


def test_no_good_word_where_something_is_open(place: Host) -> None:
    """A finding says that somebody gets in, if only in one case."""
    checked = place.check(
        "login",
        "auth required pam_unix.so\nauth sufficient pam_succeed_if.so shell = /bin/bash\n"
        "auth required pam_ukey.so\n",
    )
    assert any(finding.severity is Severity.OPEN for finding in checked.findings)
    assert checked.who is Who.DEPENDS


def test_a_last_line_that_would_let_in_is_not_proposed(place: Host) -> None:
    """A jump out of a file has to land somewhere, but not where people who fail come as well."""
    place.write({"part": "auth [success=1 default=ignore] pam_unix.so\n"})
    text = "auth include part\nauth requisite pam_deny.so\nauth required pam_ukey.so\n"
    assert place.letters("login", text) == "i---- -----"
    assert of_kind(place, text, "jump-leaves-file").line == ""
    place.write({"part": "auth [success=1 default=die] pam_unix.so\n"})
    text = "auth include part\nauth optional pam_warn.so\nauth required pam_ukey.so\n"
    assert of_kind(place, text, "jump-leaves-file").line == "auth required pam_permit.so"
