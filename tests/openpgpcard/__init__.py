# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated OpenPGP card (specification 3.4), beside :mod:`tests.pivcard`, whose code reads its
APDUs, and :mod:`tests.softkey`, whose way into a virtual reader it uses.

It is written from the specification and imports nothing of the keyservice, so that no misreading
is shared. In what cards differ, it is told how to be (``state.Traits``). Judges that have nothing
to do with this project use it: gpg with scdaemon, opensc's tools.
"""
