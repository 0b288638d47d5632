# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What most of these tests need: ``enrolled``, and ``shared`` (tests/conftest.py)."""

from tests.support.enrolled import CONFIG, EXAMPLES, Enrolled, enrol

__all__ = ("CONFIG", "EXAMPLES", "Enrolled", "enrol")
