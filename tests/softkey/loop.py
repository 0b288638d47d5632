# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A small event loop: descriptors, timers, signals. asyncio would cost as much as an APDU does."""

from __future__ import annotations

import select
import signal
import socket
import time
from collections.abc import Callable

IN, OUT = select.EPOLLIN, select.EPOLLOUT


class Timer:
    """A call at a monotonic time, until it is cancelled."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call


class Loop:
    """One thread. Callbacks do not block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._stopped = False
        self._wakeup: tuple[socket.socket, socket.socket] | None = None

    def watch(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        """Call each time that `descriptor` is ready for `events`, or has an error or hang-up."""
        if descriptor in self._watched:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._watched[descriptor] = call

    def unwatch(self, descriptor: int) -> None:
        """Stop watching it; call this before the descriptor is closed."""
        if self._watched.pop(descriptor, None):
            self._epoll.unregister(descriptor)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        if timer in self._timers:
            self._timers.remove(timer)

    def stop_at_signals(self, *numbers: signal.Signals) -> None:
        """Make these signals end :meth:`run` between two callbacks."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        for number in numbers:
            signal.signal(number, lambda *_: None)
        self._wakeup = (reader, writer)
        self.watch(reader.fileno(), IN, self.stop)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Run until :meth:`stop`."""
        poll, watched = self._epoll.poll, self._watched
        while not self._stopped:
            for descriptor, _ in poll(self._timeout() if self._timers else None):
                call = watched.get(descriptor)
                if call:
                    call()
            if self._timers:
                self._expire()

    def _timeout(self) -> float:
        return max(0.0, min(timer.when for timer in self._timers) - time.monotonic())

    def _expire(self) -> None:
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer.when <= now]:
            if timer in self._timers:
                self._timers.remove(timer)
                timer.call()
