# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A virtual machine that boots with the package, SELinux enforcing and the ukey at its USB port.

``scripts/vm-test`` tests in it (tests/vm), ``scripts/vm-bench`` measures it (bench/guest.py), and
``scripts/vm`` lets a person in: ``python -m tests.guest``.
"""
