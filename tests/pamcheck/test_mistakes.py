# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each known mistake is planted: the whole table is checked, the finding, and the line that it
names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pamcheck.hosts import NOBODY, PASSWORD_ALONE, STRICT, Host, Judge
from tests.support import CHECKOUT
from tools.pamcheck.finding import Severity
from tools.pamcheck.table import Who

EXAMPLES = CHECKOUT / "pam.d-examples"
UKEY = "auth [success=ok default=die] pam_ukey.so\n"
UNIX = "auth [success=ok default=die] pam_unix.so\n"
DENY = "auth required pam_deny.so\n"
PERMIT = "auth required pam_permit.so\n"


_HEAD = re.compile(r"== ([\w-]+)(?: \(([\w-]+)\))?: ([i?~-]{5} [i?~-]{5}|not known)")


@dataclass(frozen=True)
class Mistake:
    """A stack, its table, and all that has to be found: severity, kind, line."""

    name: str
    service: str
    table: str
    findings: tuple[str, ...]
    text: str


def _read() -> list[Mistake]:
    found: list[Mistake] = []
    for block in Path(__file__).with_name("mistakes.txt").read_text().split("\n\n")[1:]:
        head, *rest = block.splitlines()
        match = _HEAD.fullmatch(head)
        assert match, head
        findings = tuple(line.strip() for line in rest if line.startswith("   "))
        text = "".join(f"{line}\n" for line in rest if not line.startswith("   "))
        assert match[1] not in (each.name for each in found), match[1]
        found.append(Mistake(match[1], match[2] or "login", match[3], findings, text))
    return found


MISTAKES = [
    *_read(),
    Mistake(
        "continued-at-end",
        "login",
        NOBODY,
        ("shut continued-at-end 3", "shut nobody -"),
        UNIX + UKEY + "auth optional pam_env.so \\",
    ),
    Mistake(
        "long-line",
        "login",
        NOBODY,
        ("shut line-too-long 3", "shut nobody -"),
        UNIX + UKEY + f"auth optional pam_env.so {'x' * 1000}\n",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_found(judge: Judge, mistake: Mistake) -> None:
    judged = judge(mistake.service, mistake.text)
    assert judged.letters == mistake.table
    assert mistake.table != "not known" or judged.checked.who is None
    file = str(judged.host.pam_d / mistake.service)
    findings = judged.checked.findings
    found = [
        (each.severity.value, each.kind, each.place.removeprefix(file).lstrip(":") or "-")
        for each in findings
    ]
    assert tuple(map(" ".join, found)) == mistake.findings
    assert all(each.remedy for each in findings)
    # The word for it says nothing good if somebody gets in.
    if any(each.severity is Severity.OPEN for each in findings):
        assert judged.checked.who not in (Who.BOTH, Who.ENROLLED)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_what_lets_in_without_both_is_never_called_good(mistake: Mistake) -> None:
    """This checks the expected findings, which pam check has just been seen to report. An "i"
    outside its cell needs an open finding, or a note if the stack says so itself. If nobody gets
    in, and it depends for nobody, there has to be a shut one. If the table is not known, there has
    to be one of the two."""
    severities = {Severity(finding.split()[0]) for finding in mistake.findings}
    rolling_out = mistake.table == "i--i- -----" and "nouserok" in mistake.text
    if "i" in mistake.table[1:] and not rolling_out:
        assert Severity.OPEN in severities
    if not set("i?") & set(mistake.table):
        assert severities & {Severity.SHUT, *[Severity.OPEN] * (mistake.table == "not known")}


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/*/common-auth")), ids=lambda p: p.parts[-2]
)
def test_a_slip_in_an_example_is_found(place: Host, path: Path) -> None:
    """Each strict line of an example, weakened, and each jump, one line further."""
    good = path.read_text()
    slips = [
        good.replace("[success=ok default=die]             pam_ukey.so", "sufficient pam_ukey.so"),
        good.replace("[success=ok default=die]             pam_ukey.so", "optional pam_ukey.so"),
        good.replace("default=1]           pam_succeed_if", "default=2]           pam_succeed_if"),
        good.replace("[success=ignore default=1]", "optional"),
        good.replace(
            "auth [success=ok default=die]             pam_unix", "auth optional pam_unix"
        ),
        good.replace("[success=2 default=ignore]           pam_unix", "sufficient pam_unix"),
        good.replace("[default=die]                        pam_ukey", "optional pam_ukey"),
    ]
    slips = [slip for slip in slips if slip != good]
    assert len(slips) > 3
    for slip in slips:
        checked = place.check("login", slip)
        assert any(f.severity is Severity.OPEN for f in checked.findings), slip


# -- what is on the host


def _with_modules(place: Host, *modules: str) -> None:
    [folder] = Path("/usr/lib").glob("*-linux-*/security")
    real = (folder / "pam_permit.so").read_bytes()
    place.write(dict.fromkeys((f"usr/lib64/security/{name}.so" for name in modules), real))


def test_a_module_that_is_missing(place: Host) -> None:
    _with_modules(place, "pam_unix", "pam_permit")
    assert place.kinds("login", UNIX + UKEY)["module-missing"] == "login:2"
    [missing] = [f for f in place.check("login").findings if f.kind == "module-missing"]
    assert missing.severity is Severity.SHUT
    text = "auth required pam_unix.so\nauth sufficient pam_ukey.so\n"
    [missing] = [f for f in place.check("login", text).findings if f.kind == "module-missing"]
    assert missing.severity is Severity.OPEN
    # A module that is passed over in silence may be missing on purpose.
    assert "module-missing" not in place.kinds("sshd", "-auth optional pam_cap.so\n" + UNIX)
    # A missing module is evaluated as missing: here its line refuses everybody.
    assert place.letters("sudo", "auth required pam_cap.so\n" + UNIX) == NOBODY
    assert place.letters("su", "auth optional pam_cap.so\n" + UNIX) == PASSWORD_ALONE


def test_another_file_by_the_ukeys_modules_name(place: Host) -> None:
    """For a module of a second folder, or behind a link, it is not known what it returns."""
    _with_modules(place, "pam_unix", "pam_permit", "pam_ukey")
    native = "/usr/lib64/security/pam_ukey.so"
    assert place.letters("login", UNIX + UKEY.replace("pam_ukey.so", native)) == STRICT
    second = place.root / "lib/security/pam_ukey.so"
    second.parent.mkdir(parents=True)
    second.write_bytes((place.root / native.lstrip("/")).read_bytes())
    by_path = UNIX + UKEY.replace("pam_ukey.so", "/lib/security/pam_ukey.so")
    assert place.letters("login", by_path) == "????? -----"
    assert place.check("login").who is Who.PASSWORD
    second.unlink()
    second.symlink_to(native)
    assert place.letters("login", by_path) == STRICT
    (place.root / native.lstrip("/")).unlink()
    (place.root / native.lstrip("/")).symlink_to("pam_permit.so")
    assert place.letters("login", UNIX + UKEY) == "????? -----"


def test_a_file_that_others_may_change(place: Host) -> None:
    place.write({"login": UNIX + UKEY, "sshd": UNIX + UKEY})
    (place.pam_d / "login").chmod(0o666)
    assert place.kinds("login")["file-writable"] == "login"
    assert "file-writable" not in place.kinds("sshd")
    (place.pam_d / "login").chmod(0o644)
    assert "file-writable" not in place.kinds("login")
    (place.pam_d / "login").rename(place.root / "elsewhere")
    (place.pam_d / "login").symlink_to("/elsewhere")  # counts from the image's root
    assert "file-writable" not in place.kinds("login")
    os.chown(place.root / "elsewhere", 1, 1)
    assert place.kinds("login")["file-writable"] == "elsewhere"


def test_factors_in_two_files(place: Host) -> None:
    place.write({"common-auth": UNIX})
    assert place.kinds("sshd", "@include common-auth\n" + UKEY)["split-files"] == "sshd:2"
    assert place.letters("sshd") == STRICT
    # What the finding warns of then happens: a line of the other file opens this one.
    place.write({"common-auth": "auth sufficient pam_unix.so\n" + DENY})
    assert place.letters("sshd") == PASSWORD_ALONE
    assert place.kinds("sshd")["password-alone"] == "common-auth:1"


def test_a_module_without_a_name_in_an_included_file(place: Host) -> None:
    """libpam 1.5.2 then goes on with memory that it has not set, and may crash."""
    place.write({"part": "auth required /lib/security/\n"})
    for how in ("auth include", "auth substack", "@include"):
        checked = place.check("login", f"{how} part\n" + UNIX + UKEY)
        assert checked.table is None and checked.who is None
        assert any(f.kind == "no-module" and f.severity is Severity.SHUT for f in checked.findings)


def test_a_jump_out_of_a_substack(place: Host) -> None:
    """libpam refuses where the substack ends; out of a plain include the jump lands in the caller's
    lines."""
    place.write({"part": "auth [success=1 default=die] pam_unix.so\n"})
    assert place.kinds("login", "auth substack part\n" + UKEY)["jump-too-far"] == "part:1"
    assert place.letters("login") == NOBODY
    assert (
        place.kinds("login", "auth include part\n" + UKEY + PERMIT)["jump-leaves-file"] == "part:1"
    )
    assert place.letters("login") == PASSWORD_ALONE


def test_a_service_without_auth_lines_takes_others(place: Host) -> None:
    place.write({"other": UNIX + UKEY})
    assert place.letters("vlock", "account required pam_unix.so\n") == STRICT
    assert place.kinds("vlock")["takes-other"] == "vlock"
    # A fault that breaks "other" breaks every service.
    place.write({"other": "@include nothing\n"})
    assert place.letters("vlock", UNIX + UKEY) == NOBODY
    assert place.kinds("vlock")["include-missing"] == "other:1"


def test_root_is_not_asked(place: Host) -> None:
    checked = place.check("su", "auth sufficient pam_rootok.so\n" + UNIX + UKEY)
    assert checked.table is not None and checked.table.root_passes
    assert place.letters("su") == STRICT


def test_what_a_directory_and_a_system_user_get(place: Host) -> None:
    """People who are let in by another module's line count, too."""
    text = (
        "auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n"
        "auth [default=1 ignore=ignore success=ok] pam_localuser.so\n"
        "auth [success=2 default=ignore] pam_unix.so\n"
        "auth sufficient pam_sss.so\n" + DENY + UKEY
    )
    checked = place.check("login", text)
    assert place.letters("login") == "i???? -----"
    [alone] = [f for f in checked.findings if f.kind == "password-alone"]
    assert "pam_sss.so" in alone.text
    assert alone.place.endswith("login:4")


def test_three_groups_among_many_modules(place: Host) -> None:
    """More combinations than are tried, and the one that lets in takes three."""
    others = "".join(f"auth [success=ok default=ignore] pam_x{n}.so\n" for n in range(7))
    groups = "".join(
        f"auth [success=ignore default={3 - n}] pam_succeed_if.so user ingroup g{n}\n"
        for n in range(3)
    )
    over = "auth [default=1] pam_env.so\n"
    place.write({"login": UNIX + others + groups + over + UKEY + PERMIT})
    found = {finding.kind: finding for finding in place.check("login").findings}
    assert "not-all-tried" in found
    assert found["password-alone"].text.endswith(
        ", in one case: a member of group g0, a member of group g1, a member of group g2"
    )


# -- what to do about it


def _advice(place: Host, kind: str, text: str, service: str = "login") -> tuple[str, str]:
    [found] = [each for each in place.check(service, text).findings if each.kind == kind]
    return found.remedy, found.line


def test_no_remedy_locks_out(place: Host) -> None:
    """The proposed line would keep out everybody, or everybody else, or is refused."""
    # pam_ukey refuses nouserok beside uniform.
    uniform = UNIX + UKEY.replace(".so", ".so uniform")
    assert _advice(place, "nobody-without-ukey", uniform)[1] == ""
    assert _advice(place, "nobody-without-ukey", UNIX + UKEY)[1].endswith("pam_ukey.so nouserok")
    # Behind Debian's jump the ukey's line would not be reached, and the jump would then land on
    # deny.
    debian = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + PERMIT
    assert _advice(place, "no-ukey", debian)[1] == ""
    assert _advice(place, "no-ukey", "auth sufficient pam_unix.so\n" + DENY)[1] == ""
    assert _advice(place, "no-ukey", UNIX)[1] == UKEY.strip()
    # People who pass a strict line must not run on to a line that refuses everybody.
    sufficient = "auth sufficient pam_unix.so\n"
    assert _advice(place, "password-alone", sufficient + UKEY + DENY)[1] == ""
    assert _advice(place, "password-alone", sufficient + UKEY)[1] == UNIX.strip()
    jump = UNIX + "auth [success=2 default=1] pam_ukey.so\n" + DENY + PERMIT
    assert _advice(place, "password-alone", jump)[1] == ""
    # A stack of one factor needs the other, not none.
    assert _advice(place, "ukey-alone", UKEY) == ("use one of pam.d-examples", "")
    decoy = sufficient + "auth sufficient pam_ukey.so decoy uniform\n"
    assert _advice(place, "password-alone", decoy) == ("use one of pam.d-examples", "")
    local = "auth [success=ignore default=2] pam_localuser.so\n"
    found = _advice(place, "password-alone", local + UNIX + UKEY + "auth sufficient pam_sss.so\n")
    assert found[0].startswith("count again")
    assert _advice(place, "unknown-option", UNIX + UKEY[:-1] + " uniform nouserok\n")[0] == (
        "leave one of the two out"
    )
    # A way in that is no factor must not become one that everybody needs.
    wheel = "auth sufficient pam_succeed_if.so user ingroup wheel\n"
    assert _advice(place, "password-alone", UNIX + wheel + UKEY) == ("take the line out", "")
    assert _advice(place, "anybody", "auth sufficient pam_fprintd.so\n" + UNIX + UKEY)[1] == ""
    # People who are not in the directory are not known to it.
    directory = "auth sufficient pam_sss.so\n" + UNIX + UKEY
    jump = "auth [success=1 default=ignore] pam_sss.so"
    assert _advice(place, "password-alone", directory) == ("write:", jump)
    lock = "auth sufficient pam_faillock.so authsucc\n"
    strict = lock.replace("sufficient", "[success=ok default=die]").strip()
    assert _advice(place, "password-alone", UNIX + lock + UKEY) == ("write:", strict)
    assert _advice(place, "never-runs", UNIX + lock + UKEY) == ("write:", strict)
