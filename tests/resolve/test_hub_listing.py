from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import (
    LoginNeeded,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.hub_listing import MOST_TREE_PAGES, HubListing
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import WorkflowBackend
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.hub_asking import (
    MODELS,
    NOTHING,
    ONE,
    OTHER,
    a_leaf,
    a_repo,
    of_account,
    on_the_hub,
    tree,
)
from tests.resolve.plain_ask import Replies, Turn, scripted

# -- lists

LOOKS: dict[str, Callable[[HubListing], object]] = {
    "account": lambda asking: asking.of_account("Kijai"),
    "words": lambda asking: asking.called("flux"),
    "tree": lambda asking: asking.files("o/r", "loras"),
}


def listing(answers: Mapping[str, object]) -> tuple[HubListing, Replies]:
    replies = Replies(answers)
    return HubListing(replies, Endpoints()), replies


def next_page(cursor: str, host: str = "https://huggingface.co") -> dict[str, str]:
    return {"Link": f'<{host}/api/models/o/r/tree/main?cursor={cursor}>; rel="next"'}


def test_the_pages_of_a_tree_are_followed() -> None:
    first = (200, [a_leaf("a.pt")], next_page("two"))
    asking, replies = listing(
        {tree("o/r"): first, f"{tree('o/r')}?recursive=true&cursor=two": [a_leaf("b/c.pt", OTHER)]}
    )

    leaves, whole = asking.files("o/r", "", deep=True)

    assert [(leaf.path, leaf.sha256) for leaf in leaves] == [("a.pt", ONE), ("b/c.pt", OTHER)]
    assert whole
    assert len(replies.asked) == 2


def test_the_next_page_is_asked_of_the_host_that_was_asked_first() -> None:
    """A mirror passes on the addresses of the official hub."""
    asking, replies = listing(
        {tree("o/r"): [Turn((200, [], next_page("two", "http://evil.example"))), Turn([])]}
    )

    asking.files("o/r", "")

    assert [urlsplit(url).netloc for url in replies.asked] == ["huggingface.co"] * 2


def test_pages_without_an_end_are_left_at_the_limit() -> None:
    turns = [Turn((200, [a_leaf(f"{n}.pt")], next_page(str(n)))) for n in range(99)]
    asking, replies = listing({tree("o/r"): turns})

    leaves, whole = asking.files("o/r", "")

    assert not whole
    assert len(leaves) == len(replies.asked) == MOST_TREE_PAGES


def test_a_page_that_leads_to_itself_ends_the_list() -> None:
    asking, replies = listing({tree("o/r"): (200, [], next_page("same"))})

    _, whole = asking.files("o/r", "")

    assert not whole
    assert len(replies.asked) == 2


def test_a_list_longer_than_we_read_is_read_as_far_as_it_came() -> None:
    rows = [
        a_repo(f"Kijai/r{n}", *(f"{n}/{m}.safetensors" for m in range(50))) for n in range(5000)
    ]
    asking, _ = listing({MODELS: rows})

    found = asking.of_account("Kijai")

    assert found.cut
    assert 100 < len(found.repositories) < 5000


def test_a_cut_list_without_the_file_says_so() -> None:
    rows = [a_repo(f"Kijai/r{n}", *(f"{m}.safetensors" for m in range(50))) for n in range(5000)]

    _, _, resolution = on_the_hub({of_account("Kijai"): rows})

    assert resolution.why is not None
    assert "longer lists than we read" in resolution.why.cause


@pytest.mark.parametrize(
    ("answers", "look"),
    [
        ({MODELS: [a_repo("somebody/else", "a.pt")]}, "account"),
        ({tree("o/r", "loras"): [a_leaf("vae/a.pt")]}, "tree"),
        ({tree("o/r", "loras"): [a_leaf("loras2/a.pt")]}, "tree"),
    ],
)
def test_an_answer_about_another_place_is_never_used(answers: dict[str, object], look: str) -> None:
    asking, _ = listing(answers)

    with pytest.raises(WrongAnswer) as wrong:
        LOOKS[look](asking)

    assert (wrong.value.requested, wrong.value.returned) in {
        ("Kijai", "somebody/else"), ("loras", "vae/a.pt"), ("loras", "loras2/a.pt"),
    }  # fmt: skip


@pytest.mark.parametrize("rows", [[None], [5], ["x"], [{"type": "file"}], [{"path": "a"}], [[]]])
def test_rows_that_cannot_be_read_cost_only_themselves(rows: list[object]) -> None:
    asking, _ = listing({tree("o/r"): [*rows, a_leaf("good.pt")]})

    leaves, _ = asking.files("o/r", "")

    assert [leaf.path for leaf in leaves] == ["good.pt"]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (200, {"Content-Type": "text/html"}, b"<html>", WrongAnswer),
        (200, {}, b"", WrongAnswer),
        (200, {}, b"[", WrongAnswer),
        (200, {}, b"[" * 100_000, WrongAnswer),
        (200, {}, b"{}", WrongAnswer),
        (302, {"Location": "https://elsewhere.example"}, b"", WrongAnswer),
        (400, {}, b"", WrongAnswer),
        (401, {"X-Error-Message": "Invalid username or password."}, b"", SourceMissing),
        (401, {"X-Error-Code": "GatedRepo"}, b"", LoginNeeded),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, b"", SourceMissing),
        (403, {"Content-Type": "text/html"}, b"<html>", SourceUnavailable),
        (404, {"X-Error-Code": "RepoNotFound"}, b"", SourceMissing),
        (404, {"X-Error-Code": "RevisionNotFound"}, b"", SourceMissing),
        (429, {"RateLimit": '"api";r=0;t=60'}, b"", RateLimited),
        (500, {}, b"", SourceUnavailable),
        (503, {"Content-Type": "text/html"}, b"<html>", SourceUnavailable),
    ],
)
def test_every_refusal_of_a_list_has_its_own_error(
    look: str, status: int, headers: dict[str, str], body: bytes, error: type[WatchmanError]
) -> None:
    asking = HubListing(scripted(status, headers, body), Endpoints())

    with pytest.raises(error):
        LOOKS[look](asking)


BAD_TOKEN: tuple[object, ...] = (
    401,
    {},
    {"X-Error-Message": "Invalid credentials in Authorization header"},
)


def test_a_bad_token_does_not_hide_a_public_list() -> None:
    asking, replies = listing({tree("o/r"): [Turn(BAD_TOKEN), Turn([a_leaf("a.pt")])]})

    leaves, _ = asking.files("o/r", "")

    assert [leaf.path for leaf in leaves] == ["a.pt"]
    assert [call["authenticate"] for call in replies.calls] == [True, False]


def test_a_token_that_was_refused_is_left_out_of_the_next_questions() -> None:
    asking, replies = listing({tree("o/r"): [Turn(BAD_TOKEN), Turn([a_leaf("a.pt")])]})

    asking.files("o/r", "")
    asking.files("o/r", "")

    assert [call["authenticate"] for call in replies.calls] == [True, False, False]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_gated_file_says_that_the_token_is_refused(*, at_once: bool) -> None:
    """The hub says so at the file, or only where its directory is listed."""
    gated: tuple[object, ...] = (401, {}, {"X-Error-Code": "GatedRepo"})
    path = "/o/r/resolve/main/a.safetensors"
    bad = [Turn(BAD_TOKEN)]
    listed = [Turn([a_leaf("a.safetensors")])]
    head, directory = ([*bad, Turn(gated)], listed) if at_once else (gated, [*bad, *listed])
    replies = Replies({path: head, tree("o/r"): directory})
    url = f"https://huggingface.co{path}"
    wanted = Wanted("loras", "a.safetensors", (url,))

    offers = WorkflowBackend(HuggingFace(replies, Endpoints()), Endpoints()).search(wanted)
    resolution = choose(offers, wanted, tokens={"huggingface.co"})

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert "refuses the token that is set" in resolution.why.cause
    assert "https://huggingface.co/settings/tokens" in resolution.why.remedy


def test_a_mirror_is_asked_where_the_settings_say() -> None:
    replies = Replies(NOTHING)

    HubListing(replies, Endpoints(huggingface="https://mirror.example")).of_account("Kijai")

    assert {urlsplit(url).netloc for url in replies.asked} == {"mirror.example"}


def test_odd_characters_in_names_are_escaped() -> None:
    path = "sub dir/nä & plus+.pt"
    asking, replies = listing({f"{MODELS}/o/r/tree/refs%2Fpr%2F1/sub%20dir": [a_leaf(path)]})

    leaves, _ = asking.files("o/r", "sub dir", revision="refs/pr/1")

    assert [leaf.path for leaf in leaves] == [path]
    assert len(replies.asked) == 1


@pytest.mark.parametrize("path", ["../x.pt", "a/../../x.pt", "/x.pt", "a//x.pt", "a/\n.pt", "./x"])
def test_a_path_that_leads_out_of_its_repository_is_none(path: str) -> None:
    asking, _ = listing(
        {
            tree("o/r"): [a_leaf(path), a_leaf("good.pt")],
            MODELS: [a_repo("Kijai/r", path, "good.pt")],
        }
    )

    leaves, _ = asking.files("o/r", "")
    (repository,) = asking.called("r").repositories

    assert [leaf.path for leaf in leaves] == ["good.pt"]
    assert repository.paths == ("good.pt",)


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/..", "a/b/c", "a", "a/b?c", "a b/c", "a/b#c", "/a"]
)
def test_a_repository_of_an_impossible_name_is_none(name: str) -> None:
    asking, _ = listing({MODELS: [a_repo(name, "x.pt"), a_repo("o/r", "x.pt")]})

    assert [repository.id for repository in asking.called("r").repositories] == ["o/r"]
