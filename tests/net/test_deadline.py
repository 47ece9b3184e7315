from __future__ import annotations

import socket
import time

from comfywatchman.net.deadline import Deadline


def test_a_read_that_lasts_too_long_ends_as_if_the_other_side_had_hung_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.1) as deadline:
        deadline.watch(ours)

        assert ours.recv(1) == b""
        assert deadline.passed


def test_a_connection_that_is_made_too_late_ends_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.01) as deadline:
        first, second = socket.socketpair()
        with first, second:
            deadline.watch(first)
            assert first.recv(1) == b""  # until the time is over

        deadline.watch(ours)

        assert ours.recv(1) == b""


def test_who_is_done_in_time_waits_for_nothing() -> None:
    began = time.monotonic()
    with Deadline(60) as deadline:
        pass

    assert not deadline.passed
    assert time.monotonic() - began < 5
