"""Which files are models, whether they are all there, and what their bytes are."""

from comfywatchman.inventory.arriving import is_at_rest, may_still_arrive
from comfywatchman.inventory.digests import Wanted
from comfywatchman.inventory.examine import Examined, examine_model
from comfywatchman.inventory.measure import Changed, measure_model, read_model
from comfywatchman.inventory.names import fetched_beside, is_lora, is_model, is_temporary, lists
from comfywatchman.inventory.sample import has_header, sample_of

__all__ = [
    "Changed",
    "Examined",
    "Wanted",
    "examine_model",
    "fetched_beside",
    "has_header",
    "is_at_rest",
    "is_lora",
    "is_model",
    "is_temporary",
    "lists",
    "may_still_arrive",
    "measure_model",
    "read_model",
    "sample_of",
]
