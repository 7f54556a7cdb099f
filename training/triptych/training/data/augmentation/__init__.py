"""Windows changed by chance, in ways that leave what is true of them true."""
