import { WHOLE_LEDGER } from './migration-ledger.ts';

/** Marks a SQLite file as ours (`PRAGMA application_id`): "kiln". */
export const APPLICATION_ID = 0x6b696c6e;

/**
 * The schema, step by step; step n brings a file to version n + 1. A step that was released is never
 * changed, only followed by another.
 *
 * Energy is whole millijoules and money whole nano-units of its currency, so that sums are exact; an
 * unknown amount is NULL, never 0. `seq` is the number of the change that wrote the row.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE changes (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    latest INTEGER NOT NULL
  ) STRICT;
  INSERT INTO changes VALUES (1, 0);

  CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    content_key TEXT NOT NULL,
    named INTEGER NOT NULL CHECK (named IN (0, 1)),
    created_at INTEGER NOT NULL,
    launch TEXT NOT NULL,
    out_dir TEXT NOT NULL,
    tags TEXT NOT NULL CHECK (json_valid(tags))
  ) STRICT;
  CREATE INDEX runs_by_content ON runs (content_key, created_at);

  CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id),
    idx INTEGER NOT NULL,
    line_key TEXT NOT NULL,
    occurrence INTEGER NOT NULL,
    k INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN
      ('submitting', 'queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
    path TEXT NOT NULL,
    error_code TEXT,
    error_message TEXT,
    batch_id TEXT,
    seq INTEGER NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    UNIQUE (run_id, idx)
  ) STRICT;
  CREATE INDEX jobs_by_change ON jobs (run_id, seq);
  CREATE INDEX jobs_by_state ON jobs (run_id, state);

  CREATE TABLE entries (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('active', 'overhead')),
    cause TEXT CHECK (cause IN ('load', 'failed', 'redone', 'lost')),
    run_id TEXT,
    job_id TEXT,
    batch_id TEXT NOT NULL,
    batch_size INTEGER NOT NULL,
    provider TEXT NOT NULL,
    device TEXT NOT NULL,
    engine TEXT NOT NULL,
    preset TEXT NOT NULL,
    model TEXT NOT NULL,
    seconds_share REAL NOT NULL,
    seconds_batch REAL NOT NULL,
    seconds_method TEXT NOT NULL,
    peak_memory_bytes INTEGER,
    peak_memory_method TEXT NOT NULL,
    energy_mj INTEGER,
    energy_method TEXT NOT NULL,
    meter TEXT NOT NULL,
    flags TEXT NOT NULL CHECK (json_valid(flags)),
    cost_nano INTEGER,
    currency TEXT NOT NULL,
    cost_method TEXT NOT NULL,
    price TEXT NOT NULL,
    tags TEXT NOT NULL CHECK (json_valid(tags)),
    CHECK ((kind = 'active') = (cause IS NULL)),
    CHECK (kind <> 'active' OR job_id IS NOT NULL),
    CHECK ((energy_mj IS NULL) = (energy_method = 'unknown')),
    CHECK ((cost_nano IS NULL) = (cost_method = 'unknown'))
  ) STRICT;
  CREATE UNIQUE INDEX one_active_entry_a_job ON entries (job_id) WHERE kind = 'active';
  CREATE INDEX entries_by_run ON entries (run_id, seq);
  CREATE INDEX entries_by_job ON entries (job_id, seq);
  CREATE INDEX entries_by_time ON entries (at);

  CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: book a correction instead'); END;
  CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: book a correction instead'); END;

  CREATE TABLE settlements (
    digest TEXT PRIMARY KEY,
    batch_id TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE VIEW costs AS
    SELECT
      strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS timestamp,
      provider AS service,
      'electricity' AS resource_type,
      energy_mj / 3.6e9 AS quantity,
      (cost_nano / 1e9) / nullif(energy_mj / 3.6e9, 0) AS unit_cost,
      cost_nano / 1e9 AS total_cost,
      currency,
      kind,
      cause
    FROM entries;
  `,
  `
  ALTER TABLE entries ADD COLUMN settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings));
  `,
  `
  ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN cut_offs INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN blacks INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX jobs_withdrawn ON jobs (seq) WHERE state IN ('cancelled', 'interrupted');

  ALTER TABLE runs ADD COLUMN served INTEGER NOT NULL DEFAULT 0 CHECK (served IN (0, 1));
  ALTER TABLE runs ADD COLUMN held TEXT;

  CREATE TABLE control (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    pause_since INTEGER,
    pause_until INTEGER,
    pause_now INTEGER NOT NULL DEFAULT 0 CHECK (pause_now IN (0, 1)),
    owner_launch TEXT,
    owner_serves INTEGER NOT NULL DEFAULT 0 CHECK (owner_serves IN (0, 1))
  ) STRICT;
  INSERT INTO control (only_row) VALUES (1);

  CREATE TABLE learned_limits (
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    engine TEXT NOT NULL,
    shape TEXT NOT NULL,
    most INTEGER NOT NULL CHECK (most >= 0),
    at INTEGER NOT NULL,
    PRIMARY KEY (device, model, engine, shape)
  ) STRICT, WITHOUT ROWID;

  DROP VIEW costs;
  CREATE TABLE rebuilt (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('active', 'overhead')),
    cause TEXT CHECK (cause IN ('load', 'failed', 'cancelled', 'redone', 'lost')),
    run_id TEXT,
    job_id TEXT,
    batch_id TEXT NOT NULL,
    batch_size INTEGER NOT NULL,
    provider TEXT NOT NULL,
    device TEXT NOT NULL,
    engine TEXT NOT NULL,
    preset TEXT NOT NULL,
    model TEXT NOT NULL,
    seconds_share REAL NOT NULL,
    seconds_batch REAL NOT NULL,
    seconds_method TEXT NOT NULL,
    peak_memory_bytes INTEGER,
    peak_memory_method TEXT NOT NULL,
    energy_mj INTEGER,
    energy_method TEXT NOT NULL,
    meter TEXT NOT NULL,
    flags TEXT NOT NULL CHECK (json_valid(flags)),
    cost_nano INTEGER,
    currency TEXT NOT NULL,
    cost_method TEXT NOT NULL,
    price TEXT NOT NULL,
    tags TEXT NOT NULL CHECK (json_valid(tags)),
    settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),
    CHECK ((kind = 'active') = (cause IS NULL)),
    CHECK (kind <> 'active' OR job_id IS NOT NULL),
    CHECK ((energy_mj IS NULL) = (energy_method = 'unknown')),
    CHECK ((cost_nano IS NULL) = (cost_method = 'unknown'))
  ) STRICT;
  INSERT INTO rebuilt SELECT * FROM entries;
  DROP TABLE entries;
  ALTER TABLE rebuilt RENAME TO entries;
  CREATE UNIQUE INDEX one_active_entry_a_job ON entries (job_id) WHERE kind = 'active';
  CREATE INDEX entries_by_run ON entries (run_id, seq);
  CREATE INDEX entries_by_job ON entries (job_id, seq);
  CREATE INDEX entries_by_time ON entries (at);

  CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: book a correction instead'); END;
  CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: book a correction instead'); END;

  CREATE VIEW costs AS
    SELECT
      strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS timestamp,
      provider AS service,
      'electricity' AS resource_type,
      energy_mj / 3.6e9 AS quantity,
      (cost_nano / 1e9) / nullif(energy_mj / 3.6e9, 0) AS unit_cost,
      cost_nano / 1e9 AS total_cost,
      currency,
      kind,
      cause
    FROM entries;
  `,
  `
  CREATE TABLE measurements (
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    engine TEXT NOT NULL,
    shape TEXT NOT NULL,
    batch INTEGER NOT NULL CHECK (batch > 0),
    step_seconds REAL NOT NULL,
    other_seconds REAL NOT NULL,
    peak_bytes INTEGER NOT NULL,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (device, model, engine, shape, batch)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE entries ADD COLUMN details TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(details));
  `,
  WHOLE_LEDGER,
];
