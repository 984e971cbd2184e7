"""The former names of `curves.interface`, until all readers use those."""

from seedbed.analysis.curves.interface import (  # noqa: F401
    Curves as Fit,
)
from seedbed.analysis.curves.interface import (  # noqa: F401
    MeanSeries,
    confidence_of,
)
from seedbed.analysis.curves.interface import (  # noqa: F401
    curves_from as fits_from,
)
from seedbed.analysis.curves.interface import (  # noqa: F401
    read_curves as read_fits,
)
