"""Messages to phones, from being stored until the network took them or they expired."""
