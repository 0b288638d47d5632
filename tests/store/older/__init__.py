# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How packages read and wrote records that knew version 1 alone, kept as it was: the judge of what
they find after a roll-back. The forms of the histories and the witness are the same until today."""
