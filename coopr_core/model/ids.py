"""Ids of clusters, jobs and tasks: ``00000015``, ``00000015-044``, ``00000015-044-275``.

The format is the original's; the job counter counts per cluster and the task counter per job (rule D17), so an id
alone says where its record belongs. Counters grow wider when they outgrow their zeros. Formatting and parsing are
inverses of each other.
"""

from __future__ import annotations

import re

from coopr_core.errors import InvalidInput

_CLUSTER_ID = re.compile(r"[0-9]{8,18}")
_DIGITS = re.compile(r"[0-9]{1,18}")
_COUNTER = re.compile(r"[0-9]{3,18}")


def cluster_id(number: int) -> str:
    """Return the id of cluster ``number``: at least eight digits."""
    return f"{_positive(number, 'cluster'):08d}"


def job_id(cluster: str, number: int) -> str:
    """Return the id of the cluster's job ``number``: at least three digits."""
    parse_cluster_id(cluster)
    return f"{cluster}-{_positive(number, 'job'):03d}"


def task_id(job: str, number: int) -> str:
    """Return the id of the job's task ``number``: at least three digits."""
    parse_job_id(job)
    return f"{job}-{_positive(number, 'task'):03d}"


def parse_cluster_id(text: str) -> int:
    """Return the number in a cluster id. Raises ``InvalidInput`` when it is not one."""
    return _number(text, text, "cluster id, like 00000015", _CLUSTER_ID, 8)


def parse_job_id(text: str) -> tuple[str, int]:
    """Return the cluster id and the job number in a job id. Raises ``InvalidInput`` when it is not one."""
    wanted = "job id, like 00000015-044"
    cluster, dash, job = text.rpartition("-")
    _number(cluster, text, wanted, _CLUSTER_ID, 8)
    return cluster, _number(job if dash else "", text, wanted, _COUNTER, 3)


def parse_task_id(text: str) -> tuple[str, int]:
    """Return the job id and the task number in a task id. Raises ``InvalidInput`` when it is not one."""
    wanted = "task id, like 00000015-044-275"
    job, dash, task = text.rpartition("-")
    cluster, _, counter = job.rpartition("-")
    _number(cluster, text, wanted, _CLUSTER_ID, 8)
    _number(counter, text, wanted, _COUNTER, 3)
    return job, _number(task if dash else "", text, wanted, _COUNTER, 3)


def is_cluster_id(text: str) -> bool:
    """Whether the text has the form of a cluster id."""
    return _well_formed(text, _CLUSTER_ID, 8)


def cluster_number(text: str) -> int | None:
    """Return the number of the cluster a person means by digits, ``00000015`` or just ``15``.

    None for any other text.
    """
    return int(text) if _DIGITS.fullmatch(text) and int(text) > 0 else None


def is_job_id(text: str) -> bool:
    """Whether the text has the form of a job id."""
    try:
        parse_job_id(text)
    except InvalidInput:
        return False
    return True


def is_task_id(text: str) -> bool:
    """Whether the text has the form of a task id."""
    try:
        parse_task_id(text)
    except InvalidInput:
        return False
    return True


def _well_formed(part: str, pattern: re.Pattern[str], width: int) -> bool:
    return pattern.fullmatch(part) is not None and (len(part) == width or not part.startswith("0")) and int(part) > 0


def _number(part: str, whole: str, wanted: str, pattern: re.Pattern[str], width: int) -> int:
    if not _well_formed(part, pattern, width):
        raise InvalidInput(f'"{whole}" is not a {wanted}')
    return int(part)


def _positive(number: int, what: str) -> int:
    if number < 1:
        raise ValueError(f"a {what} number counts from 1, not {number}")
    return number
