# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The only installer: the sandbox, the .deb and the .rpm call it (``scripts/install``).

It stages the whole product in a temporary directory, then places it file by file under the root
directory and keeps a list of what it placed, which is what ``--uninstall`` removes.
"""


class InstallError(Exception):
    """What is wrong and what to do about it, for the person who installs."""
