# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``python3 -m tools.ukey``."""

from . import main

if __name__ == "__main__":
    main()
