"""Crops and ensembles: `python -m studies.crops_and_ensembles`."""
