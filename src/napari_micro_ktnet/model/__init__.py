"""Networks, their weights, and the files that carry them."""
