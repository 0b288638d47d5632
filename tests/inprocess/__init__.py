# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Doubles of the surroundings of the real drivers, in a test's process: everything happens at once.

pcscd sees a card come or go when it next polls its readers, up to 400 ms later, and a device worker
takes a quarter of a second to start. Here both take no time, and coverage can measure a worker's
lines, which it cannot in a confined process that is killed.

The doubles replace only what is outside of the product: pcscd with its readers (``pcscd``), and
processes (``processes``: a worker runs as a thread). The pool, its queues, the worker's loop, the
transport above pyscard and the drivers are real, and so is the card (``tests.softkey``). Tests that
run on both show that the doubles behave as the real ones do: ``tests/access/test_on_pcscd.py``,
``tests/ukeys/test_on_pcscd.py`` and ``tests/transport``.
"""
