# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything the service says to people: what is wrong, and what they can do next.

Facts in the texts may come from a ukey or a caller, so they are made printable and cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from keyservice.contract.i18n import translation
from keyservice.contract.reasons import N_ as N_
from keyservice.contract.reasons import translated
from keyservice.core import errors
from keyservice.core.errors import UkeyError

from .conversation import Request
from .settings import Rules

_FACT_MAX = 200  #: characters of a fact in a text
_PLACE = re.compile(r"\{([a-z_]+)\}")


#: By the nearest class of the error's ancestry.
_ERRORS: Mapping[type[UkeyError], str] = {
    UkeyError: N_("This failed. The keyservice's log says why."),
    errors.BadRequest: N_("This cannot be done: {message}."),
    errors.NotAllowed: N_("You may not do this: {message}."),
    errors.Cancelled: N_("Cancelled."),
    errors.DeadlinePassed: N_("There was no answer in time. Try again."),
    errors.UkeyMute: N_("The ukey did not answer in time. Take it out, insert it and try again."),
    errors.LookUpLate: N_(
        "This host could not look something up in time. Try again; ask an administrator if that"
        " does not help."
    ),
    errors.Busy: N_("Too many of your sessions are open. Wait for them to end."),
    errors.UnknownUser: N_("This host knows no user {user}."),
    errors.NotEnrolled: N_(
        "No ukey is bound to {user}. An administrator binds one with: getpubkey {user}"
    ),
    errors.AlreadyBound: N_(
        "Ukey {serial} is bound to {user} already. To free it: rmpubkey {user}"
    ),
    errors.Revoked: N_(
        "The key of ukey {serial} was revoked on this host. If the ukey was found again, an"
        " administrator takes that back with: ukey unrevoke {key}"
    ),
    errors.RecordDamaged: N_(
        "The record {path} cannot be trusted: {why}. Restore it from a backup; or remove a user's"
        " with 'rmpubkey --force USER' and bind anew."
    ),
    errors.RecordForeign: N_(
        "The record for {record_user} (uid {record_uid}) does not fit {user} (uid {uid}). If the"
        " user was renamed or made anew, remove the record with: rmpubkey {record_user}"
    ),
    errors.StoreFailed: N_("The records cannot be used: {path}: {why}."),
    errors.ReaderAbsent: N_(
        "No reader is there. Insert the ukey; if it is inserted, pcscd may not be running."
    ),
    errors.UkeyAbsent: N_("Ukey {serial} is not inserted. Insert it and try again."),
    errors.UkeyRemoved: N_("The ukey was taken out too early. Insert it and try again."),
    errors.UkeyUnknown: N_("What is in the reader is not a ukey that is known here."),
    errors.UkeyFailed: N_(
        "The ukey answered in a way that makes no sense. Take it out, insert it and try again."
    ),
    errors.UkeyAmbiguous: N_("More than one ukey fits. Leave only yours inserted."),
    errors.ReaderRefused: N_("The configuration of this host does not allow this reader."),
    errors.KeyMismatch: N_(
        "This ukey has the serial {serial}, but not the key that was bound. It is not accepted."
    ),
    errors.NoKeyPair: N_(
        "The ukey holds no SM2 key pair to sign with. Add --generate to have it make one."
    ),
    errors.NotOnUkey: N_(
        "The ukey has no such application or container, or no SM2 key pair there. Leave the name"
        " out to see the key pairs that it has."
    ),
    errors.PinWrong: N_("The PIN is wrong."),
    errors.AdminPinWrong: N_("The admin PIN is wrong."),
    errors.PinLocked: N_(
        "The PIN is locked. An administrator unblocks it with: chpinpw --unblock {serial}"
    ),
    errors.AdminPinLocked: N_(
        "The admin PIN is locked as well. The PIN cannot be unblocked: replace the ukey."
    ),
    errors.TryWithheld: N_(
        "Only the last tries of the PIN are left, and they are kept back from here. Log in on a"
        " console of this machine, or have the PIN unblocked."
    ),
    errors.AdminTryWithheld: N_(
        "Only the last try of the admin PIN is left, which is never spent. Replace the ukey."
    ),
    errors.Throttled: N_("Too many wrong PINs. Wait {seconds} seconds and try again."),
    errors.PinRefused: N_("A PIN has 6 to 16 bytes, and no control characters."),
    errors.PinUnchanged: N_(
        "The new PIN was typed the same as the present one. Nothing was changed."
    ),
    errors.PinsDiffer: N_("The new PIN was not typed the same way twice. Nothing was changed."),
    errors.DefaultPin: N_(
        "The ukey still has the PIN that it was shipped with. Change it first with: chpinpw"
    ),
    errors.TryLimitTooHigh: N_(
        "The ukey allows {maximum} wrong PINs; at most 10 are safe. It is not accepted."
    ),
    errors.SignatureWrong: N_("The ukey's signature is wrong. It is not accepted."),
    errors.RemoteRefused: N_(
        "This login comes from another machine. Log in at this one itself, or ask an administrator"
        " whether that can be allowed."
    ),
}

#: What somebody who only wants to log in is told instead.
_ERRORS_OF_LOGIN: Mapping[type[UkeyError], str] = {
    errors.RecordDamaged: N_(
        "The record of your ukey on this host cannot be used. Ask an administrator: the log says"
        " what is wrong with it."
    ),
    errors.Revoked: N_("The key of this ukey was revoked on this host. Ask an administrator."),
    errors.StoreFailed: N_("The records of this host cannot be read. Ask an administrator."),
    errors.NotEnrolled: N_("No ukey is bound to you on this host. Ask an administrator."),
    errors.UnknownUser: N_("This host does not know you."),
}

#: What errors from below, which knows no catalogue, say to people as a ``{message}``.
FROM_BELOW = (
    N_("a user name has 1 to 256 bytes"),
    N_("a user name holds no slash and no control character"),
    N_("an application's or container's name has 1 to 48 plain bytes"),
)


class Texts:
    """The texts in one person's language."""

    def __init__(self, rules: Rules, request: Request, *, login: bool) -> None:
        wish = request.lang if rules.language == "auto" else rules.language
        catalogue = translation(wish, request.tty)
        self._, self._n = catalogue.gettext, catalogue.ngettext
        self._login = login

    # -- how it ended

    def error(self, error: UkeyError) -> str:
        """What is wrong, and what the person can do next."""
        if type(error) is errors.UkeyAbsent and "serial" not in error.facts:
            return self._("No ukey is inserted. Insert it and try again.")
        tables = (_ERRORS_OF_LOGIN, _ERRORS) if self._login else (_ERRORS,)
        for table in tables:
            for kind in type(error).__mro__:
                if kind in table:
                    message = _format(self._(error.message), **error.facts)
                    facts = {"message": message, **error.facts}
                    if "why" in facts:
                        facts["why"] = translated(str(facts["why"]), self._)
                    return self._with_tries(error, _format(self._(table[kind]), **facts))
        return self.bug()

    def bug(self) -> str:
        return self._("This failed. The keyservice's log says why.")

    def failed(self) -> str:
        """The one text of ``uniform``."""
        return self._("Authentication failed.")

    def bound(self, user: str, serial: str) -> str:
        return _format(self._("Ukey {serial} is now bound to {user}."), serial=serial, user=user)

    def unbound(self, user: str, serial: str) -> str:
        return _format(
            self._("Ukey {serial} is no longer bound to {user}."), serial=serial, user=user
        )

    def revoked(self, user: str, serial: str, key: str) -> str:
        return _format(
            self._(
                "Ukey {serial} is no longer bound to {user}, and its key is revoked on this host."
                " To take that back: ukey unrevoke {key}"
            ),
            serial=serial,
            user=user,
            key=key,
        )

    def discarded(self, user: str) -> str:
        return _format(
            self._(
                "The damaged record of {user} is removed. It could not be told which key was in"
                " it, so none is revoked: a ukey that is lost could be bound again."
            ),
            user=user,
        )

    def pin_changed(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is changed."), serial=serial)

    def pin_unblocked(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is set and unlocked."), serial=serial)

    def pin_right(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is right."), serial=serial)

    # -- prompts

    def pin_prompt(self, serial: str = "", left: int | None = None) -> str:
        """For the PIN; without a serial it says nothing about any ukey."""
        if not serial:
            return self._("PIN of the ukey: ")
        if left is None:
            return _format(self._("PIN of ukey {serial}: "), serial=serial)
        text = self._n(
            "PIN of ukey {serial} ({left} try left): ",
            "PIN of ukey {serial} ({left} tries left): ",
            left,
        )
        return _format(text, serial=serial, left=left)

    def old_pin(self, serial: str) -> str:
        return _format(self._("Present PIN of ukey {serial}: "), serial=serial)

    def new_pin(self) -> str:
        return self._("New PIN: ")

    def new_pin_again(self) -> str:
        return self._("New PIN again: ")

    def admin_pin(self, serial: str) -> str:
        return _format(self._("Admin PIN of ukey {serial}: "), serial=serial)

    def which_ukey(self) -> str:
        return self._("Serial of the ukey to use: ")

    def which_container(self) -> str:
        return self._("Number of the container to use: ")

    # -- on the way

    def insert(self, serial: str = "") -> str:
        if not serial:
            return self._("Insert the ukey.")
        return _format(self._("Insert ukey {serial}."), serial=serial)

    def wait_for_turn(self) -> str:
        return self._("Another session uses the ukey; waiting for it to end.")

    def wait_for_device(self) -> str:
        return self._("The ukey is working.")

    def ukeys_present(self, serials: Iterable[tuple[str, str]]) -> str:
        """`serials`: (serial, label) of each."""
        lines = [self._("Several ukeys are inserted:")]
        lines += [f"  {printable(serial)}  {printable(label)}" for serial, label in serials]
        return "\n".join(lines)

    def containers(self, refs: Iterable[tuple[str, str]]) -> str:
        """`refs`: (application, container) of each."""
        lines = [self._("The ukey holds several SM2 key pairs:")]
        for number, (application, container) in enumerate(refs, start=1):
            lines.append(f"  {number}  {printable(application)} / {printable(container)}")
        return "\n".join(lines)

    def no_such_choice(self) -> str:
        return self._("That is none of them.")

    def tries_left(self, left: int) -> str:
        return _format(self._n("{left} try is left.", "{left} tries are left.", left), left=left)

    def admin_tries_left(self, left: int) -> str:
        text = self._n(
            "{left} try of the admin PIN is left; the last one is never spent.",
            "{left} tries of the admin PIN are left; the last one is never spent.",
            left,
        )
        return _format(text, left=left)

    def generating(self) -> str:
        return self._("The ukey makes a key pair; this may take a while.")

    def _with_tries(self, error: UkeyError, text: str) -> str:
        """After a wrong PIN, `text` and how many tries are left."""
        left = error.facts.get("left")
        if not isinstance(error, errors.PinWrong) or not isinstance(left, int):
            return text
        return self._("{sentence} {next}").format(sentence=text, next=self.tries_left(left))


def _format(translated: str, **facts: object) -> str:
    """`translated` with its facts; one that is not known reads as a question mark.

    Not by ``str.format``: an error's text may be a device worker's, which could ask there for a
    width of gigabytes.
    """
    return _PLACE.sub(lambda place: printable(str(facts.get(place[1], "?"))), translated)


def printable(text: str) -> str:
    """`text` without what could steer a terminal, and cut."""
    if len(text) > _FACT_MAX:
        text = text[:_FACT_MAX] + "…"
    return "".join(char if char.isprintable() else "?" for char in text)
