"""Questions on the page: who asks, how often, in which conversation, and what answers."""
