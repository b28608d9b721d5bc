"""The composition root: one server, one port."""
