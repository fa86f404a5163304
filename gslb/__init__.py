"""A DNS-based global server load balancer: answers by place, health and weight."""

__version__ = "0.1.0"
