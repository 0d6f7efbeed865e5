"""The question whether our networks train as well as torchvision's, or better."""
