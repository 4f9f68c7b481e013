"""The verbs of the command line: each adds its flags, and imports and calls one function."""
