# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a PAM stack passes on safely which ssh key sshd has verified.

sshd writes that into libpam's environment, where each module that runs may write too, and what it
writes cannot be told from sshd's. So it is believed only if nothing can have run before the line
that takes it down: that has to be the first auth line of the service's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keyservice.core.errors import SshKeyUntold
from keyservice.core.reasons import Reason, system

#: Where libpam looks for a service's file; the first that is there counts.
FOLDERS = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))
#: Bytes of a file.
_SIZE_MAX = 65536
_TAKES = re.compile(r"-?(?i:auth)\s+(?:\[[^\]]*\]|[^\s\[]+)\s+(?:\S*/)?pam_ukey\.so\s+take_ssh_key")
_SERVICE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def check(service: str, folders: Sequence[Path] = FOLDERS) -> None:
    """Raise :class:`SshKeyUntold` unless the first auth line of `service` takes the key down."""
    assert _SERVICE.fullmatch(service), "the name of a service of sshd's"
    path = next((folder / service for folder in folders if (folder / service).exists()), None)
    path = path or folders[0] / service
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_MAX + 1)
    except OSError as error:
        raise SshKeyUntold(why=system(error), path=str(path)) from None
    if len(content) > _SIZE_MAX:
        raise SshKeyUntold(why=Reason.STACK_SIZE.value, path=str(path))
    first = next(_auth_lines(content.decode("latin-1")), None)
    if first is None:
        raise SshKeyUntold(why=Reason.STACK_LACKS.value, path=str(path))
    if not _TAKES.fullmatch(first):
        raise SshKeyUntold(why=Reason.STACK_FIRST.value, path=str(path))


def _auth_lines(text: str) -> Iterator[str]:
    """The auth lines, Debian's includes, which may hold some, and lines that go on in the next one:
    libpam's versions differ in what they make of these."""
    for line in text.split("\n"):
        words = line.partition("#")[0].strip()
        if re.match(r"-?auth\s|@include\s", words, re.IGNORECASE) or line.rstrip().endswith("\\"):
            yield words
