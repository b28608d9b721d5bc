"""Who hears whom: a synchronous switch of encoded packets. Pure: time is an argument."""
