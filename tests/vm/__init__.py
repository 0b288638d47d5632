# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The product on a machine that boots: ``scripts/vm-test`` makes its disk and runs these."""
