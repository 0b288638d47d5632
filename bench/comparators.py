# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The costs of others: Linux-PAM's least, a FIDO module without a device, a PKCS#11 login.

They set up files under /etc/pam.d and a user's home, so they run in the sandbox only.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from bench.timing import Contender

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
TOKEN_PIN = "135790"
SETUP_DEADLINE = 60  #: seconds for each command below


def stack(service: str, *modules: str) -> str:
    """Write the PAM service that requires `modules`; returns the service's name.

    Every service loads pam_permit.so, at least for its account line.
    """
    lines = [f"auth required {module}" for module in modules]
    lines.append("account required pam_permit.so\n")
    Path("/etc/pam.d", service).write_text("\n".join(lines))
    return service


def permit(user: str) -> Contender:
    """The floor: pamtester, libpam and a module that does nothing."""
    return Contender("pam_permit", "pam_permit", stack("bench-permit", "pam_permit.so"), user)


def u2f(user: str) -> Contender:
    """pam_u2f for a user who has registered nothing: it is loaded, looks, and ignores."""
    service = stack("bench-u2f", "pam_u2f.so nouserok", "pam_permit.so")
    return Contender("pam_u2f", "pam_u2f, no device (nouserok)", service, user)


def p11(user: str, workdir: Path) -> Contender:
    """pam_p11's full login: PIN, a P-256 signature by a SoftHSM2 token, its verification."""
    tokens, conf = workdir / "tokens", workdir / "softhsm2.conf"
    tokens.mkdir(mode=0o700)
    conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    env = {"SOFTHSM2_CONF": str(conf)}
    _run(env, f"softhsm2-util --init-token --free --label bench --so-pin 975318 --pin {TOKEN_PIN}")
    _run(
        env,
        f"pkcs11-tool --module {SOFTHSM} --login --pin {TOKEN_PIN}"
        " --keypairgen --key-type EC:prime256v1 --label login --id 01",
    )
    public = _run(env, f"ssh-keygen -D {SOFTHSM}")
    home = Path(f"~{user}").expanduser()
    keys = home / ".ssh" / "authorized_keys"
    keys.parent.mkdir(mode=0o700)
    keys.write_text(public)
    for path in (keys.parent, keys):
        shutil.chown(path, user, user)
    service = stack("bench-p11", f"pam_p11.so {SOFTHSM}")
    answers = f"{TOKEN_PIN}\n".encode()
    return Contender(
        "pam_p11", "pam_p11, P-256 on a SoftHSM2 token", service, user, answers, env=env
    )


def _run(env: dict[str, str], command: str) -> str:
    done = subprocess.run(
        shlex.split(command),
        env={**os.environ, **env},
        check=True,
        capture_output=True,
        text=True,
        timeout=SETUP_DEADLINE,
    )
    return done.stdout
