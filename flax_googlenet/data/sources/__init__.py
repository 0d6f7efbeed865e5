"""Sources: data sets opened for random access to encoded images and labels."""
