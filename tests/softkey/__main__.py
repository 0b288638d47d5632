# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
import sys

from .cli import main

sys.exit(main())
