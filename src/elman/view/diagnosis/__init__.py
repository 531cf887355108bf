"""The measures behind `elman.diagnose`, one file each; see `elman.view.diagnose`."""
