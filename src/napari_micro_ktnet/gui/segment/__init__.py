"""The Segment widget."""
