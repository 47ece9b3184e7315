"""What hash caches of other programs say of model files: read with care, and never believed.

Which programs, and where they keep what (read in their sources):

- LoRA Manager (willmiao/ComfyUI-Lora-Manager): ``STEM.metadata.json`` beside the model, and SQLite
  caches below its settings directory, table ``models``.
- Civitai Toolkit (BAIKEMARK/ComfyUI-Civitai-Toolkit): ``data/civitai_helper.db`` in its own
  directory, table ``versions``.
- Civitai Helper and others: ``STEM.civitai.info``, the answer of Civitai's model-versions API.
- AUTOMATIC1111/stable-diffusion-webui: ``cache.json``, and since 1.10 diskcache databases
  ``cache/hashes/cache.db`` and ``cache/hashes-addnet/cache.db``.
"""

from comfywatchman.inventory.claims.said import Said, Unreadable
from comfywatchman.inventory.claims.shelves import Shelf, any_cache, claims_of
from comfywatchman.inventory.claims.sidecars import beside, spoken_of

__all__ = ["Said", "Shelf", "Unreadable", "any_cache", "beside", "claims_of", "spoken_of"]
