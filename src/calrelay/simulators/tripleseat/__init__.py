"""A simulated Tripleseat customer."""
