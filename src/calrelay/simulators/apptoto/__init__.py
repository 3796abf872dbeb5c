"""A simulated Apptoto account."""
