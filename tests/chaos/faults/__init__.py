"""All faults, by name."""

from tests.chaos.fault import Fault
from tests.chaos.faults import clients, kills, machine, restarts, stops, stores

FAMILIES = (kills, stops, restarts, clients, stores, machine)
CATALOGUE: dict[str, Fault] = {fault.name: fault for family in FAMILIES for fault in family.FAULTS}
