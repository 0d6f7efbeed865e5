"""From JPEG files to batches on the device, beside the loaders of others."""
