"""TFDS dataset builders, one package folder per dataset; nothing in imagefec imports them."""
