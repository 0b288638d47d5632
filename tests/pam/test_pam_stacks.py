# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each example lets in exactly those who have the password and the ukey, or break the glass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.libpam import Outcome, authenticate
from tests.pam.stacks import EXAMPLES, Line, auth_lines, examples, name_of, with_outcomes
from tests.pam.tables import Row, Table, Wrong, others, rows, strange_rows

#: How a service's file has a stack in it.
PLACES = {
    "include": "auth include {inner}\n",
    "substack": "auth substack {inner}\n",
    "@include": "@include {inner}\n",
    "a substack of an include": "auth include {inner}-outer\n",
}


def twin(path: Path) -> Path:
    """The file that has the same auth lines, as test_the_files_tell_the_same sees; or itself."""
    return path.with_name({"password-auth": "system-auth"}.get(path.name, path.name))


@pytest.fixture(params=[path for path in examples() if twin(path) == path], ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    made: Path = request.param
    return made


@pytest.fixture
def table(path: Path, built: Path, tmp_path: Path) -> Table:
    return Table(auth_lines(path.read_text()), built, tmp_path)


def placed(table: Table, place: str) -> Table:
    return replace(table, around=PLACES[place])


def test_truth_table(table: Table, path: Path) -> None:
    count, passed = table.count(rows(table.roles))
    print(f"{name_of(path)}: {count} rows, {passed} let in")
    assert 0 < passed < count / 2


@pytest.mark.parametrize("place", PLACES)
def test_each_row_within_another_stack(table: Table, place: str) -> None:
    """The lines after it are run too, and can refuse; so can the lines before it."""
    inside = placed(table, place)
    each = list(rows(table.roles))
    assert inside.count(each, last=PamCode.SUCCESS)[1] > 0
    assert inside.count(each, last=PamCode.PERM_DENIED)[1] == 0
    spoilt = f"auth required {table.row_module} before 7 0\n{inside.around}"
    before = replace(table, around=spoilt)
    assert all(ran.code != PamCode.SUCCESS for _, ran in before.run(each[::7]))


def test_whatever_another_module_says(table: Table) -> None:
    """The modules that are no factor, one by one: rootok, usertype, localuser, faillock, …"""
    passed = table.count_strange(strange_rows(table.roles, 1))
    assert passed or not others(table.roles)


def test_whatever_two_other_modules_say(table: Table, soak: bool) -> None:
    """A row in eleven; in scripts/soak each of them."""
    some = islice(strange_rows(table.roles, 2), 0, None, 1 if soak else 11)
    passed = table.count_strange(some)
    assert passed or len(others(table.roles)) < 2


def test_any_other_program_sees_the_same(table: Table) -> None:
    """The results of rows.c, against one login at a time with the outcomes in the stack's text."""
    for row, told in table.run(list(rows(table.roles))[::53]):
        text = with_outcomes(table.lines, table.row_module, row.codes)
        (table.folder / "one").write_text(text)
        assert told == authenticate(table.folder, "one", setcred=told.code == PamCode.SUCCESS), row


def test_credentials_that_fail_are_seen(built: Path, tmp_path: Path) -> None:
    """A login by a line that says IGNORE to pam_setcred, and no other."""
    table = Table(auth_lines("auth required pam_exec.so gate\n"), built, tmp_path)
    [(_, told)] = table.run([Row({"gate": PamCode.SUCCESS})])
    assert told == Outcome(PamCode.SUCCESS, PamCode.PERM_DENIED, ["gate"])


def test_credentials_alone(table: Table) -> None:
    """sshd authenticates in another process; cron does not authenticate at all."""
    (table.folder / "row").write_text(with_outcomes(table.lines, table.row_module, {}))
    assert authenticate(table.folder, "row", setcred_alone=True).setcred == PamCode.SUCCESS


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_the_files_tell_the_same(path: Path) -> None:
    """Nothing but pam_rootok is `sufficient`, and the two looks at the group are the same."""
    lines = auth_lines(path.read_text())
    sufficient = [line.role for line in lines if line.control == "sufficient"]
    assert sufficient == (["rootok"] if path.name == "su" else [])
    looks = [line for line in lines if line.role in ("look", "member")]
    assert len({(line.args, line.control) for line in looks}) == 1
    assert [line.args for line in lines if line.role == "mock"] == [
        line.args.replace("seteuid", "seteuid stdout")
        for line in lines
        if line.role == "gate" and "uniform" in path.parts
    ]
    assert {line.args for line in lines if line.role == "decoy"} <= {"decoy uniform"}
    assert "nullok" not in "".join(map(str, lines))
    roles = [line.role for line in lines]
    assert ("decoy" in roles) == ("uniform" in path.parts)
    assert auth_lines(twin(path).read_text()) == lines


# -- mistakes


def mistakes(lines: list[Line]) -> Iterator[tuple[str, list[Line]]]:
    """An administrator's slips, each as (what, the lines with it)."""

    def change(line: Line, control: str) -> list[Line]:
        other = replace(line, control=control)
        return [other if each is line else each for each in lines]

    for line in lines:
        if line.role not in ("unix", "sss", "ukey", "decoy", "member", "gate", "look", "mock"):
            continue
        if "default=1" in line.control and line.role in ("member", "look"):
            for action in ("default=2", "default=ignore"):
                control = line.control.replace("default=1", action)
                yield f"{line.role}: {action}", change(line, control)
        jump = re.search(r"success=(\d+)", line.control)
        for number in (int(jump[1]) - 1, int(jump[1]) + 1) if jump else ():
            if line.role == "gate" and jump and number > int(jump[1]):
                continue  # past pam_permit, where an earlier success counts as well
            action = f"success={number}" if number else "success=ok"
            yield (
                f"{line.role}: {action}",
                change(line, re.sub(r"success=\d+", action, line.control)),
            )
        if line.role == "ukey":
            for control in ("sufficient", "required", "optional", "[success=ok default=ignore]"):
                yield f"ukey: {control}", change(line, control)
        ends = lines[lines.index(line) + 1].role in ("authfail", "deny")  # whatever this line did
        if re.search("default=(die|bad)", line.control) and not ends:
            control = re.sub("default=(die|bad)", "default=ignore", line.control)
            yield f"{line.role}: default=ignore", change(line, control)
        yield f"no {line.role}", [each for each in lines if each is not line]


def found(table: Table) -> bool:
    try:
        table.count(rows(table.roles | {"ukey", "unix"}))
    except Wrong:
        return True
    return False


def test_a_slip_would_be_found(table: Table) -> None:
    """The same table fails for each line that is left out, jumps elsewhere or ignores failure."""
    slips = list(mistakes(table.lines))
    assert len(slips) > 10
    unseen = [what for what, lines in slips if not found(replace(table, lines=lines))]
    assert unseen == []


#: Whole stacks that fail open: the one that this product replaces, and its kin.
OPEN = {
    "the textbook's pair": ("auth required pam_unix.so\nauth sufficient pam_ukey.so\n", "{stack}"),
    "either": ("auth sufficient pam_unix.so\nauth required pam_ukey.so\n", "{stack}"),
    "a pair and an end": (
        "auth required pam_unix.so\nauth sufficient pam_ukey.so\nauth required pam_deny.so\n",
        "{stack}",
    ),
    "two required": ("auth required pam_unix.so\nauth required pam_ukey.so\n", "{stack}"),
    "the pair included": (
        "auth required pam_unix.so\nauth sufficient pam_ukey.so\n",
        "auth include {inner}\n",
    ),
    "the pair below": (
        "auth required pam_unix.so\nauth sufficient pam_ukey.so\n",
        "auth substack {inner}\n",
    ),
}


@pytest.mark.smoke
@pytest.mark.parametrize("what", OPEN)
def test_a_stack_that_fails_open_would_be_found(what: str, built: Path, tmp_path: Path) -> None:
    text, around = OPEN[what]
    lines = auth_lines(text)
    assert found(Table(lines, built, tmp_path, around=around))


def test_every_file_with_a_stack_is_an_example() -> None:
    """A mistake in a separate file is not missed because nobody looked there."""
    texts = {
        path
        for path in EXAMPLES.rglob("*")
        if path.is_file() and re.search(r"^-?auth\s", path.read_text(), re.MULTILINE)
    }
    assert texts == {*examples(), EXAMPLES / "README.md"}
