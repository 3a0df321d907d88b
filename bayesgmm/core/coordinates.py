"""The affine change of coordinates in which a fit is computed."""

from __future__ import annotations

import jax

from bayesgmm.core.pytree import pytree, static
from bayesgmm.core.structures import Structure


@pytree
class Coordinates:
    """``x = shift + F y``: user's units x, inner coordinates y, in which the data have mean 0 and identity covariance.

    F belongs to the structure (lower triangular, diagonal or a number), so the family of models is the same in both.

    Parameters
    ----------
    shift : Array, shape (D,)
    factor : Array, shape (packed,)
    structure : Structure
    """

    shift: jax.Array
    factor: jax.Array
    structure: Structure = static()

    @property
    def log_det(self):
        """Log of the absolute determinant of F."""
        copies = self.structure.blocks(self.shift.shape[0]).copies
        return copies * self.structure.log_det(self.factor) / 2

    def inward(self, x):
        """Rows (N, D) in user's units to inner coordinates."""
        return self.structure.solve(self.factor, x - self.shift)

    def outward(self, y):
        """Rows (N, D) in inner coordinates to user's units."""
        return self.shift + self.structure.apply(self.factor, y)

    def mixture_inward(self, law):
        """A law of parameters (`Mixture` or `MAP`) stated in user's units, in inner coordinates."""
        return law.mapped(self.inward, lambda a: self.structure.untransform(self.factor, a))

    def mixture_outward(self, law):
        """A law of parameters (`Mixture` or `MAP`) in inner coordinates, in user's units."""
        return law.mapped(self.outward, lambda a: self.structure.transform(self.factor, a))


def standardising(structure: Structure, mean: jax.Array, covariance: jax.Array) -> Coordinates:
    """Coordinates in which data with this mean (D,) and packed covariance are centred and of unit spread."""
    return Coordinates(mean, structure.factor(covariance), structure)
