"""Questions that only a person can answer, and the answers that were given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import ReferenceAmbiguous
from comfywatchman.state.coding import dumps, loads
from comfywatchman.state.schema import choices
from comfywatchman.state.workflows import natural


@dataclass(frozen=True, slots=True)
class Choice:
    """A question that only a person can answer."""

    folder: str
    name: str
    candidates: tuple[Candidate, ...]
    trouble: Trouble
    asked_at: float


def ask(connection: Connection, event: ReferenceAmbiguous, now: float) -> None:
    """Store a question; an answer that was given before has not served."""
    values = {
        "folder": event.folder,
        "name": natural(event.name),
        "candidates": dumps(event.candidates),
        "trouble": dumps(event.trouble),
        "asked_at": now,
        "answer": None,
    }
    statement = insert(choices).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[choices.c.folder, choices.c.name],
            set_={key: values[key] for key in ("candidates", "trouble", "answer")},
        )
    )


def settle(connection: Connection, folder: str, name: str, answer: Candidate | None = None) -> None:
    """Take a question away: it was answered, or the model is here.

    An *answer* of a person's is remembered for the next time that the model is wanted.
    """
    here = (choices.c.folder == folder, choices.c.name == natural(name))
    if answer is None:
        connection.execute(delete(choices).where(*here, choices.c.answer.is_(None)))
        return
    values = {
        "folder": folder,
        "name": natural(name),
        "candidates": dumps(()),
        "trouble": dumps(Trouble("choice-needed", "", "")),
        "asked_at": 0.0,
        "answer": dumps(answer),
    }
    statement = insert(choices).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[choices.c.folder, choices.c.name], set_={"answer": values["answer"]}
        )
    )


def answer(connection: Connection, folder: str, name: str) -> Candidate | None:
    """Return what a person chose for this folder and name."""
    found = connection.execute(
        select(choices.c.answer).where(choices.c.folder == folder, choices.c.name == natural(name))
    ).scalar()
    return None if found is None else loads(found, Candidate)


def forget_answer(connection: Connection, folder: str, name: str, why: Trouble) -> None:
    """Ask a person again: what was chosen cannot be had any more, and *why* stands beside it."""
    here = (choices.c.folder == folder, choices.c.name == natural(name))
    row = connection.execute(
        select(choices).where(*here, choices.c.answer.isnot(None))
    ).one_or_none()
    if row is None:
        return
    offered, chosen = loads(row.candidates, tuple[Candidate, ...]), loads(row.answer, Candidate)
    if not offered:
        connection.execute(delete(choices).where(*here))
        return
    told = tuple(replace(one, trouble=why) if one.url == chosen.url else one for one in offered)
    asked = replace(
        loads(row.trouble, Trouble), cause=f"What was chosen is not to be had: {why.cause}"
    )
    values = {"candidates": dumps(told), "trouble": dumps(asked), "answer": None}
    connection.execute(update(choices).where(*here).values(values))


def open_choices(connection: Connection) -> list[Choice]:
    question = select(choices).where(choices.c.answer.is_(None))
    rows = connection.execute(question.order_by(choices.c.folder, choices.c.name))
    return [_choice(row) for row in rows]


def open_names(connection: Connection) -> set[tuple[str, str]]:
    """Return the folder and name of every question that waits for a person."""
    question = select(choices.c.folder, choices.c.name).where(choices.c.answer.is_(None))
    return {(row.folder, row.name) for row in connection.execute(question)}


def choice(connection: Connection, folder: str, name: str) -> Choice | None:
    row = connection.execute(
        select(choices).where(
            choices.c.folder == folder,
            choices.c.name == natural(name),
            choices.c.answer.is_(None),
        )
    ).one_or_none()
    return None if row is None else _choice(row)


def _choice(row) -> Choice:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
    return Choice(
        row.folder,
        row.name,
        loads(row.candidates, tuple[Candidate, ...]),
        loads(row.trouble, Trouble),
        row.asked_at,
    )
