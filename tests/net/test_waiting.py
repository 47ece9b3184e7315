from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from comfywatchman.net.waiting import seconds_to_wait

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({"Retry-After": "20"}, 503, 20.0),
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT", "Date": DATE}, 429, 3600.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:20 GMT", "date": DATE}, 503, 20.0),
        ({"Retry-After": "Sat, 21 Nov 2026 09:00:00 GMT", "Date": DATE}, 429, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 429, None),
        ({"Retry-After": "soon", "Date": DATE}, 429, None),
        ({"Retry-After": "9" * 40}, 429, None),
        ({"RateLimit": '"resolvers";r=0;t=295'}, 429, 295.0),
        ({"RateLimit": '"resolvers";r=12;t=295'}, 200, None),
        ({"RateLimit": '"api";r=0;t=30', "Retry-After": "5"}, 429, 30.0),
    ],
)
def test_both_forms_of_retry_after_are_read_by_the_clock_of_the_host(
    headers: dict[str, str], status: int, seconds: float | None
) -> None:
    assert seconds_to_wait(CaseInsensitiveDict(headers), status) == seconds
