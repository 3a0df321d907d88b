"""Pure JAX maths of Gaussian mixtures: arrays in, arrays out.

What lives here: the algebra of covariance structures, the additive statistics record, the laws of weights and
components (as prior and as posterior), their mixture, and affine changes of coordinates.
What may not: strings that select behaviour, input checks, printing, files, loops over the data.
Imports jax and numpy only; every function works under ``jit``, ``vmap`` and forward-mode differentiation.
"""
