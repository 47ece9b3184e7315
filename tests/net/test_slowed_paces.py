"""Every host with a pace can be slowed down, again and again, and be asked faster afterwards."""

from __future__ import annotations

import pytest

from comfywatchman.net.manners import PACES, Manners


@pytest.mark.parametrize("host", sorted(PACES))
def test_a_host_that_says_slow_down_is_asked_more_slowly(host: str) -> None:
    now = [1000.0]
    manners = Manners(clock=lambda: now[0])
    for _ in range(8):
        manners.before(host)
        manners.answered(host, 429, 1.0)
        now[0] += 4000
    for _ in range(100):
        manners.before(host)
        manners.answered(host, 200)
        now[0] += 4000
