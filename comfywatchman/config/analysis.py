"""The settings of reading workflows: what is read of a stranger's file, and what for."""

from __future__ import annotations

from typing import Annotated

from comfywatchman.config.keys import Says, Section

MIB = 1024**2
GIB = 1024**3


class Analyze(Section, frozen=True):
    """Reading workflows. A file beyond a limit is told with its error, and nothing else stops."""

    max_bytes: Annotated[
        int, Says("The largest workflow file that is read.", kind="size", ge=1024, le=GIB)
    ] = 64 * MIB
    max_text_bytes: Annotated[
        int,
        Says(
            "Of all texts in one picture, sound or film together, unpacked; the rest of such a "
            "file is never read but for its hash.",
            kind="size",
            ge=1024,
            le=GIB,
        ),
    ] = 16 * MIB
    max_hashed_bytes: Annotated[
        int,
        Says("The largest picture or film whose SHA-256 the report has.", kind="size", ge=0),
    ] = GIB
    max_nodes: Annotated[
        int, Says("Nodes in one file, as its graphs list them.", ge=1, le=10_000_000)
    ] = 500_000
    max_opened_nodes: Annotated[
        int,
        Says(
            "Nodes inside subgraphs and group nodes, counted once for each place where they are "
            "used: a subgraph can be used in many places, and be in others.",
            ge=0,
            le=10_000_000,
        ),
    ] = 50_000
    max_names: Annotated[
        int, Says("Places in one file that name a model.", ge=1, le=10_000_000)
    ] = 20_000
    max_values: Annotated[
        int,
        Says(
            "Values of widgets that are kept of a file of more than 8 MiB; each takes 60 bytes "
            "and more.",
            ge=1,
            le=100_000_000,
        ),
    ] = 2_000_000
    max_stations: Annotated[
        int,
        Says(
            "Stations along links in one file, from widgets to where their values come from.",
            ge=1,
            le=100_000_000,
        ),
    ] = 200_000
    max_answer_bytes: Annotated[
        int,
        Says(
            "What may be told about one file; ten thousand models take a fourth of it.",
            kind="size",
            ge=1024,
            le=GIB,
        ),
    ] = 8 * MIB
    max_memory: Annotated[
        int,
        Says(
            "What the process that reads the files may use; some ten times max_bytes is enough "
            "for any file, and a fifth of it for nearly all.",
            kind="size",
            ge=128 * MIB,
        ),
    ] = 768 * MIB
    max_cpu_seconds: Annotated[
        int, Says("Processor time for one file, in whole seconds.", ge=1, le=3600)
    ] = 10
    deadline_seconds: Annotated[
        float, Says("How long one file may take by the clock.", ge=0.5, le=3600)
    ] = 15
    loaders: Annotated[
        tuple[str, ...],
        Says(
            "Further lines of the loader table, for nodes that it does not know or knows "
            "otherwise; see loaders.md.",
            example=["My Loader -> loras 0:lora_name"],
        ),
    ] = ()
