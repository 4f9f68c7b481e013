"""Reports what Image FEC requires, what this machine lacks and how to get it; changes nothing.

TensorFlow and Trax are not imported, and JAX only in a subprocess, so the report also works where
one of them is broken.
"""

from imagefec.doctor.report import describe, examine

__all__ = ["describe", "examine"]
