"""Long work that outlives the terminal: a queue, a supervisor, and one worker process for each job."""
