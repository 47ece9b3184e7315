"""Looking at files, reading them whole, and giving them names."""
