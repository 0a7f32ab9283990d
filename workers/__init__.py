"""What runs for long: queues, jobs, the embedded Redis, the supervisor and the command line."""
