# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a command says when the keyservice cannot be asked, or refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyservice.client.session import (
    Bus,
    ClientError,
    NotTrusted,
    ServiceRefused,
    SocketSession,
    TimedOut,
    Unreachable,
)
from keyservice.core import fips
from keyservice.core.errors import CryptoMissing

from . import exits, hints
from .command import Failure
from .exits import Exit
from .language import _, why

#: The ``error`` of ``--json`` where the service has not said one.
UNREACHABLE = "Unreachable"


@contextmanager
def reached() -> Iterator[None]:
    """Turns what goes wrong between here and the keyservice into a :class:`Failure`."""
    try:
        yield
    except ServiceRefused as refusal:
        raise refused(refusal) from None
    except NotTrusted as error:
        raise Failure(
            _("This is not the keyservice: {reason}.").format(reason=why(error.facts)),
            Exit.UNREACHABLE,
            error=UNREACHABLE,
            hint=_("Enter no PIN, and tell the administrator of this host."),
        ) from None
    except TimedOut as error:
        raise Failure(
            _("The keyservice does not answer: {reason}.").format(reason=why(error.facts)),
            Exit.UNREACHABLE,
            error=UNREACHABLE,
            hint=_lacking() or log_hint(),
        ) from None
    except ClientError as error:
        raise Failure(
            _("The keyservice cannot be reached: {reason}.").format(reason=why(error.facts)),
            Exit.UNREACHABLE,
            error=UNREACHABLE,
            hint=_lacking()
            or _("Start it as root: {command}").format(command=_start()) + "\n" + log_hint(),
        ) from None


def session(timeout: int) -> SocketSession:
    """Connect to the keyservice's socket. If nobody serves it, the bus is asked once to start the
    keyservice (D-Bus activation). `timeout`: seconds for the whole session."""
    try:
        return SocketSession(timeout=timeout)
    except Unreachable:
        try:
            Bus(timeout=_START_TIMEOUT).close()
        except ClientError:
            pass
        else:
            return SocketSession(timeout=timeout)
        raise


#: Seconds that the bus gets to start the keyservice.
_START_TIMEOUT = 20
#: Exists where systemd is the host's first process: sd_booted(3).
_SYSTEMD = Path("/run/systemd/system")


def _start() -> str:
    """The command that starts the keyservice on this host."""
    if _SYSTEMD.is_dir():
        return "systemctl start ukey-keyservice"
    return "env -i /usr/libexec/ukey/keyservice &"


def _lacking() -> str:
    """Why the keyservice cannot start on this host, where its OpenSSL lacks what ukeys need."""
    if not (names := fips.missing()):
        return ""
    facts = fips.lacking(*names).facts
    return _(CryptoMissing.text).format(names=facts["names"], why=why(facts))


def log_hint() -> str:
    """The log in which the keyservice says why."""
    return _("What it says is in the log: {journal}, or {file}").format(
        journal="journalctl -t keyservice", file="/var/log/auth.log"
    )


def refused(refusal: ServiceRefused) -> Failure:
    """A refusal by the service, by its reason or in its words, with the command that comes next."""
    name, said = refusal.name, why(refusal.facts)
    if said[-1:].isalnum() and said.isascii():
        said += "."
    return Failure(said, exits.of_error(name), error=name, hint=hints.after(name, {}))
