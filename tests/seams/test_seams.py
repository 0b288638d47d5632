# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A kind of ukeys, an algorithm, a factor and an operation are each one file and one line of a
registry: in a copy of the tree they are added so, and somebody logs in with them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import CHECKOUT

HERE = Path(__file__).parent
#: What is added: the toy's file, where it goes, the registry, and its lines there.
ADDED = {
    "toy_algorithm.py": (
        "keyservice/crypto/toy.py",
        "keyservice/crypto/algorithms.py",
        {
            '    "ed25519": ("ed25519", "ED25519"),\n': (
                '    "ed25519": ("ed25519", "ED25519"),\n    "toy": ("toy", "TOY"),\n'
            )
        },
        "",  # it is loaded by that name
    ),
    "toy_kind.py": (
        "keyservice/ukeys/toy.py",
        "keyservice/ukeys/kinds.py",
        {"(GMT0017, PIV, OPENPGP)": "(GMT0017, PIV, OPENPGP, TOY)"},
        "from .toy import TOY\n",
    ),
    "toy_factor.py": (
        "keyservice/access/factors/toy.py",
        "keyservice/access/factors/__init__.py",
        {"(Ukey(), SshKey(), Session())": "(Ukey(), SshKey(), Session(), Riddle())"},
        "from .toy import Riddle\n",
    ),
    "toy_operation.py": (
        "keyservice/access/toy.py",
        "keyservice/access/operations.py",
        {
            "    operations.VERIFY_PIN: verify_pin,\n": (
                "    operations.VERIFY_PIN: verify_pin,\n    GREET: greet,\n"
            )
        },
        "from .toy import GREET, greet\n",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for part in ("keyservice", "tests", "tools"):
        shutil.copytree(CHECKOUT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tree)
    shutil.copytree(CHECKOUT / "data", tree / "data")
    for toy, (place, registry, lines, imported) in ADDED.items():
        shutil.copy(HERE / toy, tree / place)
        file = tree / registry
        text = file.read_text()
        for old, new in lines.items():
            assert text.count(old) == 1, (registry, old)
            text = text.replace(old, new)
        last = max(text.rfind(f"\n{word}") for word in ("from .", "from keyservice"))
        end = text.index("\n", text.index(")", last) if "(\n" in text[last:][:80] else last + 1)
        file.write_text(text[: end + 1] + imported + text[end + 1 :])
    (tree / "tests/conftest.py").unlink()  # it installs the product
    shutil.copy(HERE / "toy_login.py", tree / "tests/access/test_toy.py")
    return tree


def test_each_is_a_file_and_a_line(copy: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/access/test_toy.py"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
