"""The findings of the doctor in Chinese: what each step and status means, and what to do. The details stay as found."""

from __future__ import annotations

from typing import Final, NamedTuple

from triptych.consumers.doctor.judgement import Status, Step


class FindingWords(NamedTuple):
    """What a finding says, in one language; None where nothing is to be done."""

    text: str | None
    what_to_do: str | None


_OK: Final[dict[Step, str]] = {
    "kafka": "Kafka 正常应答。",
    "topics": "所需的主题都存在, 设置正确。",
    "producer": "信号源在持续发送数据, 或已正常结束。",
    "worker": "工作进程正在运行。",
    "lag": "没有长时间未处理的记录。",
    "dead letters": "最近一天没有等待处理的死信。",
    "results": "结果在持续发布。",
    "redis": "Redis 正常应答。",
}
_WRONG: Final[dict[Step, FindingWords]] = {
    "kafka": FindingWords("Kafka 没有应答。", "检查 kafka.bootstrap_servers, 以及 Kafka 是否在运行。"),
    "topics": FindingWords("主题缺失或设置不对。", "运行 `triptych topics create`。"),
    "producer": FindingWords("信号源没有声息, 也没有正常结束。", "查看生产者的日志 (source_lost), 或重新启动它。"),
    "worker": FindingWords("没有工作进程在运行。", "运行 `triptych work`。"),
    "lag": FindingWords("有记录长时间未处理。", "查看工作进程的日志; 若它正在追赶, 请等待或增加工作进程。"),
    "dead letters": FindingWords("有无法处理的记录 (死信)。", "先消除原因, 再重新投递 (redrive)。"),
    "results": FindingWords("有记录, 却没有结果。", "查看工作进程的日志和 /readyz。"),
    "redis": FindingWords("Redis 没有应答, 或缺少结果。", "检查 redis.url, 以及工作进程的日志 (store_unavailable)。"),
}
_NOTE: Final[dict[Step, FindingWords]] = {
    "producer": FindingWords("有的模态没有数据。", "若这不是本意, 请检查信号源。"),
    "results": FindingWords("刚收到第一批记录, 还没有结果。", None),
}


def chinese_words(step: Step, status: Status) -> FindingWords:
    """Return what a finding means in Chinese; both are None where there are no words for it."""
    if status == "wrong":
        return _WRONG[step]
    if status == "note":
        return _NOTE.get(step, FindingWords(None, None))
    return FindingWords(_OK[step] if status == "ok" else "因前面的问题, 无法检查。", None)
