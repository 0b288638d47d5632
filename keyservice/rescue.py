# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Looks at or accepts the records of this host while no service runs: in a rescue shell."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from keyservice.access.audit import Audit
from keyservice.access.conversation import Caller
from keyservice.access.enrolment import doer
from keyservice.access.services import machine_id
from keyservice.contract.names import RECORDS_DIR, STATE_DIR
from keyservice.core.errors import UkeyError
from keyservice.core.logsocket import LogSocket
from keyservice.core.reasons import told
from keyservice.core.text import plain
from keyservice.store.files import PrivateDirectory
from keyservice.store.state import State, only_one

_UNSET = 2**32 - 1


def run(*, accept: bool, as_json: bool = False) -> bool:
    """Print what is damaged or gone, ``PATH: REASON``; accept that if asked to.

    `as_json`: for programs, an object for each, with the reason as ``why`` and its facts.

    False if it could not be done; standard error says why.
    """
    state = State(
        PrivateDirectory(Path(RECORDS_DIR)), PrivateDirectory(Path(STATE_DIR)), machine_id()
    )
    try:
        found = _accept(state) if accept else state.damage()
    except (UkeyError, OSError) as error:
        print(f"keyservice: {error}", file=sys.stderr)
        return False
    for each in found:
        path, why = _said(each)
        if as_json:
            print(json.dumps({"path": path, "why": each.message, **each.facts}))
        else:
            print(plain(f"{path}: {why}"))
    return True


def _accept(state: State) -> list[UkeyError]:
    """Accept, as the service does for ``ukey accept-state``; no service may run meanwhile."""
    caller = _caller()
    with only_one(Path(STATE_DIR)):
        accepted = state.accept(doer(caller))
    log = LogSocket()
    try:
        for error in accepted:
            path, why = _said(error)
            Audit(log).event("accept-state", caller, path=path, why=why, verdict="done")
    finally:
        log.close()
    return accepted


def _said(error: UkeyError) -> tuple[str, str]:
    """(path, why) in English, for the log and the terminal of a rescue shell."""
    why = str(error.facts.get("why", error.message))
    return str(error.facts.get("path", "?")), told(why, error.facts)


def _caller() -> Caller:
    loginuid = None
    with suppress(OSError, ValueError):
        found = int(Path("/proc/self/loginuid").read_text("ascii"))
        loginuid = None if found == _UNSET else found
    return Caller(os.geteuid(), os.getpid(), os.getuid(), loginuid, None, "keyservice")
