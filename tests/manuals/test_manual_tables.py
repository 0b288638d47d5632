# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pages of the module and of the files say what the code does, no more and no less."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from keyservice import config
from keyservice.contract.names import DEADLINE_DEFAULT, DEADLINE_MAX, Code
from keyservice.store.people import Event, Kind
from keyservice.store.record_text import RECORD_MAX, parse
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from pam_ukey.options import Options
from tests.manuals.pages import read, section, tags
from tests.support import CHECKOUT

CONFIGURATION = (CHECKOUT / "docs/configuration.md").read_text()
EXAMPLES = (CHECKOUT / "pam.d-examples/README.md").read_text()


def options_of(document: str) -> set[str]:
    """The options in a document's table of them."""
    below = document[document.index("ptions of ") :]
    return set(re.findall(r"^\| `(\w+)(?:=N)?` \|", below, re.MULTILINE))


def test_everything_that_names_the_modules_options_names_the_same() -> None:
    """Both modules, the page, the documents."""
    python = {field.name for field in fields(Options)} | {"take_ssh_key"}  # the C module's alone
    c = (CHECKOUT / "pam_ukey/native/options.c").read_text()
    words = set(re.findall(r'^        \{"(\w+)", ', c, re.MULTILINE))
    words |= {word.rstrip("=") for word in re.findall(r'\[\] = "(\w+=)"', c)}
    page = {tag.partition("=")[0] for tag in tags(section("pam_ukey.8", "OPTIONS"))}
    assert python == words == page == options_of(CONFIGURATION) == options_of(EXAMPLES)


def test_the_module_s_page_has_its_limits() -> None:
    text = read("pam_ukey.8")
    assert f"1 to {DEADLINE_MAX}; {DEADLINE_DEFAULT} without it" in text


def test_the_module_s_page_has_every_code_that_it_returns() -> None:
    named = {
        code
        for tag in tags(section("pam_ukey.8", "RETURN VALUES"))
        for code in re.findall(r"PAM_(\w+)", tag)
    }
    # The second pass of a password line says this if there was no first.
    assert named == {*Code, "AUTHTOK_ERR"}
    c = "".join(path.read_text() for path in (CHECKOUT / "pam_ukey/native").glob("*.c"))
    assert "PAM_AUTHTOK_ERR" in c


_ROW = re.compile(r"^\| `([\w.]+)` \| (?:`(.+?)`)? ?\|", re.MULTILINE)


@pytest.mark.parametrize(("key", "default"), _ROW.findall(CONFIGURATION))
def test_every_key_is_on_its_page_with_its_default(key: str, default: str) -> None:
    """tests/docs proves that the document has every key, and the defaults that hold."""
    table, _, name = key.rpartition(".")
    text = read("keyservice.toml.5")
    head = f"[[{table}]]" if table == "quirks" else f"[{table}]" if table else " KEYS "
    below = text[text.index(head) + len(head) :]
    assert f" {name} = {default} " in below if default else f" {name} " in below


def test_the_page_s_example_is_a_configuration() -> None:
    text = section("keyservice.toml.5", "EXAMPLES")
    examples = re.findall(r"^\.EX\n(.*?)^\.EE$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        assert config.parse(example.replace("\\-", "-")) != config.Config()


def test_the_record_s_page_has_its_fields_in_order() -> None:
    record, _, histories = section("usbkey.5", "DESCRIPTION").partition(".SS The revocations")
    assert tags(record) == ["version", *Binding.__annotations__]
    revoked, _, people = histories.partition(".SS Who had a ukey")
    for text, line in ((revoked, Revocation), (people, Event)):
        named = [name for tag in tags(text) for name in tag.replace(",", " ").split()]
        assert sorted(named) == sorted(["version", *line.__annotations__])
    assert all(kind in people for kind in Kind)
    assert f"at most {RECORD_MAX} bytes" in read("usbkey.5")


def test_the_page_s_record_is_one() -> None:
    match = re.search(r"^\{\n.*?^\}$", section("usbkey.5", "EXAMPLES"), re.MULTILINE | re.DOTALL)
    assert match
    fields = json.loads(re.sub(r"\\f[IR]", "", match[0]).replace("\\-", "-"))
    fields["public_key"] = "0" * 128
    assert parse(json.dumps(fields).encode())[0].user == "alice"
