# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A reason is carried as a name and facts, and told in its reader's language."""

from __future__ import annotations

import errno
import os
import re

import pytest

from keyservice.contract.bus_steps import variant_of
from keyservice.core.reasons import Fact, Reason, Unfit, carried, in_english, places, system, told

FACTS: dict[str, Fact] = {
    "number": 3,
    "size": 40,
    "length": 812,
    "path": "/run/x",
    "mode": "0644",
    "reason": "EIO",
}


def shout(text: str) -> str:
    """A catalogue: the same texts in another language."""
    return "".join(
        part if part.startswith("{") else part.upper() for part in re.split(r"(\{\w+\})", text)
    )


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_plain_name_and_is_told_with_its_facts(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason) or hasattr(errno, reason)
    facts: dict[str, object] = {name: f"x{number}" for number, name in enumerate(places(reason))}
    assert told(reason.value, facts) == reason.text.format(**facts)
    assert told(reason.value, facts, shout) == shout(reason.text).format(**facts)


@pytest.mark.parametrize("reason", set(Reason) - {Reason.CONNECT, Reason.FULL})
def test_the_facts_of_a_reason_stand_beside_those_of_a_record(reason: Reason) -> None:
    """Only the client tells reasons about the way to the service, and none is about a record."""
    assert not {"why", "path", "damaged"} & set(places(reason))


def test_names_are_an_interface() -> None:
    """Programs rely on them: a name that is gone, or means something else, breaks these."""
    assert (Reason.MODE, Reason.BAD_JSON, Reason.SHRUNK) == ("mode", "bad-json", "shrunk")


def test_what_is_carried_are_a_name_and_the_facts_of_its_text() -> None:
    row = carried(Reason.SHRUNK, {**FACTS, "serial": "SN1"})
    assert row == {"why": "shrunk", "size": 40, "length": 812}
    assert {name: variant_of(value)[0] for name, value in row.items()} == {
        "why": "s",
        "size": "x",
        "length": "x",
    }
    assert carried("a sentence", FACTS) == {}


def test_a_reason_within_a_reason_is_told_too() -> None:
    facts = {"path": "/run/x", "reason": "ENOENT"}
    assert told(Reason.CONNECT, facts, shout) == (
        "CANNOT CONNECT TO /run/x: NO SUCH FILE OR DIRECTORY"
    )
    inner = {"why": "broken", "reason": "EIO"}
    assert told(Reason.NOT_STARTED, {"reason": inner}) == (
        "the keyservice is not on the bus (the connection broke: Input/output error)"
    )


@pytest.mark.parametrize("name", ["", "newest", "its mode is 0644", "{name}", "a\nb"])
def test_a_name_of_a_newer_side_is_shown_as_it_is(name: str) -> None:
    assert told(name, FACTS, shout) == name


def test_what_a_newer_side_left_out_reads_as_a_question_mark() -> None:
    assert told(Reason.SHRUNK, {"size": 40}) == "it has 40 bytes, and had ?"


@pytest.mark.parametrize("number", errno.errorcode)
def test_what_the_system_says_is_told_as_it_says_it(number: int) -> None:
    assert told(system(OSError(number, ""))) == os.strerror(number)


@pytest.mark.parametrize("odd", ["{0}", "{name.__class__}", "{x:>2000000000}", "\\1", "%s"])
def test_what_was_filled_in_formats_nothing(odd: str) -> None:
    assert told(Reason.TYPE, {"name": odd}, shout) == f"{odd} IS OF THE WRONG TYPE"


def test_the_log_has_a_sentence_in_place_of_the_name() -> None:
    facts = {"path": "/etc/usbkey/bob", "why": "mode", "mode": "0644"}
    assert in_english(facts) == {"path": "/etc/usbkey/bob", "why": "its mode is 0644, not 0600"}
    assert in_english({"serial": "SN1"}) == {"serial": "SN1"}
    assert str(Unfit(Reason.VERSION, version=1)) == "it is not of version 1"
