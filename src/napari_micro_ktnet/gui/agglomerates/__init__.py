"""The Agglomerates widget."""
