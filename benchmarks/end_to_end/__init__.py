"""Speed of training from image files, and what the input costs."""
