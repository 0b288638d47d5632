# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The module in its builds, made once each."""

from __future__ import annotations

import pytest

from tests.native.builds import ASAN, TSAN, Build


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer."""
    return Build(tmp_path_factory.mktemp("asan"), ASAN)


@pytest.fixture(scope="session")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With ThreadSanitizer."""
    return Build(tmp_path_factory.mktemp("tsan"), TSAN)
