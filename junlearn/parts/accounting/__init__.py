"""What noise certifies: epsilon, delta, sigma and the number of steps, of which any three give the fourth.

A certificate is about two laws: that of the weights after the last noisy step from the original network, and that of
the same steps from a network trained without the deleted data. They are (epsilon, delta)-close in both directions.

    mechanisms.py   gradient clipping, model clipping, output perturbation: `solve`
    gaussian.py     (epsilon, delta) of two equal Gaussians whose means are mu standard deviations apart
    convex.py       Langevin unlearning and projected noisy descent, for strongly convex losses
    groups.py       a guarantee for one example as one for many (DP-SGD)
    released.py     formulas of released codes, which do not hold: for parity alone

All of it is arithmetic on the host in double precision; delta is kept as a logarithm, so small ones lose no digits.
"""
