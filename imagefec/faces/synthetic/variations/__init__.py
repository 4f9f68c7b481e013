"""Aspects in which synthetic photos vary, a file each; sampler.py applies those of a world.

Every file samples its own value from a range, that of the varied or of the hard world, and applies
it. The value for "nothing" leaves the photo as it is.
"""
