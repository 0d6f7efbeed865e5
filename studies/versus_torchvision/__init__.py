"""The question whether our networks train as well as torchvision's GoogLeNet on the same batches, or better."""
