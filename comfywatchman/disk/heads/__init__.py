"""What the heads of model files say: bounded reading, nothing loaded, nothing unpickled."""
