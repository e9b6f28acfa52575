"""From an image to probabilities and labels."""
