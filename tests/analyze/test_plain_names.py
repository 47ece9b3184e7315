"""Names that need no second look, against the look that they are spared."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from comfywatchman.analyze.names import unsafe

LETTERS = "aZ0_ .+()-/\\~:\u202e\n\x7fé"


@given(st.text(alphabet=LETTERS, max_size=8) | st.text(max_size=300))
@example("C:x")
@example("..")
@example("a..")
@example("~a")
def test_a_name_is_judged_the_same_behind_a_directory(name: str) -> None:
    """A name with a slash is never spared; one that is spared would pass behind one as well."""
    if unsafe(name) is None:
        assert unsafe(f"é/{name}") is None
        assert not name.startswith(("/", "~", ".."))
        assert not (name[:1].isascii() and name[:1].isalpha() and name[1:2] == ":")
        assert name.strip(" ") == name.rstrip(".")
