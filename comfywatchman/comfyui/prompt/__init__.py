"""Turns what the editor saves into what a server is sent, as ComfyUI's own front end does.

Pure: a workflow, the server's node types and a date go in, a prompt comes out.
Source of the rules: executionUtil.ts, ExecutableNodeDTO.ts, SubgraphNode.ts, litegraphService.ts,
widgetInputs.ts and dynamicWidgets.ts of ComfyUI_frontend 1.58.1.
"""

from comfywatchman.comfyui.prompt.conversion import Converted, is_prompt, to_prompt
from comfywatchman.comfyui.prompt.types import NodeTypes

__all__ = ["Converted", "NodeTypes", "is_prompt", "to_prompt"]
