"""Images on the host: decoding, boxes, resizing and crops, all in uint8."""
