"""What task runs and their flow need of Prefect: ``context`` finds a task's job by its id, in whatever process it runs;
``outcome`` tells what a task run came to; ``run_log`` and ``progress`` tell how it goes.
"""
