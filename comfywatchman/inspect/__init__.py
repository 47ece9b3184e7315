"""What a model file is, told from its head: kind, architecture, words. Decides; reads nothing."""
