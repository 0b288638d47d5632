# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Lines and controls are read as libpam reads them: controls that pam check takes for the same are
the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.pamcheck.hosts import Host
from tools.pamcheck import copy, libpam, stack
from tools.pamcheck.controls import CODES, Action, Wrong, action, actions, doubled, jumps
from tools.pamcheck.lines import Fault, Line, read

ODD = [
    "success=1default=ignore",
    "success = ok default = die",
    "success=ok,default=die",
    "SUCCESS=ok default=die",
    "success=okay default=die",
    "success=01 default=die",
    "success=+1 default=die",
    "success=1x default=ok",
    "success=0 default=ok",
    "success default=ok",
    "=ok",
    "success=",
    "default=ok default=die",
    "success=die default=ok success=ok",
    "default=ignore success=1",
    "authtok_recovery_err=ok default=ok",
    "authtok_recover_err=ok default=die",
    "cred=ok default=ok",
    "success=okdefault=die",
    "success=ok\tdefault=die",
    "ignore=ignore success=ok default=2",
    "default=reset",
    "required ",
    "requisite=ok",
    "success=2147483648 default=ok",
    "success=ok d=ok",
    "Optional",
    "sufficient",
]


def chosen(seed: int) -> str:
    dice = random.Random(seed)
    names = [*dice.sample(CODES, dice.randrange(0, 5)), *["default"] * dice.randrange(3)]
    dice.shuffle(names)
    acts = ("ignore", "ok", "done", "bad", "die", "reset", "1", "2", "9")
    return " ".join(f"{name}={dice.choice(acts)}" for name in names)


@pytest.mark.parametrize("control", [*ODD, *map(chosen, range(40))])
def test_codes_that_a_control_treats_alike_end_alike(place: Host, control: str) -> None:
    """Every code that libpam knows, in the second of five lines: whether somebody gets in, and
    which lines run, is the same for all that :func:`action` says the same of."""
    written = control if control.strip().lower() == control.lower() else control.strip()
    one = "auth required pam_x.so\n"
    text = one + f"auth [{written}] pam_y.so\n" + one * 3
    place.write({"row": text})
    made = stack.load(place.places, "row", place.pam_d / "row")
    codes = [code for code in CODES if code != "incomplete"]
    rows = [("success", code, "success", "success", "success") for code in codes]
    ends: dict[tuple[Action, bool], set[tuple[bool, tuple[int, ...]]]] = {}
    for code, ran in zip(codes, libpam.run(copy.of(made, {}), rows, 20), strict=True):
        alike = action(made.modules()[1].line.control, code), code == "success"
        ends.setdefault(alike, set()).add((ran.success, ran.trace))
    assert all(len(each) == 1 for each in ends.values()), ends
    # And every control that is not understood is refused.
    if any(act == "bad" for act, _success in ends):
        assert all(not success for success, _trace in ends.get(("bad", False), set()))


def test_what_is_not_understood_is_said() -> None:
    for control in ("requird", "success=0", "success=ok,", "Success=ok", "x"):
        with pytest.raises(Wrong):
            actions(control)
        assert action(control, "success") == "bad"
        assert jumps(control) == []
    assert sorted(jumps("success=2 default=1 ignore=ignore")) == [1, 2]
    assert doubled("success=2 default = 10 ignore=ignore") == "success=4 default = 20 ignore=ignore"
    assert doubled("required") == "required"
    assert action("required", None) == "bad"
    assert action("[x", "success") == "bad"


def lines(text: str | bytes) -> list[Line]:
    return read(Path("f"), text.encode() if isinstance(text, str) else text)


def test_a_line_is_cut_as_libpam_cuts_it() -> None:
    text = (
        "\n# x\n-AUTH \\\n  [success=1 \\] default=die] \\\n"
        "# between\n pam_a.so one [two [x\\] y] # z\n"
    )
    [line] = lines(text)
    assert (line.number, line.type, line.silent) == (3, "auth", True)
    assert line.control.split() == ["success=1", "]", "default=die"]
    assert (line.module, line.name) == ("pam_a.so", "pam_a")
    assert line.args == ("one", "two [x] y")
    assert [each.module for each in lines("auth required a.so # x \\\nauth required b.so\n")] == [
        "a.so",
        "b.so",
    ]
    [line] = lines("@include common-auth extra\n")
    assert (line.type, line.control, line.module) == ("@include", "", "common-auth")
    [line] = lines(b"auth required a.so\0 b\n")
    assert line.args == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("auth required a.so", None),
        ("auth required a.so \\", Fault.CONTINUED),
        ("auth required a.so \\\n# x\n\n", Fault.CONTINUED),
        ("#" * 1022 + "\nauth required a.so\n", None),
        ("#" * 1023 + "\nauth required a.so\n", Fault.TOO_LONG),
        ("auth required a.so " + "x" * 600 + " \\\n" + "y" * 600 + "\n", Fault.TOO_LONG),
        ("uath required a.so\n", Fault.TYPE),
        ("auth\n", Fault.CONTROL_MISSING),
        ("auth required\n", Fault.MODULE_MISSING),
        ("auth include\n", Fault.MODULE_MISSING),
    ],
)
def test_what_is_wrong_with_a_line(text: str, fault: Fault | None) -> None:
    assert lines(text)[0].fault is fault


@pytest.mark.parametrize(
    ("module", "name", "loadable"),
    [
        ("pam_unix.so", "pam_unix", True),
        ("/lib/security/$ISA/pam_unix.so", "pam_unix", True),
        ("pam_x.so.1", "pam_x", True),
        ("pam_unix", "pam_unix", False),
        ("pam_unix.so\r", "pam_unix.so\r", False),
        ("pam_unix.so.bak", "pam_unix.so.bak", False),
    ],
)
def test_a_modules_name(module: str, name: str, loadable: bool) -> None:
    [line] = lines(f"auth required {module}\n")
    assert (line.name, line.loadable) == (name, loadable)
