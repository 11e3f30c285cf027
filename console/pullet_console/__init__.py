"""The command line of pullet, and later its dashboard."""
