# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with a request, a session or this host's configuration."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_
from keyservice.core.reasons import Fact, told

from .base import UkeyError


class BadRequest(UkeyError):
    """The request is malformed."""

    name, code, exit = ErrorName.BAD_REQUEST, Code.SERVICE_ERR, Exit.USAGE
    text = N_("This cannot be done: {message}.")


class NotAllowed(UkeyError):
    """The caller may not do this."""

    name, code, exit = ErrorName.NOT_ALLOWED, Code.PERM_DENIED, Exit.NOT_ALLOWED
    text = N_("You may not do this: {message}.")


class Busy(UkeyError):
    """Too many sessions of this caller are open."""

    name, code, exit = ErrorName.BUSY, Code.AUTHINFO_UNAVAIL, Exit.TOO_LATE
    text = N_("Too many of your sessions are open. Wait for them to end.")


class HostBusy(Busy):
    """Too many sessions of others are open on this host."""

    text = N_(
        "Too many people are being asked for a PIN on this host just now. Try again in a moment."
    )


class NoSession(UkeyError):
    """There is no such session of this caller."""

    name, code, exit = ErrorName.NO_SESSION, Code.SERVICE_ERR, Exit.TOO_LATE


class Cancelled(UkeyError):
    """The caller cancelled, or went away."""

    name, code, exit = ErrorName.CANCELLED, Code.CONV_ERR, Exit.CANCELLED
    text = N_("Cancelled.")


class DeadlinePassed(UkeyError):
    """No answer came before the deadline."""

    name, code, exit = ErrorName.DEADLINE_PASSED, Code.AUTHINFO_UNAVAIL, Exit.TOO_LATE
    text = N_("There was no answer in time. Try again.")


class UkeyMute(DeadlinePassed):
    """The ukey did not answer before the deadline."""

    text = N_("The ukey did not answer in time. Take it out, insert it and try again.")


class LookUpLate(DeadlinePassed):
    """A look-up on this host did not come back before the deadline."""

    text = N_(
        "This host could not look something up in time. Try again; ask an administrator if that"
        " does not help."
    )


class ChangeLate(LookUpLate):
    """A change on this host has not ended before the deadline, and may still be made."""

    text = N_(
        "This host has not written the change in time, and may still write it: its disk does not"
        " answer. The log says when it is written; before you run this again, 'ukey bindings' and"
        " 'ukey revocation list' show what holds."
    )


class TickMissed(DeadlinePassed):
    """Nothing could be tried in time for the tick at which all failures show."""


class ConfigurationError(UkeyError):
    """The configuration is wrong."""

    name, code, exit = ErrorName.CONFIGURATION, Code.SERVICE_ERR, Exit.FAILED


class CryptoMissing(ConfigurationError):
    """This host's OpenSSL does not offer what ukeys need."""

    text = N_(
        "This host's OpenSSL does not offer {names}, which ukeys need: {why}. Give the keyservice a"
        " configuration of OpenSSL with the default provider, or leave FIPS mode: FIPS MODE in"
        " keyservice(8) shows both."
    )
    login_text = N_(
        "This host lacks what it takes to check your ukey. Ask an administrator: the log says what."
    )

    def __init__(self, message: str = "", **facts: Fact) -> None:
        """Facts: names, of the algorithms; why, a :class:`Reason`, and what its text needs."""
        super().__init__(message, **facts)
        #: one line for the log and for ``--check-config``
        why = told(str(facts.get("why", "")), facts)
        self.message = self.text.format(names=facts.get("names", ""), why=why)

    def __str__(self) -> str:
        return self.message


class RemoteRefused(UkeyError):
    """The login is remote, and the service's configuration does not allow that. Facts: why,
    service."""

    name, code, exit = ErrorName.REMOTE_REFUSED, Code.PERM_DENIED, Exit.NOT_ALLOWED
    text = N_(
        "This login comes from another machine: {why}. Log in at this one itself, or ask an"
        " administrator whether that can be allowed."
    )


class PlaceUnknown(RemoteRefused):
    """Nothing shows that the person is at this machine. Facts: why, service."""

    text = N_(
        "This program is not known to be used at this machine: {why}. Log in on a text console of"
        " it, or ask an administrator whether that can be allowed."
    )


class PlaceOfService(RemoteRefused):
    """A service asks, in no session and on no terminal. Facts: why, service."""

    text = N_(
        "This program is not known to be used at this machine: {why}. Use sudo in a login session"
        " in its place, or ask an administrator whether the service {service} can be allowed that."
    )


class SessionUnproven(RemoteRefused):
    """No ssh key that is registered for the user opened the session. Facts: why, service, user."""

    text = N_(
        "No ssh key that is registered for {user} has opened this session. Log in again by ssh with"
        " one that is, or at this machine itself."
    )
    login_text = N_(
        "This session was not opened with an ssh key that is registered for you on this host. Log"
        " in again by ssh with one that is (ssh -i FILE), or at this machine itself."
    )


class PlaceLeft(RemoteRefused):
    """The person has logged out of where the program runs. Facts: why, service."""

    text = N_(
        "This program is not known to be used at this machine: {why}. Start it again from the"
        " session that you are in."
    )
