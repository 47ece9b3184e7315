from __future__ import annotations

import threading
import time

from comfywatchman.download.pace import Bandwidth, Lagging


def test_a_transfer_lags_only_after_a_whole_window_with_too_little() -> None:
    lagging = Lagging(window=10, least=100)

    assert [lagging(0, 0), lagging(0, 9.9), lagging(99, 10)] == [False, False, True]


def test_a_slow_but_steady_transfer_does_not_lag() -> None:
    lagging = Lagging(window=10, least=100)

    assert not any(lagging(second * 10, second) for second in range(1000))


def test_a_fast_transfer_that_stops_lags_one_window_later() -> None:
    lagging = Lagging(window=10, least=100)
    for second in range(10):
        lagging(second * 1000, second)

    lags = [second for second in range(10, 40) if lagging(9000, second)]

    assert lags[0] == 19


def test_workers_share_one_bandwidth() -> None:
    bandwidth = Bandwidth(1000)
    stop = threading.Event()
    started = time.monotonic()
    workers = [threading.Thread(target=bandwidth.take, args=(100, stop)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert 0.35 < time.monotonic() - started < 2


def test_who_waits_by_the_narrow_budget_waits_no_more_when_it_is_wide_again() -> None:
    bandwidth = Bandwidth(narrow=1000)
    bandwidth.shut(closed=True)
    worker = threading.Thread(target=bandwidth.take, args=(60_000, threading.Event()))
    worker.start()
    try:
        assert bandwidth.used.wait(5)
        assert worker.is_alive()
        assert bandwidth.is_narrow
    finally:
        bandwidth.shut(closed=False)
        worker.join(5)

    assert not worker.is_alive()
    assert not bandwidth.is_narrow


def test_a_limit_below_the_narrow_budget_is_not_raised_by_it() -> None:
    bandwidth = Bandwidth(1000, narrow=5000)
    bandwidth.shut(closed=True)

    assert bandwidth.bytes_per_second == 1000
    assert not bandwidth.is_narrow


def test_stopping_ends_the_wait_for_bandwidth() -> None:
    stop = threading.Event()
    stop.set()
    started = time.monotonic()

    Bandwidth(1).take(1000, stop)

    assert time.monotonic() - started < 1
