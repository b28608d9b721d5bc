"""Sound as bytes and numbers. Pure: no clock, no I/O, no threads."""
