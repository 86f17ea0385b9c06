"""The one process that serves all local nodes of a state folder: SSH, commands, files, and the control socket."""
