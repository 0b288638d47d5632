# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A reason in English is found again and translated, with what was filled in."""

from __future__ import annotations

import re

import pytest

from keyservice.contract.reasons import Reason, translated


def shout(text: str) -> str:
    """A catalogue: the same texts in another language."""
    return "".join(
        part if part.startswith("{") else part.upper() for part in re.split(r"(\{\w+\})", text)
    )


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_found_again(reason: Reason) -> None:
    names = re.findall(r"\{(\w+)\}", reason)
    filled = reason.format(**{name: f"x{number}" for number, name in enumerate(names)})
    expected = shout(reason).format(**{name: f"x{number}" for number, name in enumerate(names)})
    assert translated(filled, shout) == expected


def test_a_reason_within_a_reason_is_translated_too() -> None:
    reason = Reason.CONNECT.format(path="/run/x", reason=Reason.ENOENT)
    assert translated(reason, shout) == "CANNOT CONNECT TO /run/x: NO SUCH FILE OR DIRECTORY"


@pytest.mark.parametrize("text", ["", "anything else", "{name}", "x\nis of the wrong type"])
def test_what_is_no_reason_stays_as_it_is(text: str) -> None:
    assert translated(text, shout) == text


@pytest.mark.parametrize("odd", ["{0}", "{name.__class__}", "{x:>2000000000}", "\\1", "%s"])
def test_what_was_filled_in_formats_nothing(odd: str) -> None:
    assert translated(Reason.TYPE.format(name=odd), shout) == f"{odd} IS OF THE WRONG TYPE"
