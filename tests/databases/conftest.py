"""What the tests of the databases borrow: a queue of their own, and what is waiting in it."""

from tests.signup.conftest import messages

__all__ = ["messages"]
