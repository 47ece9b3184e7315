"""Talks with a running ComfyUI server: requests over a pool, news over its web socket."""
