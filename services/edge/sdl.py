"""`python -m services.edge.sdl`: writes schema.graphql, the SDL that clients are built against."""

from pathlib import Path

from services.edge.schema import SDL

FILE = Path(__file__).parent / "schema.graphql"

if __name__ == "__main__":
    FILE.write_text(SDL)
