"""Data and scripts that travel with the package; see data/README.md."""
