# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How much of the product's code the tests ran, by line and by branch (``scripts/coverage``).

``inside.sh`` has every Python process of a sandbox count (``start.py``) and every build of
pam_ukey.so too (``counting-cc``); ``measured`` reads what they left, ``figures`` makes the table.
"""
