"""Production plans on request: a payload in JSON in, the proven cheapest plan out.

Owns the form of the request and of the answer, and where a plan is computed: a small one at once, a
large one in a process of its own, so that the event loop is never held.
"""

from app.planning.answer import DetailedAnswer, PlantOutput, details
from app.planning.desk import PlanningDesk
from app.planning.request import PlanRequest, ProductionPlanPayload, decode
from app.planning.work import solve

__all__ = [
    "DetailedAnswer",
    "PlanRequest",
    "PlanningDesk",
    "PlantOutput",
    "ProductionPlanPayload",
    "decode",
    "details",
    "solve",
]
