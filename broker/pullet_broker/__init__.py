"""The protocol of pullet: what is in Redis, and how it changes. No Ray, no threads, no user API."""
