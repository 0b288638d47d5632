# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands: getpubkey, rmpubkey, chpinpw and ukey.

The keyservice decides and drives every conversation; a command carries it to a terminal and
back. One file per command, one per subcommand of ``ukey``; beside them

* ``command``: the frame of every command, its parser, its signals, its exit;
* ``conversation``: the steps of a session, shown and answered;
* ``terminal``: prompts, PINs, the sign that it waits;
* ``output``: tables, ``--json``, widths, colours;
* ``exits``: the one table of exit statuses;
* ``language``: whose language, and its texts.

Imports the standard library and ``keyservice.contract`` only; jeepney only where the bus is used.
"""
