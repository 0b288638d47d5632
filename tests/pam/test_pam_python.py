# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The module for pam_python by itself: where it refuses, and what a slip of it would do."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.modules import ENTRY, PIN, YES, Module
from tests.pam.scripted import SocketService
from tests.support import CHECKOUT
from tests.support.authlog import Authlog
from tests.support.process import must


@pytest.fixture
def as_alice(alice: None, built: Path, tmp_path: Path) -> dict[str, Any]:
    """Run the driver as alice's su would be run: setuid root."""
    tmp_path.chmod(0o755)
    driver = built / "setuid-driver"
    shutil.copy(built / "driver", driver)
    driver.chmod(0o4755)
    alice_s = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups"]
    return {"prefix": alice_s, "driver": driver}


@pytest.mark.parametrize("options", ["", "nouserok", "uniform", "decoy"])
def test_in_a_setuid_program_only_the_native_module_lets_in(
    module: Module, as_alice: dict[str, Any], options: str, log: Authlog
) -> None:
    module.stack(options)
    with module.service(YES) as service:
        run = module.run("authenticate", "chauthtok", answers=[PIN], **as_alice)
    if module.name == "native":
        assert run.code == (PamCode.AUTH_ERR if options == "decoy" else PamCode.SUCCESS)
        return
    assert run.codes == {"authenticate": PamCode.SERVICE_ERR, "chauthtok": PamCode.SERVICE_ERR}
    assert (service.seen.begun, service.seen.answers, run.shown) == ([], [], [])
    log.wait_for("not in a setuid program")


def test_a_setuid_program_gets_its_prompts_in_the_callers_language(
    native: Module, as_alice: dict[str, Any]
) -> None:
    native.stack()
    with native.service(YES) as service:
        native.run(answers=[PIN], **as_alice, env={"LANG": "zh_CN.UTF-8"})
    assert service.seen.begun[0][1]["lang"] == "zh_CN.UTF-8"


def test_the_environment_chooses_no_bus(python: Module, tmp_path: Path) -> None:
    python.stack()
    nowhere = f"unix:path={tmp_path}/evil"
    env = {"DBUS_SYSTEM_BUS_ADDRESS": nowhere, "DBUS_SESSION_BUS_ADDRESS": nowhere}
    env |= {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": "/x"}
    with python.service(YES):
        assert python.run(answers=[PIN], env=env).code == PamCode.SUCCESS


def test_with_the_bus_down_it_is_unavailable(built: Path, tmp_path: Path) -> None:
    module = Module("python", built, tmp_path)
    bus = Path("/run/dbus/system_bus_socket")
    away = bus.with_name("away")
    if bus.exists():
        bus.rename(away)
    try:
        for options, code in (("", PamCode.AUTHINFO_UNAVAIL), ("uniform", PamCode.AUTH_ERR)):
            module.stack(options)
            with SocketService(YES):  # the sockets alone are not enough for it
                assert module.run(answers=[PIN]).code == code
    finally:
        if away.exists():
            away.rename(bus)


def test_an_answer_that_is_not_utf8_is_none(python: Module, log: Authlog) -> None:
    python.stack()
    with python.service(YES) as service:
        run = python.run(answers=["=12\udcff456"])
    assert (run.code, service.seen.answers) == (PamCode.CONV_ERR, [])
    log.wait_for("the prompt was not answered")


def test_it_starts_no_machinery_of_pythons() -> None:
    """asyncio, signal and subprocess swap SIGINT's handler; threads do not live through fork."""
    code = (
        "import sys; sys.path.insert(0, '/usr/lib/ukey'); before = set(sys.modules)\n"
        "from pam_ukey import calls; import jeepney.auth, keyservice.client.bus_link\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    imported = must(["/usr/bin/python3", "-I", "-S", "-c", _with_packages(code)]).split()
    assert "pam_ukey.session" in imported
    unwanted = {"asyncio", "signal", "subprocess", "logging", "multiprocessing", "concurrent"}
    assert not unwanted & set(imported)


def _with_packages(code: str) -> str:
    """`code` with the distribution's packages, without what ``site`` imports."""
    return f"import sys; sys.path.append('/usr/lib/python3/dist-packages')\n{code}"


# -- how pam_python reads values: False and 2**32 are PAM_SUCCESS, None and True are chance


@pytest.fixture
def entry() -> Any:
    spec = importlib.util.spec_from_file_location(
        "entry", CHECKOUT / "pam_ukey/pam_python_entry.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAMH: Any = SimpleNamespace(
    PAM_SUCCESS=0, PAM_SERVICE_ERR=3, PAM_BUF_ERR=5, PAM_AUTH_ERR=7, PAM_IGNORE=25
)


def raising(error: BaseException) -> Any:
    def call(*_arguments: object) -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("slip", "code"),
    [
        (lambda *_: False, 3),
        (lambda *_: True, 3),
        (lambda *_: None, 3),
        (lambda *_: 1 << 32, 3),
        (lambda *_: -1, 3),
        (lambda *_: "0", 3),
        (lambda *_: 0.0, 3),
        (raising(RuntimeError("314159")), 3),
        (raising(SystemExit(0)), 3),
        (raising(KeyboardInterrupt()), 3),
        (raising(MemoryError()), 5),
        (lambda *_: 0, 0),
        (lambda *_: 25, 25),
    ],
)
def test_only_an_int_of_pams_comes_out(
    entry: Any, slip: Any, code: int, monkeypatch: pytest.MonkeyPatch, log: Authlog
) -> None:
    calls = ModuleType("pam_ukey.calls")
    calls.authenticate = slip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pam_ukey.calls", calls)
    monkeypatch.setattr("pam_ukey.calls", calls, raising=False)
    returned = entry.pam_sm_authenticate(PAMH, 0, [ENTRY])
    assert (type(returned), returned) == (int, code)
    for option in ("uniform", "decoy"):
        alike = entry.pam_sm_authenticate(PAMH, 0, [ENTRY, "timeout=9", option])
        assert (type(alike), alike) == (int, 7 if code in (3, 5) else code)
    assert "314159" not in log.text


def test_the_entry_is_small() -> None:
    """pam_python compiles it at each login."""
    assert len(Path(ENTRY).read_text().splitlines()) < 100
