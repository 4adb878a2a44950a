"""Makes the "drill" kind of job known to every Python process that has this folder on its path."""

from engine.jobs.kinds import KINDS, Kind

KINDS["drill"] = Kind("drill", "Drill", "Drill {name}", "processor", "drill:DrillConfig", "drill:run", "model")
KINDS["fetch drill"] = Kind("fetch drill", "Drill", "Fetch drill {name}", "network", "drill:DrillConfig", "drill:run", "model")
