"""TFDS dataset builders, one package folder a dataset; nothing in imagefec imports them."""
