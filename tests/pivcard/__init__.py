# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated PIV card (NIST SP 800-73-4, part 2), beside :mod:`tests.softkey`, whose way into a
virtual reader it uses.

It is written from the standard's tables and imports nothing of the keyservice, so that no
misreading is shared. There are two builds: a plain card, which is what the standard says and no
more, and a vendor's, which has instructions of its own: version, serial number, metadata, import.
Judges that have nothing to do with this project use both: opensc-tool, pkcs11-tool,
yubico-piv-tool, ykman.
"""
