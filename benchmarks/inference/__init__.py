"""Speed of inference beside PyTorch's and onnxruntime's."""
