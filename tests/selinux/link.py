# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Debian's policy with modules of ours in it, linked as a host does, where no SELinux is: the whole
of it where it is asked who may do what, a part where one link is as good as another."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.support import CHECKOUT
from tests.support.process import must, run

SOURCES = CHECKOUT / "selinux"
MODULES = Path(__file__).parent / "modules"
#: Debian's, linked when the sandbox was built, with neverallow rules checked.
DEBIAN = Path("/opt/selinux-policy")
#: Seconds; 4 on a machine that does nothing else.
LINKING = 120
#: Debian's modules that its policy does not link without.
_NEEDED = {"base", "getty", "xdg", "xserver"}


def compile_ukey(folder: Path) -> Path:
    """The product's module, compiled as packages do."""
    must(["make", "-C", SOURCES, f"O={folder}"], seconds=LINKING)
    return folder / "ukey.pp"


def compile_test(name: str, folder: Path) -> Path:
    """A module of the tests, compiled in a copy of the product's, whose interfaces it may use."""
    shutil.copytree(SOURCES, folder)
    shutil.copy(MODULES / f"{name}.te", folder)
    makefile = "/usr/share/selinux/devel/Makefile"
    must(["make", "-C", folder, "-f", makefile, f"{name}.pp"], seconds=LINKING)
    return folder / f"{name}.pp"


def link(
    store: Path, *modules: Path, keep_promises: bool = True
) -> subprocess.CompletedProcess[str]:
    """Add modules to the policy in `store`, which is made of Debian's if it is not there.

    `keep_promises`: neverallow rules are checked, which hosts do not and which takes a quarter of
    the time.
    """
    if not store.exists():
        shutil.copytree(DEBIAN, store, symlinks=True)
    config = store / "etc/selinux/semanage.conf"
    told = f"expand-check={int(keep_promises)}"
    config.write_text(re.sub("^expand-check=.*$", told, config.read_text(), flags=re.MULTILINE))
    semodule = ["semodule", "--noreload", f"--path={store}", "--store=default", "--priority=200"]
    return run([*semodule, *(f"--install={each}" for each in modules)], seconds=LINKING)


def part(store: Path, *modules: str) -> Path:
    """Debian's policy in `store`, of its modules only these and what they need: it is linked in a
    tenth of the time."""
    shutil.copytree(DEBIAN, store, symlinks=True)
    for module in (store / "var/lib/selinux/default/active/modules/100").iterdir():
        if module.name not in _NEEDED | set(modules):
            shutil.rmtree(module)
    return store


def kernel_policy(store: Path) -> Path:
    """What a kernel would load."""
    [policy] = (store / "etc/selinux/default/policy").glob("policy.*")
    return policy
