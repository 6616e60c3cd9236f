"""Images whose masks are likely wrong."""
