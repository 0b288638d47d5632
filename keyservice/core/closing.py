# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Things that are closed when the block that they were made for is left."""

from __future__ import annotations

from typing import Self


class Closing:
    """A context whose end is :meth:`close`, however the block ends."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
