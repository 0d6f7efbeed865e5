"""Commands: each is `python -m launch.NAME`, prints one JSON object last, and explains mistakes."""
