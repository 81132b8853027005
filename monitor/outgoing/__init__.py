"""Connections to other hosts: the certificate authorities they trust, and the proxy they use."""
