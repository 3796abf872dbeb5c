"""calrelay keeps Apptoto in step with Tripleseat events and TimeTap appointments."""

__version__ = "0.1.0"
