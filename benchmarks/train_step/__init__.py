"""Speed of the training step beside PyTorch's."""
