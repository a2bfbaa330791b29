"""Weights rounded to integers so that a convolution's results change least on what it is really given.

Frantar et al. 2022, "GPTQ", algorithm 1. One deviation: the bias stands behind the weights as the
weight of a constant 1, is not rounded, and so takes up what is left of all errors, their mean above all.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int8

MOST_WEIGHT = 63
"""7 bits: the sum of two products with 8-bit values, 2 x 63 x 255, fits into 16 bits. Processors without VNNI add so,
and cut what does not fit: with 8-bit weights they would compute something else."""

DAMPING = 0.01
"""Of the mean square of an input, added to every one: GPTQ's."""

LEAST_WEIGHT = 1e-9
"""Of a row, at least, for the size of its step: channels that a network does not use have weights of about 0."""

AT_ONCE = 64
"""Weights of a row whose errors reach those behind them as one product of matrices."""

MOST_INPUTS = 2400
"""Of one result, up to which errors are spread over the other weights; above, that takes minutes."""


def products_of(columns: Float32[np.ndarray, "g n k1"]) -> Float64[np.ndarray, "g r k1"]:
    """The sums of products of every two inputs, the constant 1 last; where there are many, of each with the 1 alone."""
    left = columns if columns.shape[2] <= MOST_INPUTS else columns[..., -1:]
    return np.asarray(np.matmul(left.transpose(0, 2, 1), columns), np.float64)


def rounded_weights(
    weights: Float64[np.ndarray, "o k"], bias: Float64[np.ndarray, "o"], products: Float64[np.ndarray, "g r k1"]
) -> tuple[Int8[np.ndarray, "o k"], Float64[np.ndarray, "o"], Float64[np.ndarray, "o"]]:
    """Integers, what one of them stands for in each row, and the bias that belongs to them.

    `products` are those of what each group of rows was given, summed over places and frames.
    """
    steps = np.maximum(np.abs(weights).max(axis=1), LEAST_WEIGHT) / MOST_WEIGHT
    if products.shape[1] == 1:
        integers = _nearest(weights, steps[:, None])
        means = np.repeat(products[:, 0, :-1] / products[:, 0, -1:], len(weights) // len(products), axis=0)
        return integers, steps, bias + ((weights - integers * steps[:, None]) * means).sum(axis=1)
    count = weights.shape[1]
    order = np.arange(count + 1)
    if len(products) == 1:  # what is given most is rounded first, while there are others to take its error up
        order[:-1] = np.argsort(-np.diagonal(products[0])[:-1], kind="stable")
    spread = _spread(products[:, order][:, :, order])
    left = np.concatenate([weights, bias[:, None]], axis=1)[:, order].reshape(len(products), -1, count + 1)
    own = steps.reshape(len(products), -1)
    integers = np.zeros((*left.shape[:2], count), np.int8)
    for first in range(0, count, AT_ONCE):
        end = min(first + AT_ONCE, count)
        errors = np.empty((*left.shape[:2], end - first))
        for place in range(first, end):
            rounded = _nearest(left[..., place], own)
            integers[..., order[place]] = rounded
            error = errors[..., place - first] = left[..., place] - rounded * own
            left[..., place + 1 : end] += error[..., None] * spread[:, place, None, place + 1 : end]
        left[..., end:] += errors @ spread[:, first:end, end:]
    return integers.reshape(-1, count), steps, left[..., count].reshape(-1)


def _nearest(weights: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.round(weights / steps), -MOST_WEIGHT, MOST_WEIGHT), np.int8)


def _spread(products: Float64[np.ndarray, "g k1 k1"]) -> Float64[np.ndarray, "g k1 k1"]:
    """In row i, by how much each later weight changes for an error of 1 in weight i."""
    damped = products.copy()
    diagonal = np.einsum("gii->gi", damped)  # a view
    diagonal += DAMPING * diagonal[:, :-1].mean(axis=1, keepdims=True) + np.finfo(np.float32).tiny
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    return np.asarray(-upper / np.einsum("gii->gi", upper)[..., None])
