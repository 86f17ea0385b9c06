"""The engine of every operation: a job's plan becomes Prefect task runs.

``job_run`` hands ready tasks to Prefect as ``cluster_task``s and completes them; ``attempts`` records each try;
``actions`` does the work on machines and services; ``task_log``, ``run_log`` and ``progress`` tell how it goes;
``signals`` stops it; ``conclusion`` tells how it ended. Only ``job_run``, ``cluster_task``, ``run_log`` and
``progress`` know Prefect.
"""
