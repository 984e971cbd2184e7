"""The former names of methods of `Curves`, until all readers use those."""

from seedbed.analysis.curves.interface import Curves, drawn_alike  # noqa: F401

anywhere = Curves.accuracy
basis_of = Curves.basis
closest = Curves.nearest_size
curve_anywhere = Curves.widened_curve
expected = Curves._expected
sizes_beyond = Curves.beyond_sizes
