# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Records and names that are not as they should be: nobody gets in by them, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.contract.names import RECORDS_DIR, STATE_DIR
from keyservice.contract.pam import PamCode
from tests.support.process import HostError, must, run
from tests.support.programs import Outcome

from .conftest import Enrolled

RECORD = Path(RECORDS_DIR, "demo")
ELSEWHERE = Path("/root/elsewhere")
NOUSEROK = """
auth requisite pam_unix.so
auth [success=ok ignore=ignore default=die] pam_ukey.so nouserok
account required pam_permit.so
"""


def records() -> set[Path]:
    """The files of records; other files in the folder are hidden."""
    return {path for path in Path(RECORDS_DIR).iterdir() if not path.name.startswith(".")}


def log_in(enrolled: Enrolled) -> Outcome:
    return enrolled.host.su(enrolled.user, enrolled.right)


# -- records


def damage(record: Path) -> None:
    record.write_bytes(record.read_bytes()[:-20])


def give_away(record: Path) -> None:
    os.chown(record, 1000, 1000)


def link(record: Path) -> None:
    record.rename(ELSEWHERE)
    record.symlink_to(ELSEWHERE)


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
    host.keep(ELSEWHERE)
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


def test_records_that_are_gone_let_nobody_in_until_somebody_says_so(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    alice = host.user("alice", "battery staple")

    def passes(name: str) -> PamCode:
        user = alice if name == "alice" else enrolled.user
        return host.pam.converse("rollout", name, [user.password]).code

    shutil.rmtree(RECORDS_DIR)
    assert passes("alice") is PamCode.AUTHINFO_UNAVAIL
    enrolled.keyservice.stop()
    enrolled.start_keyservice(enrolled.config)  # which makes the folder again
    host.authlog.wait_for(f"{RECORDS_DIR}: it was emptied, or made again")
    host.authlog.wait_for(f"path={RECORD}, why=it is gone")
    for name in ("alice", "demo"):
        assert passes(name) is PamCode.AUTHINFO_UNAVAIL
    enrolled.bus()
    done = run(["ukey", "status"])
    assert done.returncode == 12, done.stdout
    done = run(["ukey", "accept-state"], input="n\n")
    assert (done.returncode, f"{RECORD}: it is gone" in done.stderr) == (130, True)
    must(["ukey", "accept-state", "--yes"])
    host.authlog.wait_for(f"event=accept-state .*path={RECORD} why=.*verdict=done")
    must(["ukey", "status"])
    assert passes("alice") is PamCode.SUCCESS
    assert passes("demo") is PamCode.USER_UNKNOWN, "she had a ukey"
    host.bind(enrolled.user, enrolled.ukey)
    assert log_in(enrolled).allowed


def test_in_a_rescue_shell_what_is_lost_is_accepted_too(enrolled: Enrolled) -> None:
    """No keyservice runs, and no bus."""
    must(["rmpubkey", "--force", "--yes", "demo"])
    revoked = Path(STATE_DIR, "revoked")
    whole = revoked.read_bytes()
    revoked.write_bytes(whole[:-1])
    done = run(["ukey", "accept-state", "--yes"])
    assert done.returncode == 12
    assert "another keyservice runs" in done.stderr
    enrolled.keyservice.stop()
    done = run(["ukey", "accept-state"], input="y\n")
    assert f"{revoked}: its last line is cut off" in done.stderr
    assert done.returncode == 0, done.stderr
    enrolled.host.authlog.wait_for(f"event=accept-state .*path={revoked}")
    assert revoked.read_bytes() == whole
    assert "Nothing is damaged" in must(["ukey", "accept-state"])


def test_a_lost_ukeys_owner_does_not_get_in_by_the_password_alone(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    must(["rmpubkey", "--force", "--yes", "demo"])

    def passes() -> PamCode:
        return host.pam.converse("rollout", "demo", [enrolled.user.password]).code

    assert passes() is PamCode.USER_UNKNOWN
    host.authlog.wait_for("verdict=USER_UNKNOWN .*had a ukey")
    enrolled.bus()
    done = run(["ukey", "forget", "demo"], input="\n")
    assert (done.returncode, "password alone" in done.stderr) == (130, True)
    must(["ukey", "forget", "demo", "--yes"])
    host.authlog.wait_for("event=forget .*user=demo .*verdict=done")
    assert passes() is PamCode.SUCCESS


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


def test_unrevoke_takes_it_back(enrolled: Enrolled) -> None:
    host = enrolled.host
    enrolled.bus()
    must(["rmpubkey", "--force", "--yes", "demo"])
    fingerprint = must(["ukey", "revocation", "list"]).split()
    key = next(word for word in fingerprint if len(word) == 64)
    must(["ukey", "revocation", "undo", key])
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
    assert records() == {RECORD}
    enrolled.host.pam.stack("alone", "auth required pam_ukey.so nouserok\n")
    answered = enrolled.host.pam.converse("alone", name, [enrolled.pin])
    assert answered.code is not PamCode.SUCCESS


def test_another_spelling_of_an_enrolled_name_is_not_another_person(enrolled: Enrolled) -> None:
    """Name services fold case and add domains: a second name of the same uid is the same person."""
    host = enrolled.host
    host.pam.stack("rollout", NOUSEROK)
    host.keep()
    for file in ("/etc/passwd", "/etc/shadow"):
        lines = Path(file).read_text().splitlines()
        own = next(line for line in lines if line.startswith("demo:"))
        Path(file).write_text("\n".join([*lines, own.replace("demo:", "Demo:", 1)]) + "\n")
    answered = host.pam.converse("rollout", "Demo", [enrolled.user.password, enrolled.pin])
    assert answered.code is PamCode.AUTHINFO_UNAVAIL, answered
    assert len(answered.prompts) == 1


def test_a_uid_that_now_has_another_name_does_not_inherit(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.keep()
    must(["usermod", "--login", "bob", "demo"])
    try:
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
        assert records() == {RECORD}
        assert filler.exists()
        assert log_in(enrolled).allowed
        filler.unlink()
        host.bind(alice, hers)
        assert host.su(alice, [alice.password, enrolled.pin]).allowed
    finally:
        must(["umount", folder])


def test_an_unknown_configuration_key_is_named_and_nothing_starts(enrolled: Enrolled) -> None:
    host = enrolled.host
    enrolled.keyservice.stop()
    with pytest.raises(HostError, match=r"factor.from_afar.*factors_from_afar"):
        host.keyservice("[services.sshd]\nfactor_from_afar = []\n")


def test_an_unknown_option_lets_nobody_in(enrolled: Enrolled) -> None:
    host = enrolled.host
    host.pam.stack("typo", "auth required pam_ukey.so nousrok\n")
    assert host.pam.converse("typo", "demo", [enrolled.pin]).code is PamCode.SERVICE_ERR
    host.authlog.wait_for("option not understood: nousrok")
