# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Public keys as ssh spells them, from sshd and from files; ssh-keygen and pyca judge."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from keyservice.core.errors import UkeyFailed
from keyservice.core.reasons import Reason
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
from keyservice.crypto.ssh_keys import from_file, verified
from keyservice.crypto.ssh_wire import NoSshKey, parse, spell
from tests.support.process import must

#: What ``ssh-keygen`` is told, and the algorithm that a record names.
MADE = {
    "ed25519": (["-t", "ed25519"], "ed25519"),
    "p256": (["-t", "ecdsa", "-b", "256"], "p256"),
    "p384": (["-t", "ecdsa", "-b", "384"], "p384"),
    "rsa": (["-t", "rsa", "-b", "2048"], "rsa"),
}
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_P256 = "sk-ecdsa-sha2-nistp256@openssh.com"
SECURITY_KEYS = algorithms.SSH_ALGORITHMS - algorithms.ALGORITHMS
MUTATIONS = 10_000


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def fields(blob: bytes) -> list[bytes]:
    """The strings that a key's blob consists of."""
    found = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found


def line(type_: str, blob: bytes) -> str:
    return f"{type_} {base64.b64encode(blob).decode()}"


def keygen(folder: Path, options: list[str]) -> Path:
    file = folder / "key"
    must(["ssh-keygen", "-q", "-N", "", "-C", "bob@desk", *options, "-f", str(file)])
    return file.with_suffix(".pub")


@pytest.fixture(scope="module", params=MADE)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    options, algorithm = MADE[str(request.param)]
    return keygen(tmp_path_factory.mktemp("ssh"), options), algorithm


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("ssh"), ["-t", "ed25519"])


def security_keys(folder: Path) -> dict[str, bytes]:
    """Blobs of ``sk-`` keys, as PROTOCOL.u2f describes them."""
    made = {}
    for type_, options in ((SK_ED25519, ["-t", "ed25519"]), (SK_P256, ["-t", "ecdsa"])):
        (folder / type_).mkdir()
        words = keygen(folder / type_, options).read_text().split()
        key = fields(base64.b64decode(words[1]))[1:]
        made[type_] = b"".join(map(string, (type_.encode(), *key, b"ssh:")))
    return made


def test_a_file_is_the_key_that_ssh_keygen_and_pyca_know(made: tuple[Path, str]) -> None:
    file, algorithm = made
    found = from_file(file.read_text())
    said = must(["ssh-keygen", "-l", "-f", str(file)]).split()
    assert found.fingerprint == said[1]
    assert found.key is not None and found.key.algorithm == algorithm
    algorithms.check(found.key)
    judge = load_ssh_public_key(file.read_bytes())
    assert spell(found.key) == found
    assert found.key.encoded == judge.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_what_sshd_says_of_it_is_the_same_key(made: tuple[Path, str]) -> None:
    text = made[0].read_text()
    type_, encoded, _ = text.split()
    key = from_file(text)
    assert verified(f"publickey {type_} {encoded}\n") == [key]
    assert verified(f"publickey {type_} {encoded} signature count = 5\n") == [key]


def test_of_a_certificate_it_is_the_certified_key(made: tuple[Path, str], tmp_path: Path) -> None:
    file = made[0]
    signer = keygen(tmp_path, ["-t", "ed25519"]).with_suffix("")
    copy = tmp_path / "copy.pub"
    copy.write_text(file.read_text())
    sign = ["ssh-keygen", "-q", "-s", str(signer), "-I", "id"]
    must([*sign, "-n", "alice,bob", "-V", "+1d", str(copy)])
    text = (tmp_path / "copy-cert.pub").read_text()
    type_, encoded, _ = text.split()
    (found,) = verified(f"publickey {type_} {encoded}\n")
    own = from_file(file.read_text())
    assert found.certified
    assert (found.type, found.blob, found.key) == (own.type, own.blob, own.key)
    with pytest.raises(NoSshKey) as caught:
        from_file(text)
    assert caught.value.facts["why"] == Reason.SSH_CERTIFICATE
    blob = base64.b64decode(encoded)
    for spoilt in (blob[:-1], blob + b"\0"):
        with pytest.raises(NoSshKey):
            parse(spoilt, type_)
    must([*sign, "-h", str(copy)])
    type_, encoded, _ = (tmp_path / "copy-cert.pub").read_text().split()
    with pytest.raises(NoSshKey, match="none for people"):
        verified(f"publickey {type_} {encoded}\n")


def test_keys_of_authenticators_are_kept_as_ssh_spells_them(tmp_path: Path) -> None:
    for type_, blob in security_keys(tmp_path).items():
        found = from_file(line(type_, blob))
        file = tmp_path / "sk.pub"
        file.write_text(line(type_, blob) + "\n")
        assert found.fingerprint == must(["ssh-keygen", "-l", "-f", str(file)]).split()[1]
        key = found.key
        assert key is not None and key.algorithm in SECURITY_KEYS and key.encoded == blob
        algorithms.check(key)
        assert spell(key) == found
        assert algorithms.has_form(key) and algorithms.FINGERPRINT.fullmatch(
            algorithms.fingerprint(key)
        )
        assert algorithms.verify(key, b"", bytes(64)) is False
        with pytest.raises(UkeyFailed):
            algorithms.to_sign(key, b"")
        (other,) = SECURITY_KEYS - {key.algorithm}
        for wrong in (blob + b"\0", blob[:-1], b"", blob[:-8] + bytes(4)):
            assert not algorithms.has_form(PublicKey(key.algorithm, wrong))
        assert not algorithms.has_form(PublicKey(other, blob))


def test_of_several_methods_the_keys_count_in_their_order(tmp_path: Path, plain: Path) -> None:
    keys = [line(type_, blob) for type_, blob in security_keys(tmp_path).items()]
    keys.append(" ".join(plain.read_text().split()[:2]))
    text = "".join(f"publickey {key}\n" for key in keys)
    text = f'password\nhostbased {keys[2]} client user "bob"\n{text}keyboard-interactive/pam\n'
    assert verified(text) == [from_file(key) for key in keys]
    assert verified("") == verified("password\ngssapi-with-mic bob@EXAMPLE\n") == []


def ed25519(blob: bytes) -> str:
    return f"publickey {line('ssh-ed25519', blob)}\n"


def rsa(exponent: bytes, modulus: bytes) -> str:
    blob = b"".join(map(string, (b"ssh-rsa", exponent, modulus)))
    return f"publickey {line('ssh-rsa', blob)}\n"


NAME, KEY = string(b"ssh-ed25519"), string(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "publickey\n",
        "publickey ssh-ed25519\n",
        "publickey ssh-ed25519 \n",
        "publickey ssh-ed25519 AAAA\n",
        "publickey  ssh-ed25519 AAAA\n",
        ed25519(NAME + KEY)[:-1],
        ed25519(NAME + KEY) + "\n",
        ed25519(NAME + KEY) + "x",
        " " + ed25519(NAME + KEY),
        ed25519(NAME + string(bytes(33)))[:-2] + "\n",
        ed25519(NAME + KEY).replace(" ssh-ed25519", " ssh-rsa"),
        ed25519(NAME + KEY + b"\0"),
        ed25519(NAME + KEY[:-1]),
        ed25519(NAME + string(bytes(31))),
        ed25519(NAME + string(bytes(33))),
        ed25519(NAME + b"\xff\xff\xff\xff" + bytes(32)),
        ed25519(string(b"ssh-dss") + KEY),
        f"publickey {line('ssh-dss', string(b'ssh-dss') + KEY)}\n",
        rsa(b"", bytes(256)),
        rsa(b"\x03", b"\xff" * 256),
        rsa(b"\x03", b"\0\x7f" * 128),
        "password\n" * 33,
        "publickey " + "A" * 20000 + "\n",
        "public\0key\n",
        "公钥\n",
    ],
)
def test_what_no_sshd_writes_is_no_key(text: str) -> None:
    with pytest.raises(NoSshKey):
        verified(text)


def test_ssh_has_no_name_for_sm2() -> None:
    with pytest.raises(NoSshKey, match="sm2"):
        spell(PublicKey("sm2", bytes(64)))


def test_points_and_curves_are_those_of_the_type(tmp_path: Path) -> None:
    blob = base64.b64decode(keygen(tmp_path, ["-t", "ecdsa", "-b", "256"]).read_text().split()[1])
    name, curve, point = fields(blob)
    for wrong in (
        (name, b"nistp384", point),
        (name, curve, b"\x02" + point[1:33]),
        (name, curve, b"\x05" + point[1:]),
        (name, curve, point + b"\0"),
        (name, curve),
        (b"ecdsa-sha2-nistp384", curve, point),
    ):
        with pytest.raises(NoSshKey):
            parse(b"".join(map(string, wrong)), name.decode())


def test_keys_that_no_record_holds_are_known_but_not_taken(tmp_path: Path) -> None:
    for number, (options, reason) in enumerate(
        (
            (["-t", "rsa", "-b", "1024"], Reason.SSH_RSA),
            (["-t", "ecdsa", "-b", "521"], Reason.SSH_TYPE),
        )
    ):
        (tmp_path / str(number)).mkdir()
        text = keygen(tmp_path / str(number), options).read_text()
        type_, encoded, _ = text.split()
        (found,) = verified(f"publickey {type_} {encoded}\n")
        assert found.key is None and found.fingerprint.startswith("SHA256:")
        with pytest.raises(NoSshKey) as caught:
            from_file(text)
        assert caught.value.facts["why"] == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", Reason.SSH_NO_KEY),
        (lambda text: "# a comment\n", Reason.SSH_NO_KEY),
        (lambda text: text + text, Reason.SSH_SEVERAL),
        (lambda text: f'command="/bin/true",no-pty {text}', Reason.SSH_OPTIONS),
        (lambda text: f"restrict {text}", Reason.SSH_OPTIONS),
        (lambda text: "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", Reason.SSH_PRIVATE),
        (lambda text: text.replace("ssh-ed25519", "ssh-dss"), Reason.SSH_NO_KEY),
        (lambda text: text.split()[1], Reason.SSH_NO_KEY),
        (lambda text: text[:40], Reason.SSH_NO_KEY),
        (lambda text: "-----BEGIN PUBLIC KEY-----\nMCow\n", Reason.SSH_SEVERAL),
    ],
)
def test_a_file_that_is_not_taken_says_why(
    plain: Path, change: Callable[[str], str], reason: Reason
) -> None:
    text = plain.read_text()
    assert from_file(f"# mine\n\n{text}").key == from_file(text).key
    with pytest.raises(NoSshKey) as caught:
        from_file(change(text))
    assert caught.value.facts["why"] == reason


def test_ten_thousand_mutations_never_pass_for_another_key(tmp_path: Path, plain: Path) -> None:
    """A mutated text is refused, or means a key that is spelt in it, byte for byte."""
    chance = random.Random(2026)
    signer = keygen(tmp_path, ["-t", "ed25519"]).with_suffix("")
    copy = tmp_path / "copy.pub"
    copy.write_text(plain.read_text())
    must(["ssh-keygen", "-q", "-s", str(signer), "-I", "id", "-n", "bob", str(copy)])
    blobs = {"ssh-ed25519": base64.b64decode(plain.read_text().split()[1])}
    type_, encoded, *_ = (tmp_path / "copy-cert.pub").read_text().split()
    blobs |= security_keys(tmp_path) | {type_: base64.b64decode(encoded)}
    refused = 0
    for _ in range(MUTATIONS):
        type_, blob = chance.choice(list(blobs.items()))
        text = bytearray(f"password\npublickey {line(type_, mutated(chance, blob))}\n".encode())
        if chance.random() < 0.5:
            text = bytearray(mutated(chance, bytes(text)))
        try:
            found = verified(text.decode("latin-1"))
        except NoSshKey:
            refused += 1
            continue
        spelt = [
            base64.b64decode(words.split(b" ")[2])
            for words in bytes(text).split(b"\n")
            if words.startswith(b"publickey ")
        ]
        assert len(found) == len(spelt)
        for key, whole in zip(found, spelt, strict=True):
            assert string(key.type.encode()) == key.blob[: 4 + len(key.type)]
            assert key.blob == whole or key.blob[4 + len(key.type) :] in whole
    assert MUTATIONS / 4 < refused < MUTATIONS


def mutated(chance: random.Random, data: bytes) -> bytes:
    """`data` with a few bytes changed, put in, taken out or said twice; or as it is."""
    out = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at, byte = chance.randrange(len(out)), chance.randrange(256)
        match chance.randrange(5):
            case 0:
                out[at] = byte
            case 1:
                out[at] ^= 1 << chance.randrange(8)
            case 2:
                out.insert(at, byte)
            case 3:
                del out[at]
            case 4:
                out[at:at] = out[at : at + chance.randrange(40)]
        out = out or bytearray(b"\0")
    return bytes(out)
