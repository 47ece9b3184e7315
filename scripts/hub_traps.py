"""The stand-in hubs, the resolve room against them, and the traps that they have.

The stand-in lies beside a checkout of the team (``../shared/standin``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from comfywatchman.disk.structure import examine
from comfywatchman.domain.candidates import Candidate, Resolution, Wanted
from comfywatchman.domain.errors import (
    LoginNeeded,
    SourceMissing,
    VerificationFailed,
)
from comfywatchman.domain.files import Expected, Measured, ShortHash
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from comfywatchman.pipeline.questions import Asking, Question, Questions
from comfywatchman.resolve.backend import SearchBackend, ask
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.local_cache import LocalHubCache
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.room import backends_of, publisher_of
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.state.answers import Answers

STANDIN = Path(__file__).resolve().parents[1] / "../shared/standin"

ORDER = ("workflow", "catalog", "civitai", "huggingface", "github")
CIVITAI_TOKEN, BUYER = "civitai-standin-token", "civitai-standin-buyer"
HUB_TOKEN, HUB_PLAIN = "hf_standinTokenGranted", "hf_standinTokenPlain"
REVOKED = "hf_revokedRevokedRevoked"

HUB = "https://huggingface.co"
DOWNLOAD = "https://civitai.com/api/download/models"


@contextmanager
def stand_in(cache: Path, templates: Path | None = None) -> Iterator[Any]:
    """Start the hubs; *cache* is a file where they keep the hashes of what they make.

    With *templates*, a folder of workflows, they have every model that these name.
    """
    spec = importlib.util.spec_from_file_location("standin_hubs", STANDIN / "hubs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["standin_hubs"] = module  # its dataclasses look themselves up there
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    folder = None if templates is None else str(templates)
    with module.Hubs(str(STANDIN / "catalogue.json"), cache=str(cache), templates=folder) as hubs:
        yield hubs


class Room:
    """The resolve room against the hubs, with or without tokens; for one thread."""

    def __init__(
        self,
        hubs: Any,
        *,
        tokens: tuple[str, ...] = (),
        catalog: Catalog | None = None,
        read_timeout: float = 10.0,
        cache: Path | None = None,
    ) -> None:
        urls: Mapping[str, str] = hubs.urls
        self.endpoints = Endpoints(urls["hf"], urls["civitai"], urls["web"])
        hosts = {name: urlsplit(url).netloc for name, url in urls.items()}
        named = [
            HostToken(hosts["hf" if token.startswith("hf_") else "civitai"], Secret(token))
            for token in tokens
        ]
        self.policy = NetPolicy(
            insecure_hosts=tuple(hosts.values()), tokens=tuple(named), read_timeout=read_timeout
        )
        self.official = {
            "huggingface.co" if token.startswith("hf_") else "civitai.com" for token in tokens
        }
        self.net = Net(self.policy)
        self.asked: list[Question] = []
        self.answers = Answers(cache, 64 << 20)
        self.ask = Questions(Asking(self.net), self.answers, watch=self.asked.append)
        self.publisher = publisher_of(self.ask, self.endpoints)
        room = backends_of(
            self.ask,
            self.publisher,
            self.endpoints,
            catalog or Catalog([]),
            LocalHubCache(Path("/nowhere")),
        )
        self.backends: list[SearchBackend] = [room[name] for name in ORDER]

    def resolve(self, wanted: Wanted) -> Resolution:
        offers = ask(self.backends, wanted, lambda _: None)
        return choose(
            offers,
            wanted,
            tokens=self.official,
            complete=offers.complete,
            troubles=offers.troubles,
        )

    def fetch(self, source: Candidate) -> str:
        """Fetch a chosen file and check it; how that ends, by the code of the error.

        One plain request, so that this says what the hub does with the address that was chosen
        and nothing about the download room.
        """
        with self.net.ask("GET", self.endpoints.ask_at(source.url), follow="all") as reply:
            if reply.status != 200:
                codes = {401: LoginNeeded, 403: LoginNeeded, 404: SourceMissing, 410: SourceMissing}
                error = codes.get(reply.status)
                return error.code if error else f"status {reply.status}"
            content = reply.read(64 << 20)
        measured = Measured(len(content), hashlib.sha256(content).hexdigest())
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            found = examine(file.fileno(), PurePosixPath(source.filename).suffix)
        wrong = Expected(source.size, source.sha256).broken_promise(measured) or found.problem
        return VerificationFailed.code if wrong else "verified"

    @property
    def questions(self) -> int:
        """How many were put to a hub; what was answered before is not."""
        return sum(question.how != "known" for question in self.asked)

    def close(self) -> None:
        self.net.close()
        self.answers.close()


# -- the traps


@dataclass(frozen=True)
class Trap:
    """A question that is hard, and how it has to end."""

    name: str
    wanted: Callable[[Any], Wanted]
    ends: str
    """``chosen GRADE``, or the code of the trouble, with what is needed in brackets."""
    says: str = ""
    """What the trouble, or the evidence of the first candidate, has to say."""
    tokens: tuple[str, ...] = ()
    then: str = ""
    """How fetching the chosen file ends."""
    offered: int | None = None
    """How many candidates there are."""


def hub(ref: str, folder: str = "loras", name: str | None = None) -> Callable[[Any], Wanted]:
    """The question of a workflow that gives the address of a file of Hugging Face."""
    repo, path = ref.split(":", 1)
    url = f"{HUB}/{repo}/resolve/main/{quote(path)}"
    return lambda _: Wanted(folder, name or path.rsplit("/", 1)[-1], (url,))


def version(
    number: int, name: str, folder: str = "loras", query: str = ""
) -> Callable[[Any], Wanted]:
    """The question of a workflow that gives the address of a version of Civitai."""
    return lambda _: Wanted(folder, name, (f"{DOWNLOAD}/{number}{query}",))


def called(name: str, folder: str = "loras") -> Callable[[Any], Wanted]:
    """The question of a workflow that gives a name and nothing else."""
    return lambda _: Wanted(folder, name)


def web(path: str, name: str) -> Callable[[Any], Wanted]:
    """The question of a workflow that gives the address of a plain web server."""
    return lambda hubs: Wanted("loras", name, (f"{hubs.urls['web']}/files/{path}",))


def many(short: str = "", sha256: bool = False) -> Callable[[Any], Wanted]:
    """The version with three files of one name, with and without a hash that tells which."""

    def question(hubs: Any) -> Wanted:
        wanted = next(f for f in hubs.files() if ":9100509:" in f["ref"])
        hashes = (ShortHash(short, wanted["hashes"][short].lower()),) if short else ()
        sums = (wanted["sha256"],) if sha256 else ()
        return Wanted("diffusion_models", "manyFiles_v20.safetensors", (), sums, hashes)

    return question


def by_hash(ref: str, name: str, folder: str = "loras") -> Callable[[Any], Wanted]:
    """The question of a workflow that knows the SHA-256 and another name."""

    def question(hubs: Any) -> Wanted:
        file = next(f for f in hubs.files() if f["ref"].startswith(ref))
        return Wanted(folder, name, (), (file["sha256"],))

    return question


_VAE = "Comfy-Org/Qwen-Image_ComfyUI:split_files/vae/qwen_image_vae.safetensors"
_MOSS = "Comfy-Org/MOSS-Image:diffusion_models/moss_image_base_int8_convrot.safetensors"
_SFT = "moss_image_sft_int8_convrot.safetensors"
_FLUX = "black-forest-labs/FLUX.1-dev:flux1-dev.safetensors"
_AE = "black-forest-labs/FLUX.1-dev:ae.safetensors"
_GATE = "standin-org/manual-gate:secret_lora.safetensors"
_PRIVATE = "standin-org/private-models:in_house.safetensors"
_RENAMED = "standin-org/old-name:renamed_model.safetensors"
_ODD = "standin-org/odd-paths:sub dir/näme with spaces & plus+.safetensors"
_GENERIC = "diffusion_pytorch_model.safetensors"
_SEVERAL = "manyFiles_v20.safetensors"
_BROKEN = "?type=UNet&format=SafeTensor&fp=int8"
_WITHDRAWN = "urn:air:sd1:lora:civitai:900004@910030"
_MODELS = "diffusion_models"
_SAME_NAMES = tuple(
    f"{HUB}/standin-org/{place}/{_GENERIC}"
    for place in (
        "same-name-a/resolve/main/unet",
        "same-name-a/resolve/main/vae",
        "same-name-b/resolve/main",
    )
)


def given(folder: str, name: str, *urls: str) -> Callable[[Any], Wanted]:
    """The question of workflows that give these addresses."""
    return lambda _: Wanted(folder, name, urls)


WITH_TOKEN, WITH_TERMS, WITHOUT_TERMS = (CIVITAI_TOKEN,), (HUB_TOKEN,), (HUB_PLAIN,)

TRAPS: tuple[Trap, ...] = (
    Trap("one file in several repositories", called("qwen_image_vae.safetensors", "vae"),
         "chosen D", "publishes its SHA-256", then="verified"),
    Trap("the same, by its address", hub(_VAE, "vae"), "chosen B", then="verified"),
    Trap("an address that is another file", hub(_MOSS, _MODELS, _SFT), "chosen D",
         "names the repository", then="verified"),
    Trap("gated, no token", hub(_FLUX, _MODELS), "login-needed (login)", "gated"),
    Trap("gated, a token without the terms", hub(_FLUX, _MODELS), "login-needed (licence)",
         "terms to be accepted", WITHOUT_TERMS),
    Trap("gated, a token with the terms", hub(_FLUX, _MODELS), "chosen B", "", WITH_TERMS,
         "verified"),
    Trap("gated, and the same bytes elsewhere", hub(_AE, "vae"), "chosen B", "the same bytes as",
         then="verified"),
    Trap("gated by hand", hub(_GATE), "login-needed (licence)", "terms", WITH_TERMS),
    Trap("private", hub(_PRIVATE), "source-missing", "does not exist or is private"),
    Trap("private, with its token", hub(_PRIVATE), "chosen B", "", WITH_TERMS, "verified"),
    Trap("a revoked token on a public file", hub(_VAE, "vae"), "chosen B", "", (REVOKED,)),
    Trap("disabled", hub("standin-org/disabled-repo:gone.safetensors"), "source-missing",
         "disabled"),
    Trap("renamed", hub(_RENAMED, "checkpoints"), "chosen B", "new-name", then="verified"),
    Trap("a good pickle", hub("standin-org/pickles:old_style.ckpt", "checkpoints"), "chosen B"),
    Trap("an evil pickle, by its repository",
         given("checkpoints", "evil.ckpt", f"{HUB}/standin-org/pickles"), "unsafe-file", "harmful"),
    Trap("a page called .safetensors", hub("standin-org/pickles:page_in_disguise.safetensors"),
         "chosen B", then="verification-failed"),
    Trap("three files of one generic name", given(_MODELS, _GENERIC, *_SAME_NAMES),
         "choice-needed", "equal evidence", offered=3),
    Trap("a generic name alone", called(_GENERIC, "controlnet"), "nothing-found"),
    Trap("spaces, umlauts, & and +", hub(_ODD), "chosen B", then="verified"),
    Trap("a name that Windows reserves", hub("standin-org/odd-paths:CON.safetensors"), "chosen B"),
    Trap("stored by Xet", hub("standin-org/xet-stored:big_model.safetensors", _MODELS), "chosen B",
         then="verified"),
    Trap("early access, by name", called("gated_early_bird_v2.safetensors"),
         "login-needed (early-access)", "until 2099-01-01"),
    Trap("early access, by version", version(910001, "gated_early_bird_v2.safetensors"),
         "login-needed (early-access)", "until 2099-01-01", WITH_TOKEN),
    Trap("archived, by name", called("archived_thing.safetensors"), "not-given-out", "archived"),
    Trap("archived, by version", version(910010, "archived_thing.safetensors"), "not-given-out",
         "archived", offered=1),
    Trap("downloads disabled", called("generationOnly_v1.safetensors", "checkpoints"),
         "not-given-out", "disabled downloads", offered=1),
    Trap("unpublished", version(910030, "draft_model.safetensors"), "source-missing",
         "no published model version 910030"),
    Trap("unpublished, with its model", given("loras", "draft_model.safetensors", _WITHDRAWN),
         "source-missing", "has the model Draft Version Model"),
    Trap("taken down", called("taken_down_pictures.safetensors"), "not-given-out", "taken down",
         offered=1),
    Trap("no grant", called("no_access_granted.safetensors"), "chosen D", "", WITH_TOKEN,
         "login-needed"),
    Trap("no token at all", called("add_detail.safetensors"), "chosen D", then="login-needed"),
    Trap("a mature model, by name", called("mature_example.safetensors"), "chosen D", "",
         WITH_TOKEN, "verified"),
    Trap("a mature model, by version", version(910040, "mature_example.safetensors"), "chosen B",
         "", WITH_TOKEN, "verified"),
    Trap("three files of one name in a version", called(_SEVERAL, _MODELS), "choice-needed",
         "equal evidence", offered=3),
    Trap("the same, with its AutoV2", many("AutoV2"), "chosen D", "finds it by the hash",
         WITH_TOKEN, "verified"),
    Trap("the same, with its SHA-256", many(sha256=True), "chosen A", "", WITH_TOKEN, "verified"),
    Trap("a file whose own address is a 404", version(910050, _SEVERAL, _MODELS, _BROKEN),
         "chosen B", "", WITH_TOKEN, "verified"),
    Trap("a file that is not public", version(910050, "x.zip", "loras", "?fileId=9100505"),
         "source-missing", "no file 9100505"),
    Trap("harmful, by its scan", called("infectedPickle_v1.ckpt", "checkpoints"), "unsafe-file",
         "harmful", offered=1),
    Trap("harmful, and proven by its hash",
         by_hash("civitai:910060:", "infectedPickle_v1.ckpt", "checkpoints"), "unsafe-file",
         "harmful"),
    Trap("a wrong hash on record", called("wrong_hash_on_record.safetensors"), "chosen D", "",
         WITH_TOKEN, "verification-failed"),
    Trap("no hash on record", called("no_hash_on_record.safetensors"), "choice-needed",
         "publishes no SHA-256", offered=1),
    Trap("the same bytes uploaded twice", called("twin.safetensors"), "chosen D", "", WITH_TOKEN,
         "verified", offered=2),
    Trap("known bytes under a name of one's own",
         by_hash("civitai:910090:", "my_own_name.safetensors"), "chosen A", "", WITH_TOKEN,
         "verified"),
    Trap("an interstitial page", web("gdrive_like.safetensors", "gdrive_like.safetensors"),
         "wrong-answer", "a page instead of a file"),
    Trap("a name only in the answer", web("no_extension_hint", "x.safetensors"), "choice-needed",
         "There it is called named_by_header.safetensors", offered=1),
)  # fmt: skip


def ending(resolution: Resolution) -> str:
    """Name how a question ended, as `Trap.ends` does."""
    if resolution.chosen:
        return f"chosen {resolution.chosen[0].grade}"
    assert resolution.why is not None
    needs = resolution.candidates[0].needs if resolution.candidates else None
    return f"{resolution.why.code} ({needs})" if needs else resolution.why.code


def told(resolution: Resolution) -> str:
    """Return everything that the resolution says."""
    words = [resolution.why.cause] if resolution.why else []
    for candidate in resolution.chosen or resolution.candidates[:1]:
        words += candidate.evidence
    return " ".join(words)


@dataclass(frozen=True)
class Verdict:
    trap: Trap
    ends: str
    then: str
    says: str
    offered: int
    questions: int

    @property
    def as_expected(self) -> bool:
        trap = self.trap
        counted = trap.offered in {None, self.offered}
        return (
            (self.ends, self.then) == (trap.ends, trap.then) and trap.says in self.says and counted
        )


def tried(trap: Trap, hubs: Any) -> Verdict:
    """Put the question of a trap, and fetch what is chosen where the trap is there."""
    room = Room(hubs, tokens=trap.tokens)
    try:
        resolution = room.resolve(trap.wanted(hubs))
        questions = room.questions
        then = room.fetch(resolution.chosen[0]) if trap.then and resolution.chosen else ""
    finally:
        room.close()
    places = len(resolution.candidates)
    return Verdict(trap, ending(resolution), then, told(resolution), places, questions)
