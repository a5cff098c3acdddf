"""What trainers are made of: checkpoints, metrics, the order of samples, batches, and the loop that uses them.

A trainer describes what it minimises as a `Course` and how long as a `Pace`; `session.Session` runs them on accelerate,
which a distribution with a trainer depends on. The rest needs torch alone.
"""

from .batch import Batch, Part, load_batches
from .checkpoint import Checkpoint
from .course import Course
from .log import MetricsLog
from .order import Order
from .pace import Pace, Precision, require
from .pairs import losses, metric_name, metric_sums

__all__ = [
    "Batch",
    "Checkpoint",
    "Course",
    "MetricsLog",
    "Order",
    "Pace",
    "Part",
    "Precision",
    "load_batches",
    "losses",
    "metric_name",
    "metric_sums",
    "require",
]
