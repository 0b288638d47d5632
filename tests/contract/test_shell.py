# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A word that others chose, in a command that root pastes: a real shell reads it as that word."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyservice.contract.shell import word


def read_back(shown: list[str]) -> list[str]:
    """The words as a shell reads them, in a folder whose names fit every pattern."""
    script = "printf '%s\\0' " + " ".join(shown)
    done = subprocess.run(["sh", "-c", script], cwd="/usr/bin", capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("text", ["9F3A00017C21", "alice", "张三", "a.b-c_d@host:1/2,3=%+"])
def test_an_ordinary_one_stays_as_it_is(text: str) -> None:
    assert word(text) == text


ODD = ["", " ", "a b", "1;id", "$(id)", "`id`", "*", "~root", "a'b", 'a"b', "DOM\\bob", "#", "!1"]


def test_an_odd_one_is_one_word() -> None:
    assert read_back([word(text) for text in ODD]) == ODD


@settings(max_examples=50, database=None, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", min_codepoint=33), max_size=32), min_size=1))
def test_so_is_any_serial(serials: list[str]) -> None:
    assert read_back([word(serial) for serial in serials]) == serials
