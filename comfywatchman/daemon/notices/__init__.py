"""Who is told of changes of state: webhooks, and chat and mail services."""
