# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The product on a machine that boots: a guest with systemd, and with SELinux enforcing.

``scripts/vm-test`` makes its disk and runs these; ``scripts/vm`` lets a person in.
"""
