# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything the service says to people: what is wrong, and what they can do next.

Facts in the texts may come from a ukey or a caller, so they are made printable and cut. The texts
also name commands, so names and serials are shown as a shell takes them (``contract.shell``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from keyservice.contract.i18n import translation
from keyservice.contract.shell import word
from keyservice.core import errors, reasons
from keyservice.core.errors import UkeyError
from keyservice.core.marks import N_ as N_
from keyservice.core.text import plain
from keyservice.ukeys.base import Remark

from .conversation import Request
from .settings import Rules

_FACT_MAX = 200  #: characters of a fact in a text
_PLACE = re.compile(r"\{([a-z_]+)\}")
#: Facts of several words; the odd ones among these are quoted already.
_SENTENCES = frozenset({"message", "why", "applications", "readers", "serials", "ukeys"})


class UkeyName(str):
    """A ukey's serial, as a shell takes it, and its label: shown as it is."""


def ukey_name(serial: str, label: str = "") -> UkeyName:
    """How texts name a ukey: by its serial, and by the label that root gave it."""
    shown = word(_cut(serial))
    return UkeyName(f'{shown} "{_cut(label)}"' if label else shown)


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
        if error.reason is not None:
            message = reasons.told(error.reason, error.facts, self._)
        else:
            message = _format(self._(error.message), **error.facts)
        facts = {"message": message, **error.facts}
        if reasons.WHY in facts:
            facts[reasons.WHY] = reasons.told(str(facts[reasons.WHY]), error.facts, self._)
        return self._with_tries(error, facts, _format(self._(self._text(error)), **facts))

    def reason(self, error: UkeyError) -> dict[str, reasons.Fact]:
        """The reason that :meth:`error` tells, as a name and facts; empty if it tells none."""
        if "{why}" not in self._text(error):
            return {}
        return reasons.carried(str(error.facts.get(reasons.WHY, "")), error.facts)

    def _text(self, error: UkeyError) -> str:
        return (self._login and error.login_text) or error.text

    def bug(self) -> str:
        return self._(UkeyError.text)

    def failed(self) -> str:
        """The one text of ``uniform``."""
        return self._("Authentication failed.")

    def bound(self, user: str, serial: str, *, attested: bool = False) -> str:
        text = (
            self._("Ukey {serial} is now bound to {user}; its maker vouches for the key.")
            if attested
            else self._("Ukey {serial} is now bound to {user}.")
        )
        return _format(text, serial=serial, user=user)

    def serial_of_zeros(self, serial: str) -> str:
        return _format(
            self._(
                "The serial of this ukey is {serial}: its maker gave it none. Another one like it"
                " cannot be told from it, and cannot be used on this host."
            ),
            serial=serial,
        )

    def unbound(self, user: str, serial: str) -> str:
        return _format(
            self._("Ukey {serial} is no longer bound to {user}."), serial=serial, user=user
        )

    def revoked(self, user: str, serial: str, key: str) -> str:
        return _format(
            self._(
                "Ukey {serial} is no longer bound to {user}, and its key is revoked on this host."
                " To take that back: ukey revocation undo {key}"
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

    def ssh_key_added(self, user: str, ssh: str) -> str:
        text = self._("The ssh key {ssh} is now registered for {user}.")
        return _format(text, ssh=ssh, user=user)

    def ssh_key_vouched(self, ssh: str) -> str:
        text = self._(
            "You vouch for it that the private key of {ssh} is where nobody can copy it: this host"
            " cannot see that."
        )
        return _format(text, ssh=ssh)

    def ssh_key_removed(self, user: str, ssh: str, key: str = "") -> str:
        """`key`: its fingerprint if it was revoked, too."""
        text = self._("The ssh key {ssh} is no longer registered for {user}.")
        if key:
            text = self._(
                "The ssh key {ssh} is no longer registered for {user}, and is revoked on this host."
                " To take that back: ukey revocation undo {key}"
            )
        return _format(text, ssh=ssh, user=user, key=key)

    def all_revoked(self, user: str, ukeys: Sequence[UkeyName]) -> str:
        return _format(
            self._(
                "Nothing is bound to {user} any more, and these keys are revoked on this host:"
                " {ukeys}. 'ukey revocation list' shows them, 'ukey revocation undo' takes that"
                " back."
            ),
            user=user,
            ukeys=", ".join(ukeys),
        )

    def pin_changed(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is changed."), serial=serial)

    def pin_unblocked(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is set and unlocked."), serial=serial)

    def pin_right(self, serial: str) -> str:
        return _format(self._("The PIN of ukey {serial} is right."), serial=serial)

    # -- prompts

    def pin_prompt(self, serial: str = "", left: int | None = None, *, touch: bool = False) -> str:
        """For the PIN; without a serial it says nothing about any ukey."""
        if not serial:
            return self._("PIN of the ukey: ")
        if touch:
            return self._pin_then_touch(serial, left)
        if left is None:
            return _format(self._("PIN of ukey {serial}: "), serial=serial)
        text = self._n(
            "PIN of ukey {serial} ({left} try left): ",
            "PIN of ukey {serial} ({left} tries left): ",
            left,
        )
        return _format(text, serial=serial, left=left)

    def _pin_then_touch(self, serial: str, left: int | None) -> str:
        """The same if a touch follows: not everybody sees what is said after the prompt."""
        if left is None:
            text = self._("PIN of ukey {serial}, then touch it when it blinks: ")
            return _format(text, serial=serial)
        text = self._n(
            "PIN of ukey {serial} ({left} try left), then touch it when it blinks: ",
            "PIN of ukey {serial} ({left} tries left), then touch it when it blinks: ",
            left,
        )
        return _format(text, serial=serial, left=left)

    def old_pin(self, serial: str) -> str:
        return _format(self._("Present PIN of ukey {serial}: "), serial=serial)

    def new_pin(self) -> str:
        return self._("New PIN: ")

    def new_pin_again(self) -> str:
        return self._("New PIN again: ")

    def not_ascii(self) -> str:
        return self._(
            "The new PIN has characters that not every keyboard types. A console, or a login"
            " screen, may have no way to type them: then nobody logs in there with this ukey."
        )

    def admin_pin(self, serial: str) -> str:
        return _format(self._("Admin PIN of ukey {serial}: "), serial=serial)

    def management_key(self, serial: str) -> str:
        text = self._("Management key of ukey {serial}, in hexadecimal digits: ")
        return _format(text, serial=serial)

    def which_ukey(self) -> str:
        return self._("Serial of the ukey to use: ")

    def which_container(self) -> str:
        return self._("Number of the container to use: ")

    # -- on the way

    def insert(self, ukeys: Sequence[UkeyName] = ()) -> str:
        """`ukeys`: those of which one is to be inserted; none means any."""
        if not ukeys:
            return self._("Insert the ukey.")
        if len(ukeys) == 1:
            return _format(self._("Insert ukey {serial}."), serial=ukeys[0])
        return _format(self._("Insert one of your ukeys: {ukeys}."), ukeys=", ".join(ukeys))

    def several_inserted(self, ukeys: Sequence[UkeyName]) -> str:
        text = self._(
            "Several of your ukeys are inserted: {ukeys}. The first one is asked for its PIN; to"
            " use another, take that one out and try again."
        )
        return _format(text, ukeys=", ".join(ukeys))

    def then_enter(self, sentence: str) -> str:
        """`sentence`, which tells the person what to do, as a prompt."""
        return self._("{sentence} Then press Enter: ").format(sentence=sentence)

    def press_enter(self, sentence: str) -> str:
        """`sentence`, which tells the person something, as a prompt."""
        return self._("{sentence} Press Enter: ").format(sentence=sentence)

    def wait_for_turn(self) -> str:
        return self._("Another session uses the ukey; waiting for it to end.")

    def touch(self, serial: str) -> str:
        return _format(self._("Touch ukey {serial} now: it blinks."), serial=serial)

    def wait_for_device(self) -> str:
        return self._("The ukey is working.")

    def ukeys_present(self, serials: Iterable[tuple[str, str]]) -> str:
        """`serials`: (serial, label) of each."""
        lines = [self._("Several ukeys are inserted:")]
        lines += [f"  {_cut(serial)}  {_cut(label)}" for serial, label in serials]
        return "\n".join(lines)

    def containers(self, refs: Iterable[tuple[str, str]]) -> str:
        """`refs`: (application, container) of each."""
        lines = [self._("The ukey holds several key pairs:")]
        for number, (application, container) in enumerate(refs, start=1):
            lines.append(f"  {number}  {_cut(application)} / {_cut(container)}")
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

    def admin_tries_untold(self) -> str:
        return self._("The ukey does not tell how many tries of the admin PIN are left.")

    def remarks(self, remarks: Remark) -> list[str]:
        """What root should know of a ukey before it is bound."""
        told = {
            Remark.IMPORTED: self._(
                "The key was not made on the ukey: there may be a copy of it elsewhere."
            ),
            Remark.DEFAULT_ADMIN_PIN: self._(
                "The ukey still has the admin PIN (PUK) that it was shipped with: somebody who"
                " finds it can set a new PIN. Change it with its maker's software."
            ),
            Remark.DEFAULT_MANAGEMENT_KEY: self._(
                "The ukey still has the management key that it was shipped with: any program that"
                " reaches it can replace its keys. Change it with its maker's software."
            ),
        }
        return [text for remark, text in told.items() if remark in remarks]

    def not_attested(self, serial: str, why: Mapping[str, reasons.Fact]) -> str:
        """`why`: the reason and its facts."""
        text = self._("No maker vouches for the key of ukey {serial}: {why}.")
        told = reasons.told(str(why.get(reasons.WHY, "")), why, self._)
        return _format(text, serial=serial, why=told)

    def generating(self) -> str:
        return self._("The ukey makes a key pair; this may take a while.")

    def _with_tries(self, error: UkeyError, facts: Mapping[str, object], text: str) -> str:
        """After a wrong PIN, `text` and how many tries are left; if none is, what to do."""
        left = facts.get("left")
        if not isinstance(error, errors.PinWrong) or not isinstance(left, int):
            return text
        if left > 0:
            then = self.tries_left(left)
        else:
            admin = isinstance(error, errors.AdminPinWrong)
            locked = errors.AdminPinLocked if admin else errors.PinLocked
            then = _format(self._(locked.text), **facts)
        return self._("{sentence} {next}").format(sentence=text, next=then)


def _format(translated: str, **facts: object) -> str:
    """`translated` with its facts; one that is not known reads as a question mark.

    ``str.format`` is not used: an error's text may be a device worker's, which could ask for a
    width of gigabytes there.
    """
    return _PLACE.sub(lambda place: _shown(place[1], facts), translated)


def _shown(name: str, facts: Mapping[str, object]) -> str:
    if name not in facts:
        return "?"
    fact = facts[name]
    if isinstance(fact, UkeyName):
        return fact
    text = _cut(str(fact))
    return text if name in _SENTENCES else word(text)


def _cut(text: str) -> str:
    """`text` without what could steer a terminal, and cut."""
    return plain(text if len(text) <= _FACT_MAX else text[:_FACT_MAX] + "…")
