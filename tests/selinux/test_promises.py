# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the module says must hold does, and a rule against it does not link."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import pytest

from tests.selinux.link import MODULES, SOURCES, compile_test, kernel_policy, link, part
from tests.selinux.reach import Policy
from tests.support.process import must

pytestmark = pytest.mark.timeout(600)

RULE = re.compile(r"^allow (\w+) (\w+):(\w+) (\w+);$", re.MULTILINE)
PROMISES = re.findall(r"^\s*(neverallow .*;)$", (SOURCES / "ukey.te").read_text(), re.MULTILINE)
#: What semodule makes of a compiled module before it links.
TO_CIL = "/usr/libexec/selinux/hll/pp"
#: m4's, of the classes that files have.
DIR_FILE_CLASS_SET = "{ dir file lnk_file sock_file fifo_file chr_file blk_file }"


@pytest.fixture(scope="module")
def refusal(folder: Path, module: Path) -> str:
    """What the linker says to a module that breaks every promise.

    A part of Debian's policy will do: that the promises hold in the whole of it, its link shows.
    """
    store = part(folder / "to-plant-in", "pcscd", "staff", "unconfined", "unprivuser")
    done = link(store, module, compile_test("planted", folder / "planted"))
    assert done.returncode != 0
    return done.stderr


@pytest.fixture(scope="module")
def named(refusal: str, module: Path) -> set[str]:
    """The promises that the linker says are broken.

    It names lines of what semodule made: one for each source, target and class, in the same order.
    """
    cil = must([TO_CIL, module]).splitlines()
    lines = [n for n, line in enumerate(cil, 1) if line.lstrip().startswith("(neverallow ")]
    made = [promise for promise in PROMISES for _ in range(cil_rules(promise))]
    broken = set(re.findall(r"neverallow check failed at \S*/ukey/cil:(\d+)", refusal))
    return {promise for n, promise in zip(lines, made, strict=True) if str(n) in broken}


def cil_rules(promise: str) -> int:
    """How many a line of the source becomes."""
    words = promise.replace("dir_file_class_set", DIR_FILE_CLASS_SET)
    sets = re.findall(r"~?\{.*?\}|[^\s:;]+", words)[1:4]  # source, target, classes
    return prod(1 if "~" in each else len(each.strip("{ }").split()) for each in sets)


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_is_broken_by_a_planted_rule(named: set[str], promise: str) -> None:
    assert promise in named


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
    """No promise is against it. That nobody has them otherwise is asked of the whole policy."""
    store = part(folder / "with-backups", "backup", "pcscd")
    done = link(store, module, compile_test("backups", folder / "backups"))
    assert done.returncode == 0, done.stderr
    policy = Policy(kernel_policy(store))
    for kind in ("ukey_etc_t", "ukey_var_lib_t"):
        assert policy.who(kind, "file", "read") == {"ukey_keyservice_t", "backup_t"}
