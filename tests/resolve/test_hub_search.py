from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.hub_listing import MORE_LIST_PAGES, MOST_LIST_PAGES
from comfywatchman.resolve.hub_names import is_sibling, searches
from comfywatchman.resolve.publishers import ACCOUNTS, accounts_for
from tests.resolve.hub_asking import (
    MODELS,
    NAME,
    ONE,
    OTHER,
    a_leaf,
    a_repo,
    at,
    given_out,
    of_account,
    on_the_hub,
    tree,
)
from tests.resolve.plain_ask import Turn

# -- accounts


def test_a_file_of_a_known_account_is_found_with_its_hash() -> None:
    offers, replies, resolution = on_the_hub(at(f"loras/{NAME}"))

    (candidate,) = offers
    assert (candidate.grade, candidate.sha256, candidate.size) == ("D", ONE, 7)
    assert candidate.url == f"https://huggingface.co/Kijai/repo/resolve/main/loras/{NAME}"
    assert any("its account is known" in text for text in candidate.evidence)
    assert resolution.chosen == (candidate,)
    assert tree("Kijai/repo", "loras") in replies.paths


def test_only_the_accounts_that_publish_such_files_are_asked() -> None:
    _, replies, _ = on_the_hub({}, Wanted("diffusion_models", "wan2.2_q4.gguf"))

    authors = [parse_qs(urlsplit(url).query).get("author", [None])[0] for url in replies.asked]
    assert "city96" in authors
    assert "Kijai" not in authors
    assert {account.name for account in accounts_for("x.gguf")} == {a for a in authors if a}


def test_the_number_of_requests_has_a_limit() -> None:
    _, replies, _ = on_the_hub({}, Wanted("loras", "a_very_long_name_of_some_lora_v2.safetensors"))

    assert len(replies.asked) <= len(ACCOUNTS) + 2


def test_every_account_says_why_it_is_asked() -> None:
    assert len({account.name for account in ACCOUNTS}) == len(ACCOUNTS) <= 12
    assert all(account.why.endswith(".") for account in ACCOUNTS)


@pytest.mark.parametrize(
    "path", [f"x_{NAME}", NAME.upper(), f"{NAME}.md", f"{NAME}/config.json", "other.safetensors"]
)
def test_a_name_that_is_not_equal_is_no_offer(path: str) -> None:
    offers, _, _ = on_the_hub(at(path))

    assert list(offers) == []


def test_a_file_in_the_directory_of_another_kind_is_told_and_not_offered() -> None:
    offers, _, resolution = on_the_hub(at(f"vae/{NAME}"))

    assert list(offers) == []
    assert resolution.why is not None
    assert "for other folders than loras" in resolution.why.cause


def test_a_file_that_the_list_of_its_directory_does_not_come_to_is_asked_for_alone() -> None:
    answers = at(f"loras/{NAME}", a_leaf("loras/another.safetensors"))
    answers |= given_out("Kijai/repo", f"loras/{NAME}", OTHER)

    offers, _, _ = on_the_hub(answers)

    assert [(offer.grade, offer.sha256) for offer in offers] == [("D", OTHER)]


def test_of_very_many_files_of_one_name_only_some_are_looked_at() -> None:
    paths = [f"{n}/ae.safetensors" for n in range(100)]
    answers: dict[str, object] = {of_account("Kijai"): [a_repo("Kijai/repo", *paths)]}
    answers |= {tree("Kijai/repo", str(n)): [a_leaf(path)] for n, path in enumerate(paths)}

    offers, replies, _ = on_the_hub(answers, Wanted("vae", "ae.safetensors"))

    assert len(offers) == 12
    assert "100 files" in offers.troubles[0].cause
    assert len(replies.asked) < 40


def test_a_kind_that_nothing_tells_is_left_to_a_person() -> None:
    wanted = Wanted("checkpoints", "sd_xl_base_1.0.safetensors")

    offers, _, resolution = on_the_hub(at(wanted.name, account="stabilityai"), wanted)

    assert [offer.grade for offer in offers] == ["E"]
    assert resolution.chosen == ()


def test_a_generic_name_is_never_resolved_by_its_name() -> None:
    name = "diffusion_pytorch_model.safetensors"

    offers, _, resolution = on_the_hub(at(f"controlnet/{name}"), Wanted("controlnet", name))

    assert [offer.grade for offer in offers] == ["E"]
    assert resolution.chosen == ()


def test_the_same_bytes_in_several_repositories_are_mirrors() -> None:
    answers = at(f"loras/{NAME}") | at(f"loras/{NAME}", account="Comfy-Org")

    _, _, resolution = on_the_hub(answers)

    assert len(resolution.chosen) == 2


def test_different_bytes_in_several_repositories_are_a_question() -> None:
    other = a_leaf(f"loras/{NAME}", OTHER)

    _, _, resolution = on_the_hub(
        at(f"loras/{NAME}") | at(f"loras/{NAME}", other, account="Comfy-Org")
    )

    assert resolution.chosen == ()
    assert len(resolution.candidates) == 2


def test_a_small_file_in_git_has_no_hash_and_is_left_to_a_person() -> None:
    offers, _, _ = on_the_hub(at(f"loras/{NAME}", a_leaf(f"loras/{NAME}", None)))

    assert [(offer.grade, offer.sha256) for offer in offers] == [("E", None)]


@pytest.mark.parametrize("oid", ["a" * 40, "sha256:zz", "", "b" * 63])
def test_an_id_that_is_no_sha256_is_not_taken_for_one(oid: str) -> None:
    leaf = a_leaf(f"loras/{NAME}") | {"lfs": {"oid": oid, "size": 7}}

    offers, _, _ = on_the_hub(at(f"loras/{NAME}", leaf))

    assert [offer.sha256 for offer in offers] == [None]


@pytest.mark.parametrize(
    ("headers", "status", "needs"),
    [
        ({"X-Error-Code": "GatedRepo"}, 401, "login"),
        ({"X-Error-Code": "GatedRepo"}, 403, "licence"),
    ],
)
def test_a_gated_file_says_what_it_needs_and_keeps_its_hash(
    headers: dict[str, str], status: int, needs: str
) -> None:
    answers = at(f"loras/{NAME}", gated="auto")
    answers[f"/Kijai/repo/resolve/main/loras/{NAME}"] = (status, b"", headers)

    offers, _, resolution = on_the_hub(answers)

    assert [(offer.needs, offer.sha256) for offer in offers] == [(needs, ONE)]
    assert resolution.why is not None
    assert resolution.why.code == "login-needed"
    assert "https://huggingface.co/Kijai/repo" in resolution.why.remedy


def test_a_free_copy_of_a_gated_file_is_chosen_by_its_hash() -> None:
    answers = at(f"loras/{NAME}", gated="auto") | at(f"loras/{NAME}", account="Comfy-Org")
    gated = (401, b"", {"X-Error-Code": "GatedRepo"})
    answers[f"/Kijai/repo/resolve/main/loras/{NAME}"] = gated

    _, _, resolution = on_the_hub(answers)

    assert [chosen.url for chosen in resolution.chosen] == [
        f"https://huggingface.co/Comfy-Org/repo/resolve/main/loras/{NAME}"
    ]


def test_what_the_hubs_scan_found_harmful_is_not_chosen() -> None:
    wanted = Wanted("loras", "some_detail_lora.ckpt")
    path = f"loras/{wanted.name}"
    leaf = a_leaf(path, securityFileStatus={"status": "unsafe", "avScan": {}})

    offers, replies, resolution = on_the_hub(at(path, leaf, account="Comfy-Org"), wanted)

    assert [offer.grade for offer in offers] == ["E"]
    assert resolution.why is not None
    assert resolution.why.code == "unsafe-file"
    assert any("expand=true" in url for url in replies.asked)


# -- the repositories that workflows name

PLACE = "https://huggingface.co/owner/repo/resolve/main"


@pytest.mark.parametrize(
    "url",
    [f"{PLACE}/old/place.safetensors", "https://huggingface.co/owner/repo", "hf://owner/repo"],
)
def test_a_file_that_moved_inside_its_repository_is_found_there(url: str) -> None:
    answers: dict[str, object] = {
        tree("owner/repo"): [a_leaf("README.md", None), a_leaf(f"new/loras/{NAME}")]
    }
    answers |= given_out("owner/repo", f"new/loras/{NAME}")

    offers, replies, _ = on_the_hub(answers, Wanted("loras", NAME, (url,)))

    assert [offer.url for offer in offers] == [f"{PLACE}/new/loras/{NAME}"]
    assert any("recursive=true" in asked for asked in replies.asked)


def test_the_wanted_bytes_are_found_in_it_under_another_name() -> None:
    answers: dict[str, object] = {
        tree("owner/repo"): [a_leaf("renamed.safetensors", OTHER), a_leaf("else.pt")]
    }
    answers |= given_out("owner/repo", "renamed.safetensors", OTHER)
    wanted = Wanted("loras", NAME, (f"{PLACE}/gone.safetensors",), (OTHER,))

    offers, replies, _ = on_the_hub(answers, wanted)

    assert [(offer.grade, offer.filename) for offer in offers] == [("A", "renamed.safetensors")]
    assert MODELS not in replies.paths  # what is proven is not searched for


def test_one_file_of_another_kind_does_not_hide_the_right_one() -> None:
    answers: dict[str, object] = {
        tree("owner/repo"): [a_leaf(f"vae/{NAME}", OTHER), a_leaf(f"loras/{NAME}")]
    }
    answers |= given_out("owner/repo", f"loras/{NAME}")
    answers |= given_out("owner/repo", f"vae/{NAME}", OTHER)

    offers, _, _ = on_the_hub(answers, Wanted("loras", NAME, ("hf://owner/repo",)))

    assert [offer.url for offer in offers] == [f"{PLACE}/loras/{NAME}"]


def test_a_repository_of_data_is_not_asked_as_one_of_models() -> None:
    url = "https://huggingface.co/datasets/owner/repo/resolve/main/a.safetensors"

    _, replies, _ = on_the_hub({}, Wanted("loras", NAME, (url,)))

    assert set(replies.paths) == {MODELS}


def test_a_repository_that_is_gone_is_told_and_the_search_goes_on() -> None:
    answers = at(f"loras/{NAME}") | {
        tree("owner/repo"): (404, {}, {"X-Error-Code": "RepoNotFound"})
    }

    offers, _, _ = on_the_hub(answers, Wanted("loras", NAME, (f"{PLACE}/a.pt",)))

    assert len(offers) == 1
    assert [trouble.code for trouble in offers.troubles] == ["source-missing"]


# -- the search


def test_repositories_are_searched_by_the_first_words_of_the_name() -> None:
    wanted = Wanted("loras", "Qwen-Image-Lightning-4steps-lora.safetensors")
    path = f"loras/{wanted.name}"
    query = f"{MODELS}?search=Qwen-Image&sort=downloads&full=true&limit=20"
    answers = {query: [a_repo("someone/Qwen-Image-things", path)]}
    answers[tree("someone/Qwen-Image-things", "loras")] = [a_leaf(path)]

    offers, replies, _ = on_the_hub(answers, wanted)

    (candidate,) = offers
    assert candidate.grade == "D"
    assert any("found by the words 'Qwen-Image'" in text for text in candidate.evidence)
    kinds = [call["kind"] for call in replies.calls]
    assert kinds[-1] == "metadata"
    assert set(kinds[:-1]) == {"search"}


@pytest.mark.parametrize(
    ("filename", "texts"),
    [
        ("flux1-dev-Q4_K_S.gguf", ("flux1-dev", "flux1")),
        ("qwen_image_2512_fp8.safetensors", ("qwen-image", "qwen")),
        ("umt5_xxl_fp8_e4m3fn_scaled.safetensors", ("umt5-xxl",)),
        ("ae.safetensors", ()),
        (".safetensors", ()),
        ("detail.safetensors", ("detail",)),
    ],
)
def test_what_is_searched_for_comes_from_the_name(filename: str, texts: tuple[str, ...]) -> None:
    assert searches(filename) == texts


@pytest.mark.parametrize(
    ("name", "wanted", "verdict"),
    [
        ("flux1-dev-Q8_0.gguf", "flux1-dev-Q4_K_S.gguf", True),
        ("wan2.1_vace_14B_bf16.safetensors", "wan2.1_vace_14B_fp16.safetensors", True),
        ("wan2.1_vace_14B_fp8_e4m3fn.safetensors", "wan2.1_vace_14B_fp16.safetensors", True),
        ("flux1-dev-Q4_K_S.gguf", "flux1-dev-Q4_K_S.gguf", False),
        ("flux1-schnell-Q4_K_S.gguf", "flux1-dev-Q4_K_S.gguf", False),
        ("flux1-dev.safetensors", "flux1-dev-Q4_K_S.gguf", False),
        ("wan2.1_vace_1.3B_fp16.safetensors", "wan2.1_vace_14B_fp16.safetensors", False),
        ("fp16.safetensors", "bf16.safetensors", False),
    ],
)
def test_the_same_model_in_another_precision_is_known_by_the_rest_of_its_name(
    name: str, wanted: str, verdict: bool
) -> None:
    assert is_sibling(name, wanted) is verdict


def test_another_precision_is_only_suggested() -> None:
    wanted = Wanted("diffusion_models", "flux1-dev-Q4_K_S.gguf")
    path = "flux1-dev-Q8_0.gguf"
    answers: dict[str, object] = {of_account("city96"): [a_repo("city96/FLUX.1-dev-gguf", path)]}
    answers |= given_out("city96/FLUX.1-dev-gguf", path)

    offers, _, resolution = on_the_hub(answers, wanted)

    assert [(offer.replacement, offer.grade, offer.sha256) for offer in offers] == [
        (True, "E", ONE)
    ]
    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == "nothing-found"


# -- what was not looked at


def many(count: int, odd: int | None = None) -> dict[str, object]:
    """An account with *count* repositories that have the file; number *odd* has other bytes."""
    repos = [a_repo(f"Kijai/rep{n:02}", f"loras/{NAME}") for n in range(count)]
    answers: dict[str, object] = {of_account("Kijai"): repos}
    for n in range(count):
        leaf = a_leaf(f"loras/{NAME}", OTHER if n == odd else ONE)
        answers[tree(f"Kijai/rep{n:02}", "loras")] = [leaf]
    return answers


def test_copies_that_were_all_looked_at_are_one_file() -> None:
    _, _, resolution = on_the_hub(many(9))

    assert {offer.grade for offer in resolution.chosen} == {"D"}


@pytest.mark.parametrize("odd", [None, 16])
def test_more_copies_than_are_looked_at_are_left_to_a_person(odd: int | None) -> None:
    """Among those that nobody looked at may be one with other bytes."""
    offers, _, resolution = on_the_hub(many(17, odd))

    assert resolution.chosen == ()
    assert any("12 of them were looked at" in text for text in offers[0].evidence)


def paged(pages: int) -> list[Turn]:
    """The lists of an account: the file is on the first page, after it *pages* without it."""
    here = [a_repo("Kijai/repo", f"loras/{NAME}")]
    link = f'<https://huggingface.co{MODELS}?cursor={{}}>; rel="next"'
    turns = [Turn((200, here, {"Link": link.format(0)}))]
    turns += [Turn((200, [], {"Link": link.format(n)})) for n in range(1, pages)]
    return [*turns, Turn([])]


def test_a_list_with_the_file_is_read_to_its_end() -> None:
    leaves: dict[str, object] = {tree("Kijai/repo", "loras"): [a_leaf(f"loras/{NAME}")]}

    _, _, resolution = on_the_hub(leaves | {of_account("Kijai"): paged(1)})

    assert resolution.chosen


def test_a_list_that_was_not_read_to_its_end_leaves_its_files_to_a_person() -> None:
    leaves: dict[str, object] = {tree("Kijai/repo", "loras"): [a_leaf(f"loras/{NAME}")]}
    account = f"{MODELS}?author=Kijai&sort=downloads&full=true&limit=100"
    turns = paged(20)
    lists: dict[str, object] = {account: turns[0].told}
    lists |= {f"{account}&cursor={n}": turns[n + 1].told for n in range(20)}

    offers, replies, resolution = on_the_hub(lists | leaves)

    assert resolution.chosen == ()
    assert any("longer lists than we read" in text for text in offers[0].evidence)
    asked = [url for url in replies.asked if "author=Kijai" in url]
    assert len(asked) == MOST_LIST_PAGES + MORE_LIST_PAGES
