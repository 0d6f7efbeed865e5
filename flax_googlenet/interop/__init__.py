"""Import of weights from other frameworks, and export to them."""

from flax_googlenet.interop.exporting import FORMATS, export
from flax_googlenet.interop.importing import Imported, import_weights, load_pretrained
from flax_googlenet.interop.registry import SOURCES

__all__ = ["FORMATS", "SOURCES", "Imported", "export", "import_weights", "load_pretrained"]
