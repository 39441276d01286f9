"""The error of a message that cannot be sent."""


class DeliveryError(Exception):
    """A message cannot be sent. The text says why, for the user, without secrets."""
