"""A job while it runs: its tasks in order, what stops it, and how it ends; in this process or in several.

``run`` walks the plan and takes what its tasks came to, until ``work.halt`` says that something stops it; ``context``
is what a process needs to run its tasks; ``lead`` keeps it from running away from its server; ``signals`` hears the
user; ``after_failure`` is the failure policy; ``conclusion`` tells how it ended. Whatever runs tasks concurrently, and
gives a future for each, will do.
"""
