# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""scripts/test keeps compiled files in the checkout, and no process compiles a module again."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import must

#: The script's sandbox, in this one. Its second run must not write what is there already.
_COMPILE = "mount --bind $0 /out && sh /out/scripts/lib/compile.sh $1"
_FOLDERS = ("acceptance", "bench", "demo", "keyservice", "pam_ukey", "tests", "tools")
_OWNER = (1001, 1002)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("scripts/lib", *_FOLDERS, "keyservice/old/older"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(CHECKOUT / "scripts/lib/compile.sh", tmp_path / "scripts/lib")
    (tmp_path / "keyservice/__init__.py").write_text("def f(): pass\n")
    (tmp_path / "keyservice/old/older/gone.py").touch()
    (tmp_path / "tests/test_one.py").write_text("def test(): assert True\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\n")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, *_OWNER)
    return tmp_path


def compiled(tree: Path, what: str = "") -> dict[str, int]:
    Path("/out").mkdir(exist_ok=True)
    must(["unshare", "--mount", "sh", "-c", _COMPILE, tree, what])
    return {path.name: path.stat().st_ino for path in tree.rglob("*.pyc")}


def test_what_is_compiled_stays_until_its_source_changes(tree: Path) -> None:
    tag = sys.implementation.cache_tag
    first = compiled(tree, "collect")
    ours = {f"{name}.{tag}.pyc" for name in ("__init__", "gone", "test_one")}
    assert {*first} - ours == {f"test_one.{tag}-pytest-{pytest.__version__}.pyc"}
    assert {*first} >= ours
    assert compiled(tree, "collect") == first
    # at another second, as Python keeps them
    os.utime(tree / "keyservice/__init__.py", (1, 1))
    then = compiled(tree, "collect")
    assert {name for name in first if first[name] != then[name]} == {f"__init__.{tag}.pyc"}


def test_a_folder_whose_sources_were_removed_goes(tree: Path) -> None:
    compiled(tree)
    (tree / "keyservice/old/older/gone.py").unlink()
    compiled(tree)
    assert [path.name for path in (tree / "keyservice").iterdir() if path.is_dir()] == [
        "__pycache__"
    ]


def test_its_names_are_those_that_tests_see_and_its_owner_the_checkouts(tree: Path) -> None:
    compiled(tree, "collect")
    for path in (tree, *tree.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == _OWNER, path
    (file,) = (tree / "keyservice/__pycache__").iterdir()
    assert b"/usr/src/ukey/keyservice/__init__.py" in file.read_bytes()


def test_without_the_right_to_keep_them_it_does_without(tree: Path) -> None:
    (tree / "keyservice/__pycache__").mkdir()
    (tree / "tests/__pycache__").mkdir()  # of root's
    assert [name.partition(".")[0] for name in compiled(tree, "collect")] == ["gone"]
