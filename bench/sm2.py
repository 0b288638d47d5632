# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""SM2 verification: the service's engine beside ``openssl speed sm2``, by turns."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bench.figures import Verification
from keyservice.crypto.sm2 import DEFAULT_ID, engine

#: Bytes of a login's message: prefix, nonce, machine id, names, serial, session id, lengths.
MESSAGE_BYTES = 150
_VERIFY_LINE = re.compile(r"^\+F\d+:\d+:256:CurveSM2:[\d.]+:([\d.]+)$", re.MULTILINE)


def measure(turns: int, workdir: Path, *, seconds: int = 1) -> Verification:
    """`turns` of `seconds` each for either side. The signature is made by the openssl command."""
    verify = verification(workdir)
    ours, theirs = [], []
    for _ in range(turns):
        theirs.append(_openssl_speed(seconds))
        ours.append(_microseconds_each(verify, seconds))
    return Verification(engine("auto").name, ours, theirs)


def verification(workdir: Path) -> Callable[[], None]:
    """Verifies a login's signature, made by the openssl command, each time that it is called."""
    verifier = engine("auto")
    point, message, signature = _signed(workdir)

    def verify() -> None:
        if not verifier.verify(point, message, signature):
            raise RuntimeError("the engine refuses a signature made by openssl")

    verify()
    return verify


def parse_speed(output: str) -> float:
    """Microseconds per verification, from ``openssl speed -mr sm2``."""
    found = _VERIFY_LINE.search(output)
    if not found:
        raise ValueError("openssl speed says nothing of verifying with CurveSM2")
    return 1e6 / float(found[1])


def _openssl_speed(seconds: int) -> float:
    return parse_speed(_openssl(f"speed -mr -seconds {seconds} sm2"))


def _microseconds_each(call: Callable[[], None], seconds: int) -> float:
    """CPU time, as openssl speed counts it: other processes do not show."""
    count, start = 0, time.process_time_ns()
    until = start + seconds * 1_000_000_000
    while (now := time.process_time_ns()) < until:
        call()
        count += 1
    return (now - start) / 1000 / count


def _signed(workdir: Path) -> tuple[bytes, bytes, bytes]:
    """A fresh point (64 bytes), message and signature r ‖ s (64 bytes)."""
    key, public = workdir / "sm2.pem", workdir / "sm2.pub"
    message, signature = workdir / "message", workdir / "signature"
    message.write_bytes(secrets.token_bytes(MESSAGE_BYTES))
    _openssl(f"genpkey -algorithm SM2 -out {key}")
    _openssl(f"pkey -in {key} -pubout -outform DER -out {public}")
    _openssl(
        f"pkeyutl -sign -inkey {key} -rawin -in {message} -digest sm3"
        f" -pkeyopt distid:{DEFAULT_ID.decode()} -out {signature}"
    )
    r, s = decode_dss_signature(signature.read_bytes())
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return public.read_bytes()[-64:], message.read_bytes(), raw


def _openssl(arguments: str) -> str:
    argv = ["/usr/bin/openssl", *arguments.split()]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout
