# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Changes of /etc/pam.d that ``ukey pam enable`` and ``ukey pam disable`` make.

* ``block``: the lines that are put in, the stacks that are understood, and the way back;
* ``private``: a copy of the stacks with the change, for the judge of ``pamcheck`` and for a try;
* ``verdicts``: who would get in, and what forbids the change;
* ``people``: who is enrolled, and the second way in;
* ``whole``: all services at once, by the distribution's own tool;
* ``files``: backup, and each file replaced whole or not at all.
"""
