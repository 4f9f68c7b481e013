"""Computes a network's operations by plain loops in float64: the oracle of every export."""

import numpy as np

from imagefec.model.network import operations as ops


def run_network(network, faces):
    """Embeds faces, uint8 [n, side, side, 3], by the list of operations."""
    values = [faces]
    for step in network.steps:
        value = _run(step.operation, *(values[index] for index in step.inputs))
        assert value.shape[1:] == step.shape
        values.append(value)
    return values[-1]


def _run(operation, x, other=None):
    match operation:
        case ops.Scale(subtracted=subtracted, divisor=divisor):
            return (x.astype(np.float64) - subtracted) / divisor
        case ops.Convolution():
            return _convolve(x, operation)
        case ops.BatchNorm(scale=scale, offset=offset, mean=mean, variance=variance):
            return (x - mean) / np.sqrt(variance + operation.epsilon) * scale + offset
        case ops.GroupNorm(scale=scale, offset=offset, groups=groups):
            parts = np.split(x, groups, axis=-1)
            normed = [
                (part - part.mean((1, 2, 3), keepdims=True))
                / np.sqrt(part.var((1, 2, 3), keepdims=True) + operation.epsilon)
                for part in parts
            ]
            return np.concatenate(normed, axis=-1) * scale + offset
        case ops.ResponseNorm(scale=scale, offset=offset):
            square = (x * x).mean((1, 2), keepdims=True)
            return x / np.sqrt(square + operation.epsilon) * scale + offset
        case ops.Relu():
            return np.maximum(x, 0)
        case ops.Threshold(threshold=threshold):
            return np.maximum(x, threshold)
        case ops.MaxPool(pads=pads):
            padded = np.pad(x, ((0, 0), pads, pads, (0, 0)), constant_values=-np.inf)
            return _windows(padded, 3, 2).max(axis=(3, 4))
        case ops.Add():
            return x + other
        case ops.GlobalMean():
            return x.mean((1, 2))
        case ops.Flatten():
            return x.reshape(len(x), -1)
        case ops.Dense(kernel=kernel, bias=bias):
            return x @ kernel.astype(np.float64) + bias
        case ops.UnitLength(epsilon=epsilon):
            return x / np.sqrt(np.maximum((x * x).sum(-1, keepdims=True), epsilon))
    raise AssertionError(operation)


def _convolve(x, conv):
    padded = np.pad(x, ((0, 0), conv.pads, conv.pads, (0, 0)))
    kernel = conv.kernel.astype(np.float64)
    y = np.einsum("nhwijc,ijcd->nhwd", _windows(padded, len(kernel), conv.stride), kernel)
    return y if conv.bias is None else y + conv.bias


def _windows(x, size, stride):
    """[n, h, w, size, size, c] of x [n, h, w, c]."""
    n, height, width, channels = x.shape
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    found = np.empty((n, rows, columns, size, size, channels))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            found[:, i, j] = x[:, top : top + size, left : left + size]
    return found
