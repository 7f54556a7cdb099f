"""One window and a vision-language model: the request, the endpoint, and the answer."""
