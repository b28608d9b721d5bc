"""Audio from outside: files, URLs, pipes and iterators, decoded, encoded and kept a second ahead.

Edges, not pure: a source reads in one worker thread of its own. Used by the server's broadcaster and by the
client's `publish`.
"""
