# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each example lets in exactly who has the password and the ukey, or breaks the glass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.pam.libpam import Code, authenticate
from tests.pam.stacks import EXAMPLES, Line, auth_lines, examples, name_of, with_outcomes
from tests.pam.tables import Table, Wrong, others, rows, strange_rows

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
    return Table(auth_lines(path.read_text()), built / "pam_row.so", tmp_path)


def placed(table: Table, place: str) -> Table:
    around = PLACES[place]
    outer = table.folder / "inner-outer"
    outer.write_text(f"auth substack {table.folder}/inner\n")
    return Table(table.lines, table.row_module, table.folder, table.exempt, around)


def test_truth_table(table: Table, path: Path) -> None:
    count, passed = table.count(rows(table.roles))
    print(f"{name_of(path)}: {count} rows, {passed} let in")
    assert 0 < passed < count / 2


def within(table: Table, place: str, every: int) -> None:
    """What comes after it is run too, and can refuse; what came before can as well."""
    inside = placed(table, place)
    passed = 0
    for row in islice(rows(table.roles), 0, None, every):
        passed += inside.check(row, last=Code.SUCCESS)
        assert not inside.check(row, last=Code.PERM_DENIED)
    assert passed
    spoilt = f"auth required {table.row_module} before 7 0\n{inside.around}"
    before = Table(table.lines, table.row_module, table.folder, table.exempt, spoilt)
    for row in islice(rows(table.roles), 0, None, every * 7):
        assert before.run(row).code != Code.SUCCESS


@pytest.mark.parametrize("place", PLACES)
def test_within_another_stack(table: Table, place: str) -> None:
    within(table, place, every=23)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_each_row_within_another_stack(table: Table, place: str) -> None:
    within(table, place, every=1)


def test_whatever_another_module_says(table: Table) -> None:
    """Those that are no factor, one after the other: rootok, usertype, localuser, faillock, …"""
    passed = sum(table.check_strange(row) for row in strange_rows(table.roles, 1))
    assert passed or not others(table.roles)


@pytest.mark.slow
def test_whatever_two_other_modules_say(table: Table) -> None:
    some = islice(strange_rows(table.roles, 2), 0, None, 11)
    passed = sum(table.check_strange(row) for row in some)
    assert passed or len(others(table.roles)) < 2


def test_credentials_alone(table: Table) -> None:
    """sshd authenticates in another process; cron does not authenticate at all."""
    (table.folder / "row").write_text(with_outcomes(table.lines, table.row_module, {}))
    assert authenticate(table.folder, "row", setcred_alone=True).setcred == Code.SUCCESS


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_the_files_tell_the_same(path: Path) -> None:
    """Nothing but pam_rootok is `sufficient`, and the two looks at the group are the same."""
    lines = auth_lines(path.read_text())
    sufficient = [line.role for line in lines if line.control == "sufficient"]
    assert sufficient == (["rootok"] if path.name == "su" else [])
    assert len({line.args for line in lines if line.role in ("look", "member")}) == 1
    assert "nullok" not in "".join(map(str, lines))
    roles = [line.role for line in lines]
    assert ("decoy" in roles) == ("uniform" in path.parts)
    assert auth_lines(twin(path).read_text()) == lines


# -- mistakes


def mistakes(lines: list[Line]) -> Iterator[tuple[str, list[Line]]]:
    """Slips of an administrator's hand, each as (what, the lines with it)."""

    def change(line: Line, control: str) -> list[Line]:
        other = Line(line.type, control, line.module, line.args)
        return [other if each is line else each for each in lines]

    for line in lines:
        if line.role not in ("unix", "sss", "ukey", "decoy", "member", "gate"):
            continue
        jump = re.search(r"success=(\d+)", line.control)
        for number in (int(jump[1]) - 1, int(jump[1]) + 1) if jump else ():
            if line.role == "gate" and jump and number > int(jump[1]):
                continue  # over pam_permit, to where an earlier success counts as well
            action = f"success={number}" if number else "success=ok"
            yield (
                f"{line.role}: {action}",
                change(line, re.sub(r"success=\d+", action, line.control)),
            )
        if line.role == "ukey":
            for control in ("sufficient", "required", "optional", "[success=ok default=ignore]"):
                yield f"ukey: {control}", change(line, control)
        ends = lines[lines.index(line) + 1].role == "authfail"  # whatever this line did
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
    unseen = [
        what for what, lines in slips if not found(Table(lines, table.row_module, table.folder))
    ]
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
    assert found(Table(lines, built / "pam_row.so", tmp_path, around=around))


def test_the_examples_are_what_they_were_found_in() -> None:
    """A mistake in a file of its own does not stay unseen because nobody looked there."""
    texts = [path for path in EXAMPLES.rglob("*") if path.is_file() and "auth " in path.read_text()]
    assert len(examples()) == 24 and set(examples()) <= set(texts)
