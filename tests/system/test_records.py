# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Records and names that are not as they should be: nobody gets in by them, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.contract.names import RECORDS_DIR
from tests.support.host import Host
from tests.support.process import HostError, must, run
from tests.support.programs import Outcome
from tests.support.stacks import PamCode

from .conftest import Enrolled, enrol

RECORD = Path(RECORDS_DIR, "demo")
NOUSEROK = """
auth requisite pam_unix.so
auth [success=ok ignore=ignore default=die] pam_ukey.so nouserok
account required pam_permit.so
"""


def log_in(enrolled: Enrolled) -> Outcome:
    return enrolled.host.su(enrolled.user, enrolled.right)


# -- records


def damage(record: Path) -> None:
    record.write_bytes(record.read_bytes()[:-20])


def give_away(record: Path) -> None:
    os.chown(record, 1000, 1000)


def link(record: Path) -> None:
    record.rename("/root/elsewhere")
    record.symlink_to("/root/elsewhere")


def open_to_group(record: Path) -> None:
    record.chmod(0o640)


def empty(record: Path) -> None:
    record.write_bytes(b"")


@pytest.mark.parametrize("spoil", (damage, give_away, link, open_to_group, empty))
def test_a_spoilt_record_keeps_out_and_is_never_not_enrolled(
    enrolled: Enrolled, spoil: Callable[[Path], None]
) -> None:
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    spoil(RECORD)
    outcome = log_in(enrolled)
    assert outcome.code is PamCode.AUTHINFO_UNAVAIL, outcome.screen
    assert "PIN" not in "".join(outcome.prompts)
    host.authlog.wait_for(f"RecordDamaged.*path={RECORD}")
    answered = host.pam.converse("rollout", enrolled.user.name, enrolled.right)
    assert answered.code is PamCode.AUTHINFO_UNAVAIL, "nouserok must not let in"


def test_without_a_record_nouserok_lets_in_and_nothing_else_does(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    alice = host.user("alice", "battery staple")
    assert host.pam.converse("rollout", "alice", [alice.password]).code is PamCode.SUCCESS
    outcome = host.su(alice, [alice.password])
    assert outcome.code is PamCode.USER_UNKNOWN
    shutil.rmtree(RECORDS_DIR)
    answered = host.pam.converse("rollout", "alice", [alice.password])
    assert answered.code is PamCode.AUTHINFO_UNAVAIL, "records that cannot be read prove nothing"
    Path(RECORDS_DIR).mkdir(mode=0o700)


def test_a_revoked_keys_record_from_a_backup_lets_nobody_in(enrolled: Enrolled) -> None:
    host, backup = enrolled.host, RECORD.read_bytes()
    must(["rmpubkey", "--force", "--yes", "demo"])
    assert not RECORD.exists()
    RECORD.write_bytes(backup)
    RECORD.chmod(0o600)
    outcome = log_in(enrolled)
    assert outcome.code is PamCode.AUTH_ERR, outcome.screen
    host.authlog.wait_for("Revoked.*verdict|verdict=AUTH_ERR .*Revoked")
    RECORD.unlink()
    with pytest.raises(HostError, match="evoked"):
        host.bind(enrolled.user, enrolled.ukey)


def test_unrevoke_takes_it_back(host: Host) -> None:
    host.bus()
    enrolled = enrol(host)
    must(["rmpubkey", "--force", "--yes", "demo"])
    fingerprint = must(["ukey", "revoked"]).split()
    key = next(word for word in fingerprint if len(word) == 64)
    must(["ukey", "unrevoke", key])
    host.authlog.wait_for("event=unrevoke")
    host.bind(enrolled.user, enrolled.ukey)
    assert log_in(enrolled).allowed


# -- names


@pytest.mark.parametrize(
    "name", ("../demo", "de/mo", "..", ".", "demo\n", "\x1b[2Jdemo", "x" * 300)
)
def test_a_name_that_can_be_nobodys_is_refused(enrolled: Enrolled, name: str) -> None:
    done = run(["getpubkey", "--", name], input="")
    assert done.returncode not in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert list(Path(RECORDS_DIR).iterdir()) == [RECORD]
    enrolled.host.pam.stack("alone", "auth required pam_ukey.so nouserok\n")
    answered = enrolled.host.pam.converse("alone", name, [enrolled.pin])
    assert answered.code is not PamCode.SUCCESS


def test_another_spelling_of_an_enrolled_name_is_not_another_person(enrolled: Enrolled) -> None:
    """Name services fold case and add domains: a second name of the same uid is the same person."""
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    for file in ("/etc/passwd", "/etc/shadow"):
        lines = Path(file).read_text().splitlines()
        own = next(line for line in lines if line.startswith("demo:"))
        Path(file).write_text("\n".join([*lines, own.replace("demo:", "Demo:", 1)]) + "\n")
    answered = host.pam.converse("rollout", "Demo", [enrolled.user.password, enrolled.pin])
    assert answered.code is PamCode.AUTHINFO_UNAVAIL, answered
    assert len(answered.prompts) == 1


def test_a_uid_that_now_has_another_name_does_not_inherit(enrolled: Enrolled) -> None:
    must(["usermod", "--login", "bob", "demo"])
    try:
        host = enrolled.host
        host.pam.stack("rollout", NOUSEROK)
        answered = host.pam.converse("rollout", "bob", [enrolled.user.password, enrolled.pin])
        assert answered.code is PamCode.AUTHINFO_UNAVAIL
        host.authlog.wait_for("not by both")
    finally:
        must(["usermod", "--login", "demo", "bob"])


# -- binding, configuration, options


def test_a_full_disk_while_binding_loses_nothing(enrolled: Enrolled) -> None:
    host, folder = enrolled.host, Path(RECORDS_DIR)
    alice = host.user("alice", "battery staple")
    hers = host.softkey("hers", slot=1)
    kept = RECORD.read_bytes()
    must(["mount", "-t", "tmpfs", "-o", "size=8k,mode=700", "tmpfs", folder])
    try:
        RECORD.write_bytes(kept)
        RECORD.chmod(0o600)
        filler = folder / ".filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        with pytest.raises(HostError, match=r"space|full"):
            host.bind(alice, hers)
        assert set(folder.iterdir()) == {filler, RECORD}
        assert log_in(enrolled).allowed
        filler.unlink()
        host.bind(alice, hers)
        assert host.su(alice, [alice.password, enrolled.pin]).allowed
    finally:
        must(["umount", folder])


def test_an_unknown_configuration_key_is_named_and_nothing_starts(host: Host) -> None:
    with pytest.raises(HostError, match=r"alow_remote.*allow_remote"):
        host.keyservice("[services.sshd]\nalow_remote = true\n")


def test_an_unknown_option_lets_nobody_in(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.pam.stack("typo", "auth required pam_ukey.so nousrok\n")
    assert host.pam.converse("typo", "demo", [enrolled.pin]).code is PamCode.SERVICE_ERR
    host.authlog.wait_for("option not understood: nousrok")
