"""What a node pack's Python registers, read from its source: nothing of it is imported or run."""
