"""The settings of looking things up: how long answers are believed, and what is known anyway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from comfywatchman.config.keys import Says, Section


class Cache(Section, frozen=True):
    """How long answers of the model hubs are believed."""

    search_hours: Annotated[float, Says("What a search found.", ge=0, le=8760)] = 24
    metadata_days: Annotated[float, Says("Size and hash of a file.", ge=0, le=3650)] = 7
    negative_hours: Annotated[
        float,
        Says(
            "That there is nothing; twice as long each time that it is still so, up to "
            "metadata_days. `retry` has it asked at once.",
            ge=0,
            le=8760,
        ),
    ] = 6
    max_bytes: Annotated[
        int, Says("Room for answers; those not used for longest go.", kind="size", ge=0)
    ] = 256 * 1024**2


class Catalog(Section, frozen=True):
    """Known files and where they lie."""

    files: Annotated[
        tuple[Path, ...],
        Says(
            "Catalogs of your own, in the form of the shipped one; what they say comes first.",
            example=["/path/to/my-models.json"],
        ),
    ] = ()
    manager_list: Annotated[
        str,
        Says(
            'Where ComfyUI-Manager\'s list of models is fetched once a day; "" for never.',
            kind="url-or-off",
        ),
    ] = "https://raw.githubusercontent.com/Comfy-Org/ComfyUI-Manager/main/model-list.json"
