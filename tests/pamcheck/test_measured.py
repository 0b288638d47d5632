# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The known facts about modules, compared with Debian's own in many circumstances: the model has
each code that a module returns, or it is tried wherever a control tells it apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.libpam import Outcome, authenticate
from tests.pamcheck.test_real_modules import FAILURES, HARMFUL, HERE, LINES, said
from tests.support.process import must, run
from tests.support.restore import Restorer
from tools.pamcheck import known
from tools.pamcheck.behaviour import Behaviour
from tools.pamcheck.lines import Line, parse
from tools.pamcheck.modules import asks, behaviour, is_password, may_ask, needs_password
from tools.pamcheck.places import Places
from tools.pamcheck.world import (
    AFAR,
    PASSWORD,
    PASSWORD_CODES,
    PERSON,
    PLACE,
    REGULAR,
    SYSTEM,
    UKEY,
)
from tools.pamcheck.world import (
    HERE as AT_HAND,
)

USER, RIGHT = "measured", "right"
#: Further lines, for modules whose outcome depends on more than their names.
MORE = (
    "pam_securetty.so noconsole",
    "pam_succeed_if.so UID >= 1000",
    "pam_succeed_if.so Login GLOB meas*",
    "pam_succeed_if.so name noglob meas*",
    "pam_succeed_if.so homedir = /",
    "pam_succeed_if.so dir != /",
    "pam_succeed_if.so uid < 1000 gid",
    "pam_succeed_if.so uid >= 0 gid",
    "pam_succeed_if.so uid >= 08",
    "pam_succeed_if.so uid >= 0x",
    "pam_succeed_if.so uid < 99999999999999999999",
    "pam_succeed_if.so uid >= +0x1",
    "pam_succeed_if.so uid is 0",
    "pam_succeed_if.so Quiet uid >= 0",
    "pam_succeed_if.so service ingroup root",
    "pam_succeed_if.so tty lt 1",
    "pam_succeed_if.so rhost eq 0",
    "pam_succeed_if.so ruser ingroup root",
    "pam_succeed_if.so shell eq 0",
    "pam_succeed_if.so service =~ [!x]*",
    "pam_succeed_if.so service =~ [^x]*",
    "pam_succeed_if.so service =~ l\\ogin",
    "pam_succeed_if.so user in root:measured",
    "pam_succeed_if.so use_uid user ingroup root",
    "pam_succeed_if.so use_uid UID = 0",
    "pam_succeed_if.so uid ne 0 gid ne 0 user notingroup nosuch",
    "pam_usertype.so issystem use_uid",
    "pam_usertype.so isregular issystem",
    "pam_usertype.so isregular nonsense",
    "pam_debug.so auth=maxtries auth=perm_denied",
    "pam_debug.so auth=nonsense auth=perm_denied",
    "pam_debug.so auth=perm_denied auth=nonsense",
    "pam_debug.so AUTH=perm_denied",
    "pam_sepermit.so",
)
ALL = tuple(dict.fromkeys((*LINES, *MORE)))


@dataclass(frozen=True)
class Circumstance:
    """The people who come, and their places."""

    user: str = USER
    items: Mapping[str, str] = field(default_factory=lambda: {"tty": "/dev/tty1"})
    nologin: bool = False
    shells: str | None = None


CIRCUMSTANCES = {
    "ordinary": Circumstance(),
    "root": Circumstance("root"),
    "a system user": Circumstance("daemon"),
    "nobody known": Circumstance("nosuchuser"),
    "a name with a dash": Circumstance("-dashed"),
    "no terminal": Circumstance(items={}),
    "a strange terminal": Circumstance(items={"tty": "pts/7"}),
    "root, no terminal": Circumstance("root", {}),
    "root, a strange terminal": Circumstance("root", {"tty": "pts/7"}),
    "from afar": Circumstance(items={"rhost": "192.0.2.1", "ruser": "root", "tty": "ssh"}),
    "no logins": Circumstance(nologin=True),
    "no logins, root": Circumstance("root", nologin=True),
    "no logins, nobody known": Circumstance("nosuchuser", nologin=True),
    "no shells": Circumstance(shells=""),
}


@pytest.fixture(autouse=True, scope="module")
def measured() -> Iterator[None]:
    must(["useradd", "--shell", "/bin/bash", USER])
    must(["chpasswd"], input=f"{USER}:{RIGHT}\n")
    yield
    run(["userdel", USER])
    FAILURES.unlink(missing_ok=True)


@contextmanager
def there(circumstance: Circumstance) -> Iterator[None]:
    restorer = Restorer()
    try:
        if circumstance.nologin:
            restorer.write(Path("/etc/nologin"), "not now\n", 0o644)
        if circumstance.shells is not None:
            restorer.write(Path("/etc/shells"), circumstance.shells, 0o644)
        yield
    finally:
        restorer.restore()


def possible(made: Behaviour) -> set[str | None]:
    """All the codes that the model has it return."""
    keys = [variable.key for variable in made.variables]
    found = set()
    for values in product(*(variable.values for variable in made.variables)):
        for person, place in product((REGULAR, SYSTEM, "pam_sss"), (AT_HAND, AFAR)):
            for password in ("success", *PASSWORD_CODES):
                world = {PERSON: person, PLACE: place, PASSWORD: password, UKEY: "success"}
                found.add(made.code({**world, **dict(zip(keys, values, strict=True))}))
    return found


def line_of(text: str, control: str = "required") -> Line:
    return parse(Path("login"), 1, f"auth {control} {text}")


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_no_code_is_returned_that_would_not_be_tried(tmp_path: Path, name: str) -> None:
    """For a module that never differs, only that code."""
    circumstance = CIRCUMSTANCES[name]
    wrong = []
    with there(circumstance):
        for text in ALL:
            line = line_of(text)
            code = said(tmp_path, text, circumstance.user, circumstance.items)
            known_to_be = possible(behaviour(line, "login", Places()))
            tried = known.MODELLED.get(line.name, frozenset())
            constant = line.name in (*known.CONSTANT, "pam_debug")
            if code not in known_to_be and (constant or code in tried):
                wrong.append((text, code, known_to_be))
    assert wrong == []


@pytest.mark.parametrize("name", sorted({*known.MODELLED} & HERE))
def test_a_code_beyond_the_model_is_tried_where_a_control_names_it(name: str) -> None:
    for code in ("cred_err", "abort", "try_again"):
        assert code not in known.MODELLED[name]
        line = line_of(f"{name}.so", f"[success=ok {code}=1 default=die]")
        assert code in possible(behaviour(line, "login", Places()))
        # And one for all codes that it does not name, if the control treats them in yet another
        # way.
        line = line_of(
            f"{name}.so", f"[{' '.join(f'{c}=ok' for c in known.MODELLED[name])} default=1]"
        )
        assert possible(behaviour(line, "login", Places())) - known.MODELLED[name]


# -- who asks for the password

PASSWORDS = ("pam_unix.so", "pam_unix.so nullok", "pam_unix.so try_first_pass")
EXECS = ("pam_exec.so quiet /bin/true", "pam_exec.so expose_authtok quiet /bin/true")
ASKING = (*PASSWORDS, *EXECS, *(f"{name}.so" for name in sorted(HERE - HARMFUL - {"pam_filter"})))


def answered(folder: Path, text: str) -> Outcome:
    (folder / "login").write_text(text)
    return authenticate(folder, "login", USER, lambda _text: RIGHT, tty="/dev/tty1")


@pytest.mark.parametrize("text", dict.fromkeys(ASKING))
def test_a_line_that_takes_the_first_password_needs_one_that_asks(
    tmp_path: Path, text: str
) -> None:
    """By the real pam_unix: a line that is assumed to keep the password does so, and no other
    may."""
    line = line_of(text)
    last = "auth required pam_unix.so use_first_pass\n"
    kept = answered(tmp_path, f"auth [default=ignore] {text}\n{last}").code == PamCode.SUCCESS
    if asks(line):
        assert kept
    if kept:
        assert asks(line) or may_ask(line)


def test_without_a_password_it_fails_and_asks_nothing(tmp_path: Path) -> None:
    for word in ("use_first_pass", "use_first_pass=1"):
        line = line_of(f"pam_unix.so {word}")
        assert is_password(line) and needs_password(line) and not asks(line)
        outcome = answered(tmp_path, f"auth required pam_unix.so {word}\n")
        assert (outcome.code, outcome.shown) == (PamCode.AUTH_ERR, [])
    assert not needs_password(line_of("pam_unix.so Use_First_Pass"))
    assert answered(tmp_path, "auth required pam_unix.so Use_First_Pass\n").code == PamCode.SUCCESS
