# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A whole Debian host for tests: its daemons, people, terminals and PAM stacks (``host.Host``).

Everything is the real program at its real path, so it runs in ``scripts/sandbox`` only. The files
from the ground up: ``process`` (starting, waiting, ending), ``restore``, ``daemons``, ``ukeys``,
``people``, ``stacks``, ``crowd``, ``authlog``, ``network``, ``terminal``, ``programs``, ``scope``,
``host``; and, with an enrolled person on it, ``enrolled``, ``shared_host``.
"""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
