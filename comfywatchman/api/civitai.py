"""Civitai's answers, checked for being about what was asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from comfywatchman.api.files import get_logger
from comfywatchman.api.settings import Config, settings_of
from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import APISearchError, ValidationError
from comfywatchman.domain.errors import WrongAnswer
from comfywatchman.resolve import civitai_answers

if TYPE_CHECKING:
    from comfywatchman.resolve.civitai_answers import CivitaiImage, EndpointType


_ALSO_CALLED: Mapping[str, EndpointType] = {
    "model": "models",
    "version": "model-versions",
    "versions": "model-versions",
    "model-version": "model-versions",
    "hash": "by-hash",
    "image": "images",
}


def validate_civitai_response(
    data: object, requested_id: int | str, endpoint_type: EndpointType | str
) -> Mapping[str, Any]:
    """Return the one record in *data*, decoded JSON, that *requested_id* asked for.

    *endpoint_type* is ``models``, ``model-versions``, ``by-hash`` or ``images``; the end of the
    path that was asked, or one of them alone, will do as well (``/api/v1/images``, ``image``). What
    does not fit is also logged, with both identifiers.

    Raises:
        ValidationError: the answer is empty, or about something else: `requested` and `returned`
            of the error say what.
        ValueError: *endpoint_type* is no lookup.
    """
    called = endpoint_type.strip("/").rpartition("/")[2].lower().replace("_", "-")
    kind = cast("EndpointType", _ALSO_CALLED.get(called, called))
    try:
        return civitai_answers.validate_civitai_response(data, requested_id, kind)
    except WrongAnswer as error:
        raise _mismatch(error) from error


def fetch_civitai_image(image_id: int | str, config: Config = None) -> CivitaiImage:
    """Ask Civitai for the image with exactly this id: its address and the models it was made with.

    Raises:
        ValidationError: the site has none, or answered about another one.
        APISearchError: it cannot be asked.
    """
    from comfywatchman.daemon.lookup import lookup
    from comfywatchman.resolve.civitai import fetch_civitai_image as fetch

    text = str(image_id)
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise ValidationError(
            f"{text[:80]!r} is no id of an image.", remedy="Give the number that its page has."
        )
    with told(APISearchError), lookup(settings_of(config), os.environ) as looking:
        try:
            return fetch(int(text), looking.ask, looking.endpoints)
        except WrongAnswer as error:
            raise _mismatch(error) from error


def _mismatch(error: WrongAnswer) -> ValidationError:
    told_error = ValidationError.of(error)
    told_error.requested, told_error.returned = error.requested, error.returned
    get_logger("comfywatchman.civitai").warning(
        "search.mismatch", requested=error.requested, returned=error.returned, cause=error.cause
    )
    return told_error
