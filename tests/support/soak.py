# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A pytest plugin: long versions of tests that have one, and what they measured (scripts/soak).

``--soak`` runs the tests that have a long version, which they know by the fixture ``soak``, without
their time limits. What a test records as ``figure`` is printed when it has ended.
"""

from __future__ import annotations

import os

import pytest

SECONDS = 4 * 3600  #: that a test may take

#: Taken while this is imported, before pytest captures what tests write.
_STDOUT = os.dup(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        items[:] = [item for item in items if "soak" in getattr(item, "fixturenames", ())]
        for item in items:
            item.add_marker(pytest.mark.timeout(SECONDS), append=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, value in report.user_properties:
            if name == "figure":
                os.write(_STDOUT, f"{value}\n".encode())
