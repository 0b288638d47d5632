# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What lies in the hostile user's folder: files with the names that programs look for.

None does anything. They are there so that whoever looks for such a name finds and opens it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

_TEXT = "This belongs to an unprivileged user.\n"
_PROGRAM = "#!/bin/sh\nexit 0\n"

_PROGRAMS = (
    "askpass", "cat", "id", "logger", "mail", "printf", "python3", "sendmail", "sh", "stat", "su",
    "sudo", "timeout", "touch", "tr", "unix_chkpwd",
)  # fmt: skip
#: What programs look for beside themselves, wherever PATH says that that is.
_BESIDE_PROGRAMS = ("pyvenv.cfg",)
_FILES = ("config", "hosts", "mbox", "terminfo", "zone")
_MODULES = ("encodings", "jeepney", "keyservice", "pam_ukey", "sitecustomize", "usercustomize")
_LOCALES = ("C.UTF-8", "en_US.UTF-8", "zh_CN.UTF-8", "xx")
_CATALOGUES = ("Linux-PAM", "libc", "pam-ukey", "shadow", "sudo", "sudoers", "util-linux")
_CATEGORIES = ("CTYPE", "COLLATE", "MESSAGES", "MONETARY", "NUMERIC", "TIME")


def lay(folder: Path, owner: int) -> None:
    """Fill `folder` and give it to `owner`."""
    text, program = folder / "text", folder / "program"
    text.write_text(_TEXT)
    program.write_text(_PROGRAM)
    program.chmod(0o755)

    libraries = {
        path.name
        for place in Path("/usr/lib").glob("*-linux-gnu")
        for path in (*place.glob("*.so*"), *place.glob("security/*.so"), *place.glob("gconv/*"))
    } | {path.name for path in Path("/usr/libexec/sudo").rglob("*.so*")}
    modules = {f"{name}.py" for name in (*sys.stdlib_module_names, *_MODULES)}
    _name(folder / "lib", text, libraries)
    _name(folder / "python", text, modules)
    _name(folder / "bin", program, _PROGRAMS)
    _name(folder / "bin", text, _BESIDE_PROGRAMS)
    _name(folder / "files", text, _FILES)
    for locale in _LOCALES:
        _name(folder / "locale" / locale, text, (f"LC_{category}" for category in _CATEGORIES))
        catalogues = (f"{name}.{kind}" for name in _CATALOGUES for kind in ("mo", "cat"))
        _name(folder / "locale" / locale / "LC_MESSAGES.d", text, catalogues)
    # A working directory in which every one of these names is found.
    _name(folder / "all", text, libraries | modules)
    _name(folder / "all", program, _PROGRAMS)
    _name(folder / "all", text, _BESIDE_PROGRAMS)
    (folder / "state").mkdir()
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            shutil.chown(Path(root, name), owner, owner)


def _name(folder: Path, file: Path, names: Iterable[str]) -> None:
    """`file` under many names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (folder / name).exists():
            os.link(file, folder / name)
