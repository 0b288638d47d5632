# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The stacks of this host as they would be: a copy that root alone can read."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.pamcheck.places import Places
from tools.pamcheck.reading import Unreadable, read

from .files import Change

_INCLUDE = re.compile(
    rb"^([ \t]*(?:@include|-?\w+[ \t]+(?:include|substack))[ \t]+)([^\s#]+)",
    re.MULTILINE | re.IGNORECASE,
)


@contextmanager
def private(places: Places, changes: Sequence[Change]) -> Iterator[Path]:
    """A folder with every service's file, and with `changes` made."""
    base = "/run" if os.access("/run", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="ukey-pam-", dir=base))
    try:
        for path in _files(places):
            # A service that is looked at, and its includes, were read before; others do not count.
            with suppress(Unreadable):
                (folder / path.name).write_bytes(read(places.follow(path)))
        for change in changes:
            (folder / change.file.name).write_bytes(change.after)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def for_libpam(folder: Path) -> Iterator[Path]:
    """Another copy, whose files include one another by whole names: Debian's libpam looks for what
    ``@include`` names in /etc/pam.d, wherever the file itself was."""
    with tempfile.TemporaryDirectory(prefix="ukey-pam-", dir=folder.parent) as name:
        there = Path(name)

        def whole(found: re.Match[bytes]) -> bytes:
            file = there / os.fsdecode(found[2])
            known = (folder / file.name).is_file() and file.parent == there
            return found[1] + (os.fsencode(file) if known else found[2])

        for file in folder.iterdir():
            (there / file.name).write_bytes(_INCLUDE.sub(whole, file.read_bytes()))
        yield there


def _files(places: Places) -> Iterator[Path]:
    """Of all folders that libpam reads; of one name, the one that counts comes last."""
    for folder in reversed(places.folders):
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted(folder.iterdir())
