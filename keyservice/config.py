# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The configuration file, TOML. Every key has a default; a key that is not known is an error.

``data/keyservice.toml`` is the file with every key, its default, and what it means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.access.settings import Rules, ServiceRule, SshKeys
from keyservice.contract.factors import misplaced
from keyservice.contract.names import DEADLINE_MAX
from keyservice.core import tables
from keyservice.core.tables import Table
from keyservice.core.text import plain
from keyservice.crypto.algorithms import ALGORITHMS
from keyservice.glass import serial_of, ttys_of
from keyservice.store.limits import CREDENTIALS_MAX
from keyservice.ukeys import kinds
from keyservice.ukeys.quirks import QuirkRule
from keyservice.ukeys.settings import ReaderSettings, can_fit

#: ``service.language`` → the locale name that the texts are chosen by.
_LANGUAGES = {"auto": "auto", "en": "C", "zh_CN": "zh_CN.UTF-8"}
_ENGINES = ("auto", "openssl", "gmssl")
#: A pattern over ``vvvv:pppp``: four hexadecimal digits on each side, ``?`` for one of them, ``*``
#: for the rest. One that can fit nothing, as with capital letters, would leave a reader open.
_USB_SIDE = r"(?:[0-9a-f?]{4}|[0-9a-f?]{0,3}\*)"
_USB = re.compile(rf"\*|{_USB_SIDE}:{_USB_SIDE}")


_SSH_KEYS = tuple(each.value for each in SshKeys)
_SSH_KEY, _KINDS = re.compile("|".join(_SSH_KEYS)), 'of "sk", "ukey" and "file"'

#: Bytes of the longest PIN: a limit of so many allows everything.
PIN_MAX = 16


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    rules: Rules = field(default_factory=Rules)
    readers: ReaderSettings = field(default_factory=ReaderSettings)
    bus: bool = True
    sm2: str = "auto"
    breakglass_serial: bool = True


def load(path: Path, *, required: bool, trusted: bool) -> Config:
    """Read the file; without one the defaults hold, unless it is `required`.

    `trusted` demands that only root can have written it. Raises :class:`ConfigurationError`,
    whose text has a line for each thing that is wrong.
    """
    return tables.load(path, _config, required=required, trusted=trusted) or Config()


def parse(text: str) -> Config:
    """The configuration in `text`. Raises :class:`ConfigurationError`, a line per problem."""
    return tables.parse(text, _config)


def _config(top: Table) -> Config:
    rules, readers = Rules(), ReaderSettings()
    service, bus, crypto = top.table("service"), top.table("bus"), top.table("crypto")
    reading, locality = top.table("readers"), top.table("locality")
    login, throttle = top.table("authentication"), top.table("throttle")
    pins, policy = top.table("pins"), top.table("policy")
    enrolment = top.table("enrolment")
    virtual = top.boolean("allow_virtual_readers", False)
    config = Config(
        Rules(
            deadline=service.number("deadline", rules.deadline, 5, DEADLINE_MAX),
            language=_LANGUAGES[service.word("language", "auto", tuple(_LANGUAGES))],
            local_ttys=ttys_of(locality),
            wait_for_ukey=login.number("wait_for_ukey", rules.wait_for_ukey, 0, DEADLINE_MAX),
            throttle_after=throttle.number("after", rules.throttle_after, 1, 10),
            throttle_seconds=throttle.number("seconds", rules.throttle_seconds, 1, 86400),
            throttle_longest=throttle.number("longest", rules.throttle_longest, 1, 86400),
            pin_same=pins.number("same", rules.pin_same, 1, PIN_MAX),
            pin_run=pins.number("run", rules.pin_run, 1, PIN_MAX),
            attested=policy.boolean("attested", rules.attested),
            allow_virtual_readers=virtual,
            shared_pcsc=top.boolean("shared_pcsc", False),
            ukeys_per_person=enrolment.number(
                "ukeys_per_person", rules.ukeys_per_person, 1, CREDENTIALS_MAX
            ),
            algorithms=policy.words("algorithms", rules.algorithms, ALGORITHMS),
            ssh_keys=frozenset(map(SshKeys, policy.texts("ssh_keys", _SSH_KEYS, _SSH_KEY, _KINDS))),
            services={table.name: _service(table) for table in top.table("services").tables()},
        ),
        ReaderSettings(
            operation_deadline=reading.number("deadline", int(readers.operation_deadline), 1, 120),
            allow=_reader_names(reading, "allow", readers.allow),
            deny=_reader_names(reading, "deny", readers.deny),
            usb=reading.texts("usb", readers.usb, _USB, 'USB ids such as "163c:*"'),
            allow_virtual_readers=virtual,
            quirks=tuple(_quirk(table) for table in top.array("quirks")),
        ),
        bus=bus.boolean("enabled", True),
        sm2=crypto.word("sm2", "auto", _ENGINES),
        breakglass_serial=serial_of(top.table("breakglass")),
    )
    top.finish()
    return config


def _service(table: Table) -> ServiceRule:
    table.retired("allow_remote", _instead)
    return ServiceRule(
        factors=_factors(table, "factors", local=True),
        factors_from_afar=_factors(table, "factors_from_afar", local=False),
        wait_for_ukey=table.optional_number("wait_for_ukey", 0, DEADLINE_MAX),
    )


def _instead(allow_remote: object) -> str:
    """It let people in from afar with a ukey in this machine."""
    return "write factors_from_afar = " + ("[]" if allow_remote is False else '["ukey"]')


def _factors(table: Table, key: str, *, local: bool) -> tuple[str, ...] | None:
    """The factors that the service asks for, in their order; None where the file does not say."""
    if not table.has(key):
        return None
    # here: it brings what proves them, which those who read the configuration at boot do without
    from keyservice.access.factors import BY_NAME

    words = ", ".join(f'"{name}"' for name in sorted(BY_NAME))
    known = re.compile("|".join(map(re.escape, BY_NAME)))
    found = table.texts(key, (), known, f"some of {words}")
    if len(set(found)) < len(found):
        table.complain(key, "names a factor twice")
    for why in dict.fromkeys(misplaced(name, table.name, local=local) for name in found or ("",)):
        if why:
            table.complain(key, why)
    return found


def _reader_names(table: Table, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns over readers' names. One that can fit none would leave a reader in use, or keep all
    of them out, without a word."""
    found = table.texts(key, default)
    for pattern in found:
        _check_reader(table, key, pattern)
    return found


def _check_reader(table: Table, key: str, pattern: str) -> None:
    if not can_fit(pattern):
        table.complain(
            key,
            f'has "{plain(pattern)}", which fits no reader: a name ends as "Vendor X 00 00" does.'
            ' Write all of it, as "ukey list" shows it, or * for the rest',
        )


def _quirk(table: Table) -> QuirkRule:
    reader = table.text("reader", "*")
    _check_reader(table, "reader", reader)
    manufacturer, serial = table.text("manufacturer", "*"), table.text("serial", "*")
    values = {name: table.one_of(name, each.choices) for name, each in kinds.settings().items()}
    if values[kinds.KIND] != kinds.ANY and (manufacturer, serial) != ("*", "*"):
        table.complain(
            kinds.KIND,
            "goes with reader alone: it counts before the ukey's manufacturer and serial are known",
        )
    return QuirkRule(reader, manufacturer, serial, values)
