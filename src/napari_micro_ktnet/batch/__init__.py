"""Many files: what to do with which, and what is written beside them."""
