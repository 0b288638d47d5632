# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The files of the checkout that people write, and the rules that each of them keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

#: Not written by people, or not ours.
_SKIPPED = {"LICENSE"}
_FOLDERS = {".git", ".venv", "__pycache__", "build", "dist"}
_BINARY = {".png", ".jpg", ".woff2", ".mo", ".so", ".o", ".pyc"}
_CODE = {".py", ".c", ".h", ".sh"}

LONGEST = 400  # lines

# In brackets, so that these lines do not find themselves.
_UNFINISHED = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X])\b")
_MACHINE = re.compile(r"/wor[k]/|/User[s]/|/home/(?!demo\b|USER\b)\w+/|\.pyen[v]")


def files(root: Path) -> Iterator[Path]:
    """Every text file, in order."""
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in _FOLDERS and not path.name.endswith("_cache"):
            yield from files(path)
        elif path.is_file() and path.name not in _SKIPPED and path.suffix not in _BINARY:
            yield path


def is_code(path: Path) -> bool:
    """A program or a part of one, with or without a suffix."""
    if path.suffix in _CODE or path.name == "Makefile":
        return True
    return not path.suffix and path.read_bytes()[:2] == b"#!"


def is_shell(path: Path) -> bool:
    first = path.read_text().split("\n", 1)[0]
    return path.suffix == ".sh" or bool(re.match(r"#!\S*(?:/|env )(?:ba)?sh\b", first))


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a file, each as a few words."""
    text = path.read_text()
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        yield "does not end with a line end"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and path.suffix != ".diff":
            yield f"{number}: ends with white space"
        if _UNFINISHED.search(line):
            yield f"{number}: unfinished: {line.strip()}"
        if _MACHINE.search(line):
            yield f"{number}: a path of somebody's machine: {line.strip()}"
    if is_code(path):
        head = lines[1:3] if text.startswith("#!") else lines[:2]
        if not ("SPDX-License-Identifier: Apache-2.0" in head[0] and "Copyright" in head[-1]):
            yield "does not begin with its licence"
        if len(lines) - 1 > LONGEST:
            yield f"has {len(lines) - 1} lines, over {LONGEST}"
