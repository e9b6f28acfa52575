"""The Metrics widget."""
