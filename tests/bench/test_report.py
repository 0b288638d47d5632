# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tables and the document that they are written into."""

from __future__ import annotations

import json

import pytest

from bench import report
from bench.figures import Figures, Login, Session, Verification
from bench.memory import UNIT, parse
from bench.report import render, table, write_between
from bench.sm2 import parse_speed

BEGIN, END = (mark.format(part="figures") for mark in (report.BEGIN, report.END))
FIGURES = Figures(
    date="2026-01-02",
    machine={"CPUs": "2"},
    logins=[
        Login("pam_permit", "pam_permit", [2.0] * 40),
        Login("pam_p11", "pam_p11, P-256", [8.0] * 40),
        Login("pam_ukey.so", "pam_ukey.so, SM2", [4.0] * 40),
    ],
    session=Session(total=[3.0, 4.0, 5.0], card=[1.0, 1.0, 1.0], floor=[2.0, 2.0, 2.0]),
    memory={"keyservice": 20.0, UNIT: 40.1},
    sm2=Verification("openssl", [250.0] * 5, [200.0] * 5),
)


def test_the_json_holds_every_sample() -> None:
    data = json.loads(FIGURES.to_json())
    assert data["logins"][1] == {"key": "pam_p11", "title": "pam_p11, P-256", "samples": [8.0] * 40}
    assert data["session"]["card"] == [1.0, 1.0, 1.0]


def test_each_login_stands_beside_the_floor_and_the_rival() -> None:
    row = next(line for line in render(FIGURES).splitlines() if "pam_ukey.so, SM2" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["pam_ukey.so, SM2", "40", "4.00", "4.00", "2.00", "2.00", "0.50"]


def test_an_aim_that_is_missed_is_said_to_be_missed() -> None:
    text = render(FIGURES)
    assert "costs 0.33 (0.33–0.33) of what pam_p11 does: the aim of 0.5 or less is met." in text
    assert "Of whole processes it is 0.50 (0.50–0.50)." in text
    assert "costs 2.00 (1.50–2.50) of its floor: the aim of 1.5 or less is not met." in text
    assert "The unit has 40.1 MiB: the aim of 40 or less is not met." in text
    assert "1.25 (1.25–1.25) of openssl's: the aim of 1.15 or less is not met." in text


def test_the_rest_of_a_session_is_what_the_card_did_not_take() -> None:
    row = next(line for line in render(FIGURES).splitlines() if "the rest" in line)
    assert "3.00" in row


def test_a_page_of_a_file_that_a_process_has_changed_is_its_own() -> None:
    smaps = (
        "7f00-7f10 r--p 00000000 08:01 42    /usr/lib/libc.so.6\n"
        "Rss:  100 kB\nAnonymous:  0 kB\n"
        "7f10-7f20 rw-p 00010000 08:01 42    /usr/lib/libc.so.6\n"
        "Rss:  20 kB\nAnonymous:  16 kB\n"
        "7f30-7f40 rw-p 00000000 00:00 0 \nRss:  8 kB\nAnonymous:  8 kB\n"
    )
    assert parse(smaps) == (24, {"/usr/lib/libc.so.6": 104})


def test_columns_line_up() -> None:
    lines = table(["a", "n"], [["long title", "1"], ["b", "1000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_only_what_stands_between_the_markers_changes() -> None:
    document = f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"
    assert write_between(document, "new") == f"# Before\n\n{BEGIN}\n\nnew\n{END}\n\nAfter.\n"


@pytest.mark.parametrize("document", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_document_without_its_markers_is_not_touched(document: str) -> None:
    with pytest.raises(ValueError, match=r"marker"):
        write_between(document, "new")


def test_openssl_speed_is_read() -> None:
    output = "+R11:4873:256:CurveSM2:1.00\n+F7:0:256:CurveSM2:4451.000000:5000.000000\n"
    assert parse_speed(output) == 200
    with pytest.raises(ValueError, match="CurveSM2"):
        parse_speed("+F7:0:256:nistp256:4451.0:5000.0\n")
