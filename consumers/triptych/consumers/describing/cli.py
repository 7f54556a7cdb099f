"""The command `triptych describe`. It imports the clients when it runs."""

from __future__ import annotations

from triptych.consumers.describing.options import DescribeOptions
from triptych.service.cli_from_config import command_from


@command_from(DescribeOptions)
def describe(options: DescribeOptions) -> None:
    """Let a vision-language model describe results, and publish what it answers on PIPELINE.descriptions.

    The model answers over any OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, a hosted one.
    """
    from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint
    from triptych.consumers.describing.program import describe_results, print_request
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    flags = {
        "kafka.bootstrap_servers": options.bootstrap_servers,
        "pipeline": options.pipeline,
        "describe.key_file": options.model.key_file,
    }
    settings = load(options.config, flags)
    configure_logs(settings.log)
    key, timeout_s = settings.describe.api_key(), options.limits.timeout
    endpoint = HttpChatEndpoint(options.model.endpoint, key=key, timeout_s=timeout_s)
    if options.dry_run is None:
        describe_results(settings, options, endpoint)
    else:
        print_request(settings, options, options.dry_run)
