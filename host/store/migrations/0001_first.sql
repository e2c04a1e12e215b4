-- The tables of Keyway. Every tenant row carries its tenant and environment.
-- Which columns are sealed and which stay clear, and why: src/clear.rs.

-- One row: what makes this database a deployment.
CREATE TABLE meta (
    singleton    INTEGER PRIMARY KEY CHECK (singleton = 1),
    deployment   BLOB NOT NULL,
    root_key     BLOB NOT NULL,
    platform_key BLOB NOT NULL,
    signing_key  BLOB,
    created      INTEGER NOT NULL
) STRICT;

CREATE TABLE workspace (
    tenant  BLOB PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tenant keys (class 0) and data keys, wrapped by the key above them.
CREATE TABLE wrapped_key (
    id          BLOB PRIMARY KEY,
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    class       INTEGER NOT NULL,
    subject     BLOB NOT NULL,
    period      INTEGER NOT NULL,
    term        INTEGER NOT NULL,
    wrapped     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wrapped_key_use ON wrapped_key (tenant, environment, class, subject, period);

-- The key under which names and keys of a scope are made into MACs.
CREATE TABLE index_key (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    sealed      BLOB NOT NULL,
    PRIMARY KEY (tenant, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id          BLOB PRIMARY KEY,
    hash        BLOB NOT NULL UNIQUE,
    tenant      BLOB,
    environment INTEGER,
    role        TEXT NOT NULL,
    label       BLOB NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    revoked     INTEGER,
    last_used   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    digest BLOB PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

-- What a workspace owns, each sealed whole: connectors, approvals, connections,
-- recipes and their versions, poll cursors.
CREATE TABLE resource (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    id          BLOB NOT NULL,
    name_mac    BLOB,
    version     INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    body        BLOB NOT NULL,
    UNIQUE (tenant, environment, kind, id)
) STRICT;
CREATE UNIQUE INDEX resource_name ON resource (tenant, environment, kind, name_mac)
    WHERE name_mac IS NOT NULL;

CREATE TABLE credential (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    connection  BLOB NOT NULL,
    version     INTEGER NOT NULL,
    body        BLOB NOT NULL,
    PRIMARY KEY (tenant, environment, connection)
) STRICT;

CREATE TABLE webhook (
    path_hash   BLOB PRIMARY KEY,
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    recipe      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_recipe ON webhook (tenant, environment, recipe);

CREATE TABLE job (
    tenant         BLOB NOT NULL,
    environment    INTEGER NOT NULL,
    id             BLOB NOT NULL,
    recipe         BLOB NOT NULL,
    recipe_version INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    origin         BLOB,
    body           BLOB NOT NULL,
    summary        BLOB,
    UNIQUE (tenant, environment, id)
) STRICT;
CREATE INDEX job_recipe ON job (tenant, environment, recipe, id);
CREATE INDEX job_unfinished ON job (state) WHERE state IN (1, 2);

CREATE TABLE journal (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    job         BLOB NOT NULL,
    position    INTEGER NOT NULL,
    body        BLOB NOT NULL,
    UNIQUE (tenant, environment, job, position)
) STRICT;

CREATE TABLE deduplication (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    recipe      BLOB NOT NULL,
    key_mac     BLOB NOT NULL,
    seen        INTEGER NOT NULL,
    PRIMARY KEY (tenant, environment, recipe, key_mac)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    tenant      BLOB NOT NULL,
    environment INTEGER NOT NULL,
    connection  BLOB NOT NULL,
    key_mac     BLOB NOT NULL,
    body        BLOB NOT NULL,
    PRIMARY KEY (tenant, environment, connection, key_mac)
) STRICT;

CREATE TABLE audit (
    tenant      BLOB NOT NULL,
    sequence    INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    entry       BLOB NOT NULL,
    time        INTEGER NOT NULL,
    content     BLOB NOT NULL,
    leaf        BLOB NOT NULL,
    envelope    BLOB NOT NULL,
    UNIQUE (tenant, sequence)
) STRICT;

CREATE TABLE checkpoint (
    tenant  BLOB NOT NULL,
    size    INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    range   BLOB NOT NULL,
    note    TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, size)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'an audit record is never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'an audit record is never deleted'); END;
CREATE TRIGGER checkpoint_is_never_changed BEFORE UPDATE ON checkpoint
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never changed'); END;
CREATE TRIGGER checkpoint_is_never_deleted BEFORE DELETE ON checkpoint
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never deleted'); END;
