# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Figures by folder, kept and read again, and beside those of before."""

from __future__ import annotations

import pytest
from counting.figures import (
    Change,
    Count,
    File,
    by_folder,
    compare,
    comparison,
    from_json,
    missing,
    ranges,
    table,
    to_json,
)


def of(lines: int, branches: int, *missing: int) -> File:
    """A file of 1000 lines and 200 branches, of which so many ran."""
    return File(Count(lines, 1000), Count(branches, 200), missing)


BEFORE = {
    "tools/help.py": of(900, 100),
    "tools/ukey/list.py": of(1000, 200),
    "keyservice/access/audit.py": of(800, 150, 3, 4, 5, 9),
    "keyservice/access/pins.py": of(600, 50),
}


def test_a_folder_is_its_own_files_and_not_those_of_its_folders() -> None:
    folders = by_folder(BEFORE)
    assert list(folders) == ["keyservice/access", "tools", "tools/ukey", "all"]
    assert folders["tools"] == of(900, 100)
    assert folders["keyservice/access"] == File(Count(1400, 2000), Count(200, 400))
    assert folders["all"] == File(Count(3300, 4000), Count(500, 800))


def test_a_folder_without_branches_lacks_none() -> None:
    assert Count(0, 0).percent == 100
    assert Count(1, 8).percent == 12.5


def test_the_table() -> None:
    assert table({"tools/help.py": of(987, 3)}).splitlines() == [
        "| Folder | lines % | branches % |",
        "| ------ | ------: | ---------: |",
        "| tools  |    98.7 |        1.5 |",
        "| all    |    98.7 |        1.5 |",
    ]


def test_what_is_kept_is_read_again() -> None:
    assert from_json(to_json(BEFORE)) == BEFORE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "files": {}}',
        '{"version": 1, "files": []}',
        '{"version": 1, "files": {"a.py": {"lines": {"ran": 1}}}}',
        '{"version": 1, "files": {"a.py": {"lines": {}, "branches": {"more": 1}, "missing": []}}}',
    ],
)
def test_a_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        (of(900, 100), False),
        (of(895, 99), False),  # half a point, of each
        (of(894, 100), True),
        (of(1000, 98), True),
        (of(1000, 200), False),
    ],
)
def test_more_than_half_a_point_is_lost(after: File, lost: bool) -> None:
    (tools, everything) = compare({"tools/help.py": of(900, 100)}, {"tools/help.py": after})
    assert (tools.lost, everything.lost) == (lost, lost)


def test_a_loss_in_one_folder_is_not_made_good_in_another() -> None:
    after = {**BEFORE, "tools/ukey/list.py": of(990, 200), "tools/help.py": of(1000, 200)}
    assert [change.folder for change in compare(BEFORE, after) if change.lost] == ["tools/ukey"]


def test_folders_that_are_new_or_gone_are_no_loss() -> None:
    after = {"tools/help.py": of(900, 100), "tools/new/x.py": of(0, 0)}
    changes = compare({"tools/help.py": of(900, 100), "tools/old/x.py": of(900, 100)}, after)
    assert changes[1:3] == [
        Change("tools/new", None, of(0, 0)),
        Change("tools/old", of(900, 100), None),
    ]
    assert not any(change.lost for change in changes[:3])
    told = comparison(changes).splitlines()
    assert told[3].replace(" ", "") == "|tools/new||0.0|||0.0||new|"
    assert told[4].replace(" ", "") == "|tools/old|90.0|||50.0|||gone|"


def test_a_loss_is_told_with_its_points() -> None:
    told = comparison(compare({"tools/a.py": of(900, 100)}, {"tools/a.py": of(880, 110)}))
    assert told.splitlines()[2].replace(" ", "") == "|tools|90.0|88.0|-2.0|50.0|55.0|+5.0|lost|"


def test_missing_lines_are_told_as_ranges() -> None:
    assert missing(BEFORE) == "keyservice/access/audit.py: 3-5, 9"
    assert ranges(()) == ""
    assert ranges((1, 3, 4, 7)) == "1, 3-4, 7"
