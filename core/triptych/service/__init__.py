"""What every program needs to run as a service: logs, signals, health, status and the command line."""
