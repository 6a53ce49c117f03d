"""Products of many stored vectors with a few, against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from surfcheck.attribution.scan import products, unit


@pytest.fixture
def stored() -> torch.Tensor:
    vectors = np.random.default_rng(0).normal(size=(1000, 96)).astype(np.float32)
    return torch.from_numpy(unit(vectors)).half()


def directions(count: int, scale: float = 1.0) -> np.ndarray:
    drawn = np.random.default_rng(1).normal(size=(count, 96)).astype(np.float32)
    return unit(drawn) * np.float32(scale)


@pytest.mark.parametrize("count", [1, 2, 3, 40])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5])
def test_products_are_exact(stored: torch.Tensor, count: int, scale: float) -> None:
    wanted = directions(count, scale)
    expected = stored.double().numpy() @ wanted.astype(np.float64).T
    np.testing.assert_allclose(products(stored, wanted), expected, atol=1e-4 * scale)


def test_near_one_scores_are_finer_than_float16() -> None:
    """Whose steps are 0.0005 there: half of that would be lost, and many rows would tie."""
    rng = np.random.default_rng(2)
    near = unit(np.float32(1.0) + 0.3 * rng.normal(size=(1000, 96)).astype(np.float32))
    stored, wanted = torch.from_numpy(near).half(), np.ones((1, 96), dtype=np.float32) / 8
    scores = products(stored, wanted / np.float32(1.25))[:, 0]
    expected = stored.double().numpy().sum(axis=1) / 10
    assert expected.min() > 0.5
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    assert len(np.unique(scores)) > 900


def test_rows_that_lie_apart(stored: torch.Tensor) -> None:
    """As those of one layer among several do."""
    apart = torch.stack([stored, -stored], dim=1)[:, 0]
    assert not apart.is_contiguous()
    for count in (1, 40):
        found = products(apart, directions(count))
        np.testing.assert_array_equal(found, products(stored, directions(count)))


def test_nothing_asked_or_stored(stored: torch.Tensor) -> None:
    assert products(stored[:0], directions(3)).shape == (0, 3)
    assert not products(stored, np.zeros((1, 96), dtype=np.float32)).any()


def test_unit_vectors() -> None:
    lengths = np.linalg.norm(unit(directions(5, 30.0)), axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)
    assert not unit(np.zeros((2, 3), dtype=np.float32)).any()
