"""Sizes of the network that train_step.py's contenders train: ResNet-50 with ImageFEC's head."""

STAGE_BLOCKS = (3, 4, 6, 3)
FC_WIDTH = 512
D_EMBEDDING = 16
