"""The one guarded way to the network: addresses are checked, tokens stay with their host."""
