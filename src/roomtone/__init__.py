"""Real-time voice for Python: rooms, live streams and agents over one plain WebSocket."""
