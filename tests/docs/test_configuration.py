# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``docs/configuration.md`` names every key, with the default that holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyservice import config
from keyservice.core.tables import Table

TEXT = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
_ROW = re.compile(r"^\| `([\w.]+)` \| (?:`(.+?)`)? ?\|", re.MULTILINE)
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: key → default as TOML, "" where there is none
DOCUMENTED = dict(_ROW.findall(TEXT))


def as_toml(key: str, value: str) -> str:
    """A document that sets the one key."""
    *tables, name = key.split(".")
    head = {"quirks": "[[quirks]]"}.get(key.split(".")[0], f"[{'.'.join(tables)}]")
    return f"{head if tables else ''}\n{name} = {value}\n"


def test_every_key_of_the_configuration_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set[str]()
    take = Table._take

    def recording(table: Table, key: str, default: object) -> object:
        asked.add(re.sub(r"\[\d+\]", "", table._full(key)))
        return take(table, key, default)

    monkeypatch.setattr(Table, "_take", recording)
    config.parse(
        "[services.NAME]\nfactors = ['ukey']\nfactors_from_afar = ['ukey']\nwait_for_ukey = 1\n"
        "[[quirks]]\n"
    )
    tables = {key.rpartition(".")[0] for key in asked} | {"services"}
    assert asked - tables == set(DOCUMENTED)


@pytest.mark.parametrize(("key", "default"), DOCUMENTED.items())
def test_the_documented_default_is_the_one_that_holds(key: str, default: str) -> None:
    if default:
        changed = config.parse(as_toml(key, default))
        assert changed in (
            config.Config(),
            config.parse("[services.NAME]"),
            config.parse("[[quirks]]"),
        )


@pytest.mark.parametrize("example", _TOML.findall(TEXT))
def test_the_examples_are_valid(example: str) -> None:
    assert config.parse(example) != config.Config()
