"""Speed of each layer of a network beside the speed of the machine."""
