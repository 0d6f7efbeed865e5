"""Weights from outside, and back out."""

from flax_googlenet.interop.exporting import FORMATS, export
from flax_googlenet.interop.importing import SOURCES, Imported, import_weights, load_pretrained

__all__ = ["FORMATS", "SOURCES", "Imported", "export", "import_weights", "load_pretrained"]
