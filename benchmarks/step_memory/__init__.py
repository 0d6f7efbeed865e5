"""Memory of the train step."""
