"""What the launcher answers with one plain sentence and status 2."""


class RefusalError(Exception):
    """The mesh cannot be started as asked; its text is for the person who asked."""
