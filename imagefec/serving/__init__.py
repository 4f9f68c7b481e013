"""The live demo: a local web page and service that turn a face's expression into a tone."""
