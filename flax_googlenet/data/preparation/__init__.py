"""Making and converting data sets of TFDS."""
