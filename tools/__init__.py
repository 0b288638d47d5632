# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands: getpubkey, rmpubkey, chpinpw and ukey.

The keyservice decides and drives every conversation; a command carries it to a terminal and back.
There is one file per command, one per subcommand of ``ukey``; beside them

* ``command``: the frame of every command, its parser, its signals, its exit;
* ``conversation``: the steps of a session, shown and answered;
* ``terminal``: prompts, PINs, the sign that the command waits;
* ``output``: tables, ``--json``, widths, colours;
* ``exits``: the one table of exit statuses;
* ``language``: the person's language, and its texts.

Imports the standard library, ``keyservice.client``, ``contract`` and ``core`` only; jeepney and
pamela are loaded only where they are used.
"""
