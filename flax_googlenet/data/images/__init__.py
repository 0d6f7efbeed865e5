"""Images on the host, in uint8: decoding, boxes, resizing and crops."""
