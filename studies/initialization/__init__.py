"""The question how many seeds leave chance, for each variant and initializer and for the shipped recipes."""
