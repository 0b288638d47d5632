# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the module says must hold does, and a rule against it does not link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.selinux.link import MODULES, compile_test, kernel_policy, link
from tests.selinux.reach import Policy

pytestmark = pytest.mark.timeout(400)

RULE = re.compile(r"^allow (\w+) (\w+):(\w+) (\w+);$", re.MULTILINE)


@pytest.fixture(scope="module")
def refusal(folder: Path, store: Path) -> str:
    """What the linker says to a module that breaks every promise."""
    done = link(store, compile_test("planted", folder / "planted"))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("rule", RULE.findall((MODULES / "planted.te").read_text()), ids=" ".join)
def test_a_planted_violation_is_refused_by_its_line(
    refusal: str, rule: tuple[str, str, str, str]
) -> None:
    source, target, tclass, permission = rule
    assert f"(allow {source} {target} ({tclass} ({permission})))" in refusal


def test_nothing_else_is_refused(refusal: str) -> None:
    """And the module alone is not."""
    refused = set(re.findall(r"\(allow (\w+) (\w+) \((\w+) \((\w+)\)\)\)", refusal))
    assert refused == set(RULE.findall((MODULES / "planted.te").read_text()))


@pytest.mark.slow
def test_backups_get_the_records_where_an_administrator_says_so(folder: Path, module: Path) -> None:
    done = link(folder / "with-backups", module, compile_test("backups", folder / "backups"))
    assert done.returncode == 0, done.stderr
    policy = Policy(kernel_policy(folder / "with-backups"))
    for kind in ("ukey_etc_t", "ukey_var_lib_t"):
        assert policy.who(kind, "file", "read") == {"ukey_keyservice_t", "backup_t"}
