"""Throughput from JPEG files to batches on the device, compared with other loaders."""
