# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A record's text: version 1 wherever that can say it, and keys that other tools read."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.core.errors import UkeyError
from keyservice.core.reasons import Reason, Unfit
from keyservice.crypto import algorithms
from keyservice.store.record_text import RECORD_MAX, parse, serialize
from keyservice.store.records import Binding, Purpose

from .conftest import binding
from .credentials import (
    SK_ED25519,
    SK_P256,
    authorized,
    of_ssh,
    of_token,
    spare,
    spki,
    strings,
)
from .older import bindings as older
from .older.records import Binding as OlderBinding

KEPT = Path(__file__).with_name("data") / "version1" / "records"
ALL = (
    binding(),
    spare(2, "p256", "钥匙 2"),
    spare(3, "p384", ""),
    spare(4, "rsa", "a spare"),
    spare(5, "ed25519"),
    of_ssh(6, "p256"),
    of_ssh(7, "rsa"),
    spare(2, "ed25519", "card", purpose=Purpose.SSH, container="9c"),
    of_token(SK_ED25519),
    of_token(SK_P256),
)


# -- which version


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "erin"])
def test_a_record_of_version_1_is_written_as_it_was(name: str) -> None:
    kept = (KEPT / name).read_bytes()
    assert serialize(parse(kept)) == kept


@pytest.mark.parametrize(
    "only", [binding(), spare(2, "rsa", "", attested=True), spare(3, "ed25519", "")]
)
def test_one_key_for_the_login_is_what_an_older_package_reads(only: Binding) -> None:
    read = older.parse(serialize([only]))
    assert [getattr(read, name) for name in OlderBinding.__annotations__] == [
        getattr(only, name) for name in OlderBinding.__annotations__
    ]


@pytest.mark.parametrize(
    "bindings",
    [[binding(), spare()], [of_ssh()], [of_token()], [replace(binding(), label="mine")]],
    ids=["two", "ssh", "token", "label"],
)
def test_the_rest_is_version_2_which_an_older_package_does_not_take_for_a_record(
    bindings: list[Binding],
) -> None:
    content = serialize(bindings)
    assert json.loads(content)["version"] == 2
    assert parse(content) == tuple(bindings)
    with pytest.raises(ValueError, match="not of version 1"):
        older.parse(content)


def test_what_is_written_has_one_field_on_a_line_and_is_what_is_read() -> None:
    content = serialize(ALL)
    assert parse(content) == ALL
    assert content.isascii()
    lines = content.decode().splitlines()
    assert lines[:8] == [
        "{",
        '  "version": 2,',
        '  "user": "alice",',
        '  "uid": 1000,',
        '  "credentials": [',
        "    {",
        '      "purpose": "login",',
        '      "label": "",',
    ]
    assert all(line.count('": ') <= 1 for line in lines)


def test_eight_rsa_keys_of_4096_bits_for_each_purpose_fit() -> None:
    label, place = "𝄞" * 64, {"application": "应" * 32, "container": "用" * 32}
    ukeys = [spare(n, "rsa", label, **place) for n in range(1, 9)]
    keys = [
        spare(n, "rsa", label, purpose=Purpose.SSH, serial=f"SSH{n}", **place)
        for n in range(11, 19)
    ]
    content = serialize([*ukeys, *keys])
    assert len(content) <= RECORD_MAX
    assert parse(content) == (*ukeys, *keys)


# -- what other tools read


@pytest.mark.parametrize("line", range(len(ALL)))
def test_openssl_reads_each_key_and_ssh_each_token_s(tmp_path: Path, line: int) -> None:
    """The command is the one of usbkey(5)."""
    path = tmp_path / "alice"
    path.write_bytes(serialize(ALL))
    command = f"grep public_key {path} | sed -n {line + 1}p | cut -d'\"' -f4"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    key = ALL[line].key
    if key.algorithm == "sm2":
        assert shown.strip() == ALL[line].public_key
    elif key.algorithm.startswith("sk-"):
        assert shown.strip() == authorized(key.encoded)
        kind = key.encoded[4 : 4 + key.encoded[3]].decode()
        public = tmp_path / "key.pub"
        public.write_text(f"{kind} {shown}")
        told = subprocess.run(
            ["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True
        ).stdout
        digest = authorized(bytes.fromhex(ALL[line].fingerprint)).rstrip("=")
        assert f"SHA256:{digest} " in told
    else:
        command += " | base64 -d | openssl pkey -pubin -inform DER -pubout -outform DER"
        read = subprocess.run(command, shell=True, capture_output=True, check=True).stdout
        assert read == key.encoded


# -- what is damage


def spoilt(change: Callable[[dict[str, Any]], object], *bindings: Binding) -> bytes:
    fields = json.loads(serialize(bindings or (binding(), spare(), of_ssh())))
    change(fields)
    return json.dumps(fields).encode()


def one(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Change the spare ukey."""
    return lambda f: f["credentials"][1].update(fields)


def many(number: int, made: Callable[[int], Binding]) -> bytes:
    """More keys than there may be."""
    each = [json.loads(serialize([binding(), made(n)]))["credentials"][1] for n in range(1, number)]
    return spoilt(lambda f: f["credentials"].extend(each), binding(), spare(50))


DAMAGED: dict[str, tuple[bytes, Reason]] = {
    "a field of a key missing": (spoilt(lambda f: f["credentials"][1].pop("label")), Reason.FIELDS),
    "a field of a key too many": (spoilt(one(admin=True)), Reason.FIELDS),
    "a field too many": (spoilt(lambda f: f.update(serial="SN1")), Reason.FIELDS),
    "no list": (spoilt(lambda f: f.update(credentials={})), Reason.TYPE),
    "no key": (spoilt(lambda f: f.update(credentials=[])), Reason.NO_KEYS),
    "a key that is a text": (spoilt(lambda f: f["credentials"].append("?")), Reason.NO_JSON),
    "a deep list": (spoilt(lambda f: f.update(uid=[[0]])), Reason.TYPE),
    "an unknown purpose": (spoilt(one(purpose="agent")), Reason.PURPOSE),
    "a purpose that is a number": (spoilt(one(purpose=1)), Reason.TYPE),
    "a label too long": (spoilt(one(label="x" * 65)), Reason.LABEL),
    "a label with an escape": (spoilt(one(label="a\x1b[2J")), Reason.LABEL),
    "a label that turns the line round": (spoilt(one(label="a\u202eb")), Reason.LABEL),
    "a label in spaces": (spoilt(one(label=" a")), Reason.LABEL),
    "a label of half a character": (spoilt(one(label="\udc80")), Reason.LABEL),
    "a serial too long": (spoilt(one(serial="x" * 257)), Reason.TEXT_LONG),
    "a ukey without a serial": (spoilt(one(serial="")), Reason.EMPTY),
    "a key from a file in a container": (
        spoilt(one(serial="", purpose="ssh")),
        Reason.EMPTY,
    ),
    "a key in hexadecimal": (spoilt(one(public_key=spare().public_key)), Reason.KEY),
    "a key with a space": (spoilt(one(public_key=authorized(spki("p256", 2)) + " ")), Reason.KEY),
    "a key of two texts": (
        spoilt(one(public_key=authorized(spki("p256", 2))[:-2] + "B=")),
        Reason.KEY,
    ),
    "a key of another algorithm": (spoilt(one(algorithm="p384")), Reason.KEY),
    "a token's key for the login": (spoilt(one(algorithm="sk-ed25519")), Reason.ALGORITHM),
    "SM2 for ssh": (spoilt(one(algorithm="sm2", purpose="ssh")), Reason.ALGORITHM),
    "the same key twice": (
        spoilt(lambda f: f["credentials"].append(f["credentials"][2])),
        Reason.KEY_TWICE,
    ),
    "one key for both": (
        spoilt(lambda f: f["credentials"].append({**f["credentials"][1], "purpose": "ssh"})),
        Reason.KEY_TWICE,
    ),
    "the same ukey twice": (spoilt(one(serial="SN1")), Reason.KEY_TWICE),
    "nine ukeys": (many(9, spare), Reason.MANY_KEYS),
    "nine keys for ssh": (many(10, of_ssh), Reason.MANY_KEYS),
    "no time": (spoilt(one(bound_at="yesterday")), Reason.TIME),
    "by nobody": (spoilt(one(bound_by=-2)), Reason.UID),
    "another user": (spoilt(lambda f: f.update(user="../alice")), Reason.USER_CHARACTERS),
}


@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_version_2_is_not_is_refused_with_its_reason(content: bytes, why: Reason) -> None:
    with pytest.raises(Unfit) as caught:
        parse(content)
    assert caught.value.facts["why"] == why


def test_nothing_is_written_that_would_be_damage() -> None:
    for bad in (
        [replace(binding(), label="\n")],
        [binding(), replace(spare(), user="bob")],
        [binding(), binding("alice", 1000, "SN2")],
    ):
        with pytest.raises(Unfit):
            serialize(bad)


# -- keys of FIDO tokens


@pytest.mark.parametrize("blob", [SK_ED25519, SK_P256])
def test_a_token_s_key_verifies_nothing_here(blob: bytes) -> None:
    key = of_token(blob).key
    algorithms.check(key)
    assert not algorithms.verify(key, b"message", b"signature")
    with pytest.raises(UkeyError):
        algorithms.to_sign(key, b"message")


@pytest.mark.parametrize(
    "blob",
    [
        SK_ED25519[:-1],
        SK_ED25519 + b"\0",
        SK_ED25519 + strings(b""),
        SK_ED25519[:3],
        strings(b"ssh-ed25519", bytes(32), b"ssh:"),
        strings(b"sk-ssh-ed25519@openssh.com", bytes(31), b"ssh:"),
        strings(b"sk-ssh-ed25519@openssh.com", bytes(32), b""),
        strings(b"sk-ssh-ed25519@openssh.com", bytes(32), b"x" * 256),
        strings(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\3" + bytes(64), b"ssh:"),
        strings(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp384", b"\4" + bytes(64), b"ssh:"),
        b"\xff" * 40,
        b"",
    ],
)
def test_a_blob_is_a_token_s_key_to_the_byte(blob: bytes) -> None:
    for algorithm in ("sk-ed25519", "sk-p256"):
        key = replace(of_token().key, algorithm=algorithm, encoded=blob)
        assert not algorithms.has_form(key)
        with pytest.raises(UkeyError):
            algorithms.check(key)


def test_the_text_of_every_reason_names_no_key() -> None:
    for content, _ in DAMAGED.values():
        with pytest.raises(Unfit) as caught:
            parse(content)
        assert not re.search(r"[0-9a-zA-Z+/]{40}", str(caught.value))
