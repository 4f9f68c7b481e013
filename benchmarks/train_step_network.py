"""Sizes of the networks that train_step.py's contenders train: ResNet-50 with ImageFEC's head."""

STAGE_BLOCKS = (3, 4, 6, 3)
FC_WIDTH = 512
D_EMBEDDING = 16

# The other network, of gin_configs/quickstart.gin; its contenders are JAX's only.
QUICKSTART = {
    "block": "basic",
    "stage_blocks": (1, 1, 1),
    "stem": "conv3x2",
    "pool": "flatten",
    "fc_widths": (128,),
}
