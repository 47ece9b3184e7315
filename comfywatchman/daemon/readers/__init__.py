"""Those who read model files for their hashes, and what makes them wait for everybody else."""
