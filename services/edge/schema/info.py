"""What every resolver is given."""

import strawberry

from services.edge.context import Context

Info = strawberry.Info[Context, None]
