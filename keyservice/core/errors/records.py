# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with people and the records of their ukeys."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class UnknownUser(UkeyError):
    """The host knows no such user."""

    name, code, exit = ErrorName.UNKNOWN_USER, Code.USER_UNKNOWN, Exit.NOT_BOUND
    text = N_("This host knows no user {user}.")
    login_text = N_("This host does not know you.")


class NotEnrolled(UkeyError):
    """No ukey is bound to the user, and that is proven."""

    name, code, exit = ErrorName.NOT_ENROLLED, Code.USER_UNKNOWN, Exit.NOT_BOUND
    text = N_("No ukey is bound to {user}. An administrator binds one with: getpubkey {user}")
    login_text = N_("No ukey is bound to you on this host. Ask an administrator.")


class NotBound(NotEnrolled):
    """The named ukey is not the user's. Facts: serial, user."""

    text = N_("No ukey {serial} is bound to {user}: 'ukey bindings' shows whose each is.")


class AlreadyBound(UkeyError):
    """The user, the ukey or its key is bound already."""

    name, code, exit = ErrorName.ALREADY_BOUND, Code.PERM_DENIED, Exit.BOUND
    text = N_("Ukey {serial} is bound to {user} already. To free it: rmpubkey {user}")


class UkeysEnough(AlreadyBound):
    """The user has as many ukeys as the configuration allows. Facts: limit, serial, ukeys, user."""

    text = N_(
        "{user} has a ukey bound already: {ukeys}. enrolment.ukeys_per_person in keyservice.toml"
        " says how many each person may have; it is {limit}. To free one: rmpubkey {user}"
    )


class SerialTaken(AlreadyBound):
    """A ukey of that serial is bound, and has another key."""

    text = N_(
        "A ukey with the serial {serial} is bound to {user}, and has another key than this one. If"
        " it is the same ukey with a new key, unbind the old one: rmpubkey --force {user}. If they"
        " are two ukeys, their maker gave them one serial, and this host cannot tell them apart:"
        " use one with another serial."
    )


class NoneFree(AlreadyBound):
    """Several ukeys are inserted, and all are bound."""

    text = N_(
        "All ukeys that are inserted are bound already: {serials}. Insert the one to bind, or free"
        " one with 'rmpubkey USER'."
    )


class KeyTaken(AlreadyBound):
    """The key is registered already: a key has one owner and one purpose. Facts: user, ssh."""

    text = N_(
        "The key {ssh} is registered for {user} already: one key has one owner, and one purpose. An"
        " ssh key is freed by 'ukey ssh-key remove USER FINGERPRINT', the key of a ukey that logs"
        " in here by rmpubkey {user}"
    )


class Revoked(UkeyError):
    """The key was revoked on this host."""

    name, code, exit = ErrorName.REVOKED, Code.AUTH_ERR, Exit.BOUND
    text = N_(
        "The key of ukey {serial} was revoked on this host. If the ukey was found again, an"
        " administrator takes that back with: ukey revocation undo {key}"
    )
    login_text = N_("The key of this ukey was revoked on this host. Ask an administrator.")


class AlgorithmRefused(UkeyError):
    """The configuration does not allow the algorithm of the key. Facts: algorithm, serial."""

    name, code, exit = ErrorName.ALGORITHM_REFUSED, Code.PERM_DENIED, Exit.UNUSABLE
    text = N_(
        "The key of ukey {serial} is of the algorithm {algorithm}, which this host does not accept:"
        " policy.algorithms in keyservice.toml says which it does. Use a key of one of those."
    )
    login_text = N_(
        "The key of your ukey is of an algorithm that this host does not accept ({algorithm}). Ask"
        " an administrator for a ukey with another key."
    )


class SshAlgorithmRefused(AlgorithmRefused):
    """The configuration does not allow the algorithm of the ssh key. Facts: algorithm, ssh."""

    text = N_(
        "The ssh key {ssh} is of the algorithm {algorithm}, which this host does not accept:"
        " policy.algorithms in keyservice.toml says which it does."
    )
    login_text = N_(
        "Your ssh key is of an algorithm that this host does not accept ({algorithm}). Ask an"
        " administrator."
    )


class RecordDamaged(UkeyError):
    """A record cannot be trusted: damaged, or owned or writable by others than root."""

    name, code, exit = ErrorName.RECORD_DAMAGED, Code.AUTHINFO_UNAVAIL, Exit.RECORDS
    text = N_(
        "The record {path} cannot be trusted: {why}. Restore it from a backup; or remove a user's"
        " with 'rmpubkey --force USER' and bind again. 'ukey accept-state' takes what is left for"
        " right."
    )
    login_text = N_(
        "The record of your ukey on this host cannot be used. Ask an administrator: the log says"
        " what is wrong with it."
    )


class RecordForeign(RecordDamaged):
    """A record fits by name or by uid, but not by both: the user was renamed or made again."""

    text = N_(
        "The record for {record_user} (uid {record_uid}) does not fit {user} (uid {uid}). If the"
        " user was renamed or made again, remove the record with: rmpubkey {record_user}"
    )


class UidShared(RecordForeign):
    """Two living accounts have one uid, and the ukey is bound to the other one."""

    text = N_(
        "{user} and {record_user} are two accounts with one uid ({uid}), and a ukey is bound to"
        " {record_user}. Log in as {record_user}, or give {user} a uid of its own, with usermod."
    )
    login_text = N_(
        "This account has the uid of {record_user}, whose ukey is bound on this host. Log in as"
        " {record_user}, or ask an administrator."
    )


class RecordsUnclear(RecordDamaged):
    """A file that is not the person's own record keeps it open whether they have one."""

    text = N_(
        "Nobody can tell whether a ukey is bound to {user}, because of a file that is not {user}'s"
        " record: {path}: {why}. Restore it from a backup; or move it out of the folder, if it is"
        " no record. What is lost for good is accepted with 'ukey accept-state'."
    )
    login_text = N_(
        "Nobody can tell whether a ukey is bound to you on this host: a file among the records"
        " cannot be trusted. Ask an administrator: the log names it."
    )


class StoreFailed(UkeyError):
    """The records could not be read or written."""

    name, code, exit = ErrorName.STORE_FAILED, Code.AUTHINFO_UNAVAIL, Exit.RECORDS
    text = N_("The records cannot be used: {path}: {why}.")
    login_text = N_("The records of this host cannot be read. Ask an administrator.")


class NotRevoked(StoreFailed):
    """Unbinding by force failed in its first half: nothing is changed."""

    text = N_(
        "The key of ukey {serial} could not be revoked, so {user} still has it: {path}: {why}."
        " Nothing was changed. Put that right, and run this again."
    )


class NotAllRevoked(NotRevoked):
    """Unbinding of several ukeys by force failed: some keys are revoked, all records are there."""

    text = N_(
        "The key of ukey {serial} could not be revoked, so {user} still has it: {path}: {why}."
        " Other keys of {user} are revoked already, and let nobody in. Put that right, and run this"
        " again."
    )


class HalfUnbound(StoreFailed):
    """Unbinding by force failed in its second half: the key is revoked, the record is there."""

    text = N_(
        "The key of ukey {serial} is revoked on this host, and lets nobody in. But the record of"
        " {user} could not be removed: {path}: {why}. Put that right, and run this again."
    )


class RemovalLate(HalfUnbound):
    """The same, where the disk has not answered: the record may still be removed."""

    text = N_(
        "The key of ukey {serial} is revoked on this host, and lets nobody in. The record of {user}"
        " is not removed yet, and may still be: the disk does not answer. 'ukey bindings' shows it;"
        " if it stays, run this again."
    )
