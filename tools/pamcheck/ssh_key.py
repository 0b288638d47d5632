# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""sshd's stack, where an ssh key is the factor: whether it passes on what sshd has verified.

sshd tells it in libpam's variable ``SSH_AUTH_INFO_0``, where each module that runs may write too.
So the keyservice believes it only if the first auth line has taken it down.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyservice.contract.factors import SSH_KEY
from keyservice.contract.pam import SSHD

from ..language import _
from .afar import factors
from .finding import Finding, Severity
from .lines import Line
from .modules import asks_for_ukey, is_interpreter, takes_ssh_key
from .places import Places
from .reading import Unreadable
from .stack import Stack, TooLong, load

#: The line, as it stands in pam.d-examples.
TAKES = "auth optional                             pam_ukey.so take_ssh_key"
_YES = ("user_readenv=1",)


def findings(stack: Stack, places: Places) -> Iterator[Finding]:
    """What is wrong with it, if people from afar are asked for an ssh key."""
    if stack.service not in SSHD or not any(map(asks_for_ukey, stack.lines)):
        return
    if SSH_KEY not in (factors(places, stack.service) or ()):
        return
    lines = [line for line in stack.lines if line.type == "auth" or line.includes]
    if not lines or not _is_the_line(lines[0]):
        yield _not_first(stack, lines)
        return
    for line in lines[1:]:
        if asks_for_ukey(line):
            break
        if _writes(line):
            text = _(
                "{module} may write SSH_AUTH_INFO_0, in which sshd says which key it has verified: "
                "a login in which it does is refused"
            )
            cure = _("move the line below that of pam_ukey, or take user_readenv=1 out")
            name = line.name
            yield Finding(
                "ssh-key-overwritten", Severity.NOTE, line.place, text.format(module=name), cure
            )


def _not_first(stack: Stack, lines: list[Line]) -> Finding:
    text = _(
        "sshd's key is not taken down by the first auth line: everybody who has one is refused"
    )
    writer = next((line for line in lines if _writes(line)), None)
    if writer is not None:
        text = _(
            "sshd's key is not taken down by the first auth line, and {module} may write another "
            "one in its place: everybody who has a key is refused"
        ).format(module=writer.name)
    place = (writer or lines[0]).place if lines else str(stack.file)
    cure = _("write this before every other auth line and every include:")
    return Finding("ssh-key-not-taken", Severity.SHUT, place, text, cure, TAKES)


def _is_the_line(line: Line) -> bool:
    return not line.includes and takes_ssh_key(line) and line.args == ("take_ssh_key",)


def _writes(line: Line) -> bool:
    """Whether the module writes what a user says into libpam's environment, or may do so."""
    return (line.name == "pam_env" and any(word in _YES for word in line.args)) or (
        is_interpreter(line) and not asks_for_ukey(line)
    )


def alone(places: Places) -> bool:
    """Whether sshd's people are asked for an ssh key, and for nothing in its place."""
    (service,) = SSHD
    file = places.find(service)
    if file is None or list(factors(places, service) or ()) != [SSH_KEY]:
        return False
    try:
        return any(map(asks_for_ukey, load(places, service, file).lines))
    except (Unreadable, TooLong):
        return False
