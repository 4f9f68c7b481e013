"""Small Trax layers of ImageFEC: augmentation, input scaling, ReLU, dropout, pooling, unit length.

Convolutions are in convolution.py, norms in norms.py, the network in resnet.py.
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from imagefec.compat import tl
from imagefec.maths import augment
from imagefec.model.network.architecture import SCALINGS
from imagefec.parameters import Integer, Number, checked


class Augment(tl.Layer):
    """Random augmentation of faces on the device; in eval mode they stay unchanged.

    Input: uint8 or float32 [n, h, w, 3] of 0..255. Output: float32 [views * n, h, w, 3] of 0..255,
    the first view of all faces, then the second view of all faces, and so on, each sampled
    independently. In eval mode there is one view, whatever `views` is.

    Args:
      crop: mean share of the area that is cropped away; the share is uniform in [0, 2 crop].
      flip: probability of mirroring left to right.
      brightness: each face is multiplied by a factor uniform in 1 - brightness to 1 + brightness.
      contrast: each face's differences from its own mean are multiplied by a factor uniform in
        1 - contrast to 1 + contrast.
      rotation: each face is rotated by an angle uniform in -rotation to rotation, in degrees.
      scale: each face is magnified by a factor uniform in 1 - scale to 1 + scale.
      translation: each face is shifted along each axis by a share of its side, uniform in
        -translation to translation.
      blur: probability of a Gaussian blur.
      blur_sigma: the blur's sigma is uniform in 0 to blur_sigma, in pixels of training.image_size.
      saturation: each face's differences from grey are multiplied by a factor uniform in
        1 - saturation to 1 + saturation.
      hue: each face's hues are turned by an angle uniform in -hue to hue, in degrees.
      channel_gain: each of red, green and blue is multiplied by its own factor, uniform in
        1 - channel_gain to 1 + channel_gain, as under light of another colour.
      grey: probability of losing all colour.
      cutout: number of grey squares that hide parts of each face.
      cutout_size: their side as a share of the face's.
      views: augmented views of each face; training with UDA makes two.
      mode: "train" augments; any other mode does not.

    Raises:
      ValueError: an argument has a value that is not allowed.
    """

    @checked
    def __init__(
        self,
        crop: Annotated[float, Number(0, 0.45)] = 0.15,
        flip: Annotated[float, Number(0, 1)] = 0.5,
        brightness: Annotated[float, Number(0, 0.99)] = 0.1,
        contrast: Annotated[float, Number(0, 0.99)] = 0.1,
        rotation: Annotated[float, Number(0, 180)] = 0.0,
        scale: Annotated[float, Number(0, 0.5)] = 0.0,
        translation: Annotated[float, Number(0, 0.5)] = 0.0,
        blur: Annotated[float, Number(0, 1)] = 0.0,
        blur_sigma: Annotated[float, Number(0, 16)] = 1.5,
        saturation: Annotated[float, Number(0, 0.99)] = 0.0,
        hue: Annotated[float, Number(0, 180)] = 0.0,
        channel_gain: Annotated[float, Number(0, 0.99)] = 0.0,
        grey: Annotated[float, Number(0, 1)] = 0.0,
        cutout: Annotated[int, Integer(0, 16)] = 0,
        cutout_size: Annotated[float, Number(0, 1)] = 0.3,
        views: Annotated[int, Integer(1, 100)] = 1,
        mode: str = "train",
    ) -> None:
        super().__init__()
        self._ranges: dict[str, Any] = {
            "crop": crop,
            "flip": flip,
            "brightness": brightness,
            "contrast": contrast,
            "rotation": rotation,
            "scale": scale,
            "translation": translation,
            "blur": blur,
            "blur_sigma": blur_sigma,
            "saturation": saturation,
            "hue": hue,
            "channel_gain": channel_gain,
            "grey": grey,
            "cutout": cutout,
            "cutout_size": cutout_size,
        }
        self._views = views
        self._mode = mode

    def forward(self, faces: jnp.ndarray) -> jnp.ndarray:
        """Augments faces, uint8 or float32 [n, h, w, 3]."""
        if self._mode != "train":
            return faces.astype(jnp.float32)
        faces = jnp.concatenate([faces] * self._views) if self._views > 1 else faces
        return augment.augment_faces(self.rng, faces, **self._ranges)


def Normalise(scaling: str = "unit") -> tl.Layer:
    """Scales faces of 0..255, uint8 or float32, to float32.

    Args:
      scaling: "unit" gives -1..1; "imagenet" subtracts ImageNet's mean of each channel and divides
        by its standard deviation, as torchvision's weights require.
    """
    subtracted, divisor = SCALINGS[scaling]
    return tl.Fn("Normalise", lambda faces: (faces.astype(jnp.float32) - subtracted) / divisor)


def Relu() -> tl.Layer:
    """max(0, x); Trax's own Relu is a Serial, which would lengthen the names of weights."""
    return tl.Fn("Relu", lambda x: jax.nn.relu(x))


def GlobalMean() -> tl.Layer:
    """Mean over the map: [n, h, w, c] -> [n, c], for any h and w."""
    return tl.Fn("GlobalMean", lambda x: jnp.mean(x, axis=(1, 2)))


class WithDropout(tl.Layer):
    """A layer without weights whose output has values set to 0 at random; the others are enlarged.

    It takes the place of that layer, so that weights have the same names and the same initial
    values with and without dropout.

    Args:
      layer: the layer.
      rate: probability of 0, in [0, 1); the other values are divided by 1 - rate.

    Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
      Overfitting".
    """

    def __init__(self, layer: tl.Layer, rate: float) -> None:
        super().__init__(name=layer.name)
        self._layer, self._rate = layer, rate

    def forward(self, x: jnp.ndarray) -> jnp.ndarray:
        """Computes the layer, then drops values."""
        y = self._layer.forward(x)
        left = jax.random.bernoulli(self.rng, 1.0 - self._rate, y.shape)
        return jnp.where(left, y / (1.0 - self._rate), jnp.zeros_like(y))


def L2Norm(epsilon: float = 1e-12) -> tl.Layer:
    """Scales vectors along the last axis to unit length; the result is float32.

    The gradient is finite everywhere, also at the zero vector.

    Args:
      epsilon: a vector shorter than sqrt(epsilon) stays shorter than 1.
    """

    def unit_length(x: jnp.ndarray) -> jnp.ndarray:
        x = x.astype(jnp.float32)
        squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.maximum(squared, epsilon))

    return tl.Fn("L2Norm", unit_length)
