# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A root is kept by all that it is made from: what changes one of these gets another root."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import must

#: Prints "KIND NAME" of each kind of root that packages are built in and tried on.
NAMES = """
checkout=$1
. "$checkout/scripts/lib/root.sh"
suite=$2
for kind in bare deb rpm host; do
    echo "$kind $(root_key $kind)"
done
"""


def names(checkout: Path, suite: str = "bookworm") -> dict[str, str]:
    told = must(["sh", "-euc", NAMES, "sh", checkout, suite])
    return dict(line.split() for line in told.splitlines())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("packaging", "scripts/lib"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "others"),
    [
        ("packaging/debian/control", {"deb", "host"}),
        ("packaging/requirements-vendor.txt", {"deb", "rpm"}),
        ("packaging/requirements-gmssl.txt", {"rpm"}),
        ("scripts/lib/package-roots.sh", {"deb", "rpm", "host"}),
        ("scripts/lib/build-root.sh", {"bare", "deb", "rpm", "host"}),
        ("packaging/debian/changelog", set()),
    ],
)
def test_a_change_of_what_a_root_is_made_from_makes_another(
    checkout: Path, changed: str, others: set[str]
) -> None:
    before = names(checkout)
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    after = names(checkout)
    assert {kind for kind in before if before[kind] != after[kind]} == others


def test_each_version_of_debian_has_roots_of_its_own(checkout: Path) -> None:
    roots = {suite: names(checkout, suite) for suite in ("bookworm", "trixie")}
    assert not set(roots["bookworm"].values()) & set(roots["trixie"].values())


def test_what_the_package_depends_on_is_read_from_its_control_file(checkout: Path) -> None:
    """All of it but what only the build finds out."""
    control = checkout / "packaging/debian/control"
    fields = "Depends:\n a,\n b (>= 1) | c,\n ${misc:Depends},\nSuggests: d\n"
    control.write_text(f"Package: x\n{fields}")
    script = 'checkout=$1; . "$checkout/scripts/lib/package-roots.sh"; depends'
    assert must(["sh", "-euc", script, "sh", checkout]) == "a,b (>= 1) | c"
