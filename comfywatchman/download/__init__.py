"""A candidate becomes verified bytes in a part beside their final name."""
