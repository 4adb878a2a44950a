-- Long work. The rows are the truth: the supervisor and the workers can die at any moment and be replaced from them.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    title        TEXT NOT NULL,
    config       TEXT NOT NULL,
    state        TEXT NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'running', 'stopping', 'succeeded', 'failed', 'cancelled', 'interrupted')
    ),
    resource     TEXT NOT NULL,
    parent       TEXT REFERENCES jobs (id) ON DELETE SET NULL,
    argument     TEXT NOT NULL DEFAULT '',
    policy       TEXT NOT NULL DEFAULT 'ask' CHECK (policy IN ('ask', 'resume')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    process      INTEGER,
    process_mark TEXT NOT NULL DEFAULT '',
    phase        TEXT NOT NULL DEFAULT '',
    done         REAL NOT NULL DEFAULT 0,
    total        REAL,
    unit         TEXT NOT NULL DEFAULT '',
    seconds      REAL NOT NULL DEFAULT 0,
    result       TEXT NOT NULL DEFAULT '{}',
    error        TEXT NOT NULL DEFAULT '',
    hint         TEXT NOT NULL DEFAULT '',
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    ended_at     TEXT
) STRICT;

CREATE INDEX jobs_by_creation ON jobs (created_at DESC, id);
CREATE INDEX jobs_by_parent ON jobs (parent);
CREATE INDEX jobs_unfinished ON jobs (state) WHERE state IN ('queued', 'running', 'stopping');

-- One curve per name: what a resumed job computes again takes the place of what it had computed before.
CREATE TABLE job_metrics (
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    step    INTEGER NOT NULL,
    value   REAL,
    seconds REAL NOT NULL,
    PRIMARY KEY (job, name, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_log (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    job  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    time TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;

CREATE INDEX job_log_by_job ON job_log (job, id);

CREATE TABLE job_artefacts (
    job  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, kind, name)
) STRICT, WITHOUT ROWID;
