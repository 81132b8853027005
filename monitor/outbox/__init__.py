"""The outbox: messages from enqueueing to delivery."""
