"""Our own ears: flow datagrams and log lines off the wire, gathered into frames for Kafka."""
