"""What an installation of ComfyUI looks like from outside: its place and its folders."""

from comfywatchman.comfyui.layout import Layout, find_comfyui, read_layout

__all__ = ["Layout", "find_comfyui", "read_layout"]
