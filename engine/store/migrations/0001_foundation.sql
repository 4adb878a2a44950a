-- A model as it lies on disk. Weights have graphs made from them as children; lineage is the chain of parents.
CREATE TABLE models (
    name           TEXT PRIMARY KEY,
    parent         TEXT REFERENCES models (name),
    format         TEXT NOT NULL CHECK (format IN ('safetensors', 'onnx')),
    precision      TEXT NOT NULL DEFAULT '',
    path           TEXT NOT NULL,
    source         TEXT NOT NULL DEFAULT '',
    revision       TEXT NOT NULL DEFAULT '',
    architecture   TEXT NOT NULL DEFAULT '',
    parameters     INTEGER,
    size_bytes     INTEGER NOT NULL DEFAULT 0,
    context_length INTEGER,
    licence        TEXT NOT NULL DEFAULT '',
    details        TEXT NOT NULL DEFAULT '{}',
    created_at     TEXT NOT NULL
) STRICT;

CREATE INDEX models_by_parent ON models (parent);

CREATE TABLE conversations (
    id         TEXT PRIMARY KEY,
    title      TEXT NOT NULL DEFAULT '',
    titled_by  TEXT NOT NULL DEFAULT 'auto' CHECK (titled_by IN ('auto', 'user')),
    source     TEXT NOT NULL DEFAULT 'chat',
    model      TEXT NOT NULL DEFAULT '',
    system     TEXT NOT NULL DEFAULT '',
    head       INTEGER,
    archived   INTEGER NOT NULL DEFAULT 0,
    deleted_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX conversations_by_update ON conversations (updated_at DESC);

-- Messages form a tree: an edited prompt or a regenerated reply is a sibling. A conversation's head is the leaf of the branch shown.
CREATE TABLE messages (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation      TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent            INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    role              TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content           TEXT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'stopped', 'cut', 'interrupted', 'failed')),
    error             TEXT NOT NULL DEFAULT '',
    model             TEXT NOT NULL DEFAULT '',
    parameters        TEXT NOT NULL DEFAULT '{}',
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    first_token_ms    REAL,
    tokens_per_second REAL,
    rating            TEXT CHECK (rating IN ('good', 'bad')),
    correction        TEXT,
    rated_at          TEXT,
    created_at        TEXT NOT NULL,
    completed_at      TEXT
) STRICT;

CREATE INDEX messages_by_conversation ON messages (conversation, id);
CREATE INDEX messages_by_parent ON messages (parent);
CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming';

-- A reply is indexed when it is whole, not at every growth.
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    content, content = 'messages', content_rowid = 'id', tokenize = "unicode61 remove_diacritics 2"
);

CREATE TRIGGER messages_indexed_on_insert AFTER INSERT ON messages WHEN new.status <> 'streaming' BEGIN
    INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content);
END;

CREATE TRIGGER messages_indexed_on_end AFTER UPDATE OF status ON messages
WHEN old.status = 'streaming' AND new.status <> 'streaming' BEGIN
    INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content);
END;

CREATE TRIGGER messages_unindexed_on_claim AFTER UPDATE OF status ON messages
WHEN old.status <> 'streaming' AND new.status = 'streaming' BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
END;

CREATE TRIGGER messages_reindexed AFTER UPDATE OF content ON messages
WHEN old.status <> 'streaming' AND new.status <> 'streaming' AND old.content <> new.content BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
    INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content);
END;

CREATE TRIGGER messages_unindexed AFTER DELETE ON messages WHEN old.status <> 'streaming' BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
END;
