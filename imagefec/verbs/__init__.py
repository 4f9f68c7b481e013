"""The verbs of the command line: each adds its flags and calls one function, imported only then."""
