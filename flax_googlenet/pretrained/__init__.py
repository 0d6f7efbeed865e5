"""Weights from outside, and back out."""

from flax_googlenet.pretrained.exporting import FORMATS, export
from flax_googlenet.pretrained.importing import SOURCES, Imported, import_weights, load_pretrained

__all__ = ["FORMATS", "SOURCES", "Imported", "export", "import_weights", "load_pretrained"]
